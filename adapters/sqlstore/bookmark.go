package sqlstore

import (
	"slices"
	"sync"
)

// span is a run of positions.
type span struct{ low, high int64 }

// bookmark is where a reader is in an outbox whose positions do not rise in commit order: it has removed everything up to
// the floor, but for the gaps, which are positions that it has not met. What stands there may yet be committed, or was
// rolled back. The zero value knows of nothing.
type bookmark struct {
	mu    sync.Mutex // guards all below: what keeps the outbox short removes records, too
	floor int64
	gaps  []span // disjoint, by rising positions, all below the floor
}

// maxGaps bounds the memory, and the work to look into all gaps.
const maxGaps = 10_000

// unread returns the spans that may hold records, apart from all behind the floor.
func (b *bookmark) unread() (gaps []span, floor int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.gaps), b.floor
}

// removed takes records off, by rising positions.
func (b *bookmark) removed(positions []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range positions {
		if p > b.floor {
			if p > b.floor+1 {
				b.gaps = append(b.gaps, span{b.floor + 1, p - 1})
			}
			b.floor = p
		} else {
			b.close(p)
		}
	}
	if len(b.gaps) > maxGaps {
		b.floor, b.gaps = 0, nil
	}
}

// find returns the gap that a position is in, or where it would have to be.
func (b *bookmark) find(p int64) (at int, ok bool) {
	at, _ = slices.BinarySearchFunc(b.gaps, p, func(g span, p int64) int {
		if g.high < p {
			return -1
		}
		return 1
	})
	return at, at < len(b.gaps) && b.gaps[at].low <= p
}

// close takes a position out of its gap.
func (b *bookmark) close(p int64) {
	at, ok := b.find(p)
	if !ok {
		return
	}
	g := b.gaps[at]
	var rest []span
	if g.low < p {
		rest = append(rest, span{g.low, p - 1})
	}
	if p < g.high {
		rest = append(rest, span{p + 1, g.high})
	}
	b.gaps = slices.Replace(b.gaps, at, at+1, rest...)
}

// settle forgets the gaps up to a position, but for what stands there: nothing more will be committed in them.
func (b *bookmark) settle(through int64, found []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var gaps []span
	for _, p := range found {
		if _, ok := b.find(p); ok && p <= through {
			gaps = append(gaps, span{p, p})
		}
	}
	for _, g := range b.gaps {
		if g.high > through {
			gaps = append(gaps, span{max(g.low, through+1), g.high})
		}
	}
	b.gaps = gaps
}

// check goes back to the beginning if one of the positions is where nothing should be. It may be when positions are given
// again, after the database was restored.
func (b *bookmark) check(positions []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range positions {
		if _, ok := b.find(p); p <= b.floor && !ok {
			b.floor, b.gaps = 0, nil
			return
		}
	}
}
