package eventlog

import (
	"context"
	"fmt"
	"slices"

	"github.com/matric/matric-events/domain"
)

// Gate is a reader that the log waits for. Its fields are guarded by the log's mutex.
type Gate struct {
	log      *Log
	wants    domain.TypeSet
	unstored []domain.Seq // wanted and not yet stored, ascending
	taken    int          // how many of unstored Next has handed out
	arrival  chan struct{}
	moved    chan struct{}
}

// NewGate adds a gate for the types given, from the next event on. The caller must read and acknowledge, or Close it:
// until then publishers of those types wait.
func (l *Log) NewGate(wants domain.TypeSet) *Gate {
	g := &Gate{log: l, wants: wants, arrival: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gates = append(l.gates, g)
	return g
}

// Want changes the types, from the next event on. The zero set wants nothing.
func (g *Gate) Want(types domain.TypeSet) {
	g.log.mu.Lock()
	defer g.log.mu.Unlock()
	g.wants = types
}

func (g *Gate) offer(e *domain.Entry) {
	if !g.wants.Has(e.Type) {
		return
	}
	g.unstored = append(g.unstored, e.Seq)
	select {
	case g.arrival <- struct{}{}:
	default:
	}
}

// progress returns a channel that is closed when the gate stores more or is closed.
func (g *Gate) progress() <-chan struct{} {
	if g.moved == nil {
		g.moved = make(chan struct{})
	}
	return g.moved
}

// Next appends to dst wanted entries that it has not handed out before, up to dst's capacity. It waits until there is
// one. One goroutine at a time may call it.
func (g *Gate) Next(ctx context.Context, dst []domain.Entry) ([]domain.Entry, error) {
	for {
		if out := g.take(dst); len(out) > len(dst) {
			return out, nil
		}
		select {
		case <-g.arrival:
		case <-ctx.Done():
			return dst, fmt.Errorf("eventlog: gate: %w", ctx.Err())
		}
	}
}

func (g *Gate) take(dst []domain.Entry) []domain.Entry {
	g.log.mu.Lock()
	defer g.log.mu.Unlock()
	for g.taken < len(g.unstored) && len(dst) < cap(dst) {
		dst = append(dst, *g.log.at(g.unstored[g.taken]))
		g.taken++
	}
	return dst
}

// Store acknowledges every entry up to and including through, and lets go the publishers that waited for them.
func (g *Gate) Store(through domain.Seq) {
	g.log.mu.Lock()
	defer g.log.mu.Unlock()
	i, found := slices.BinarySearch(g.unstored, through)
	if found {
		i++
	}
	i = min(i, g.taken)
	g.unstored = slices.Delete(g.unstored, 0, i)
	g.taken -= i
	g.release()
}

// Close removes the gate; nobody waits for it any more, and Next has nothing more to hand out.
func (g *Gate) Close() {
	g.log.mu.Lock()
	defer g.log.mu.Unlock()
	g.unstored, g.taken = nil, 0 // the log goes on without it and may overwrite them
	g.log.gates = slices.DeleteFunc(g.log.gates, func(other *Gate) bool { return other == g })
	g.release()
}

func (g *Gate) release() {
	if g.moved != nil {
		close(g.moved)
		g.moved = nil
	}
}
