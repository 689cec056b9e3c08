package app

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Registry knows every connection, holds them to the limits, and closes them in good order. Use NewRegistry. Safe for
// concurrent use.
type Registry struct {
	limits     Limits
	handshakes *rate.Limiter // nil for no limit
	observer   ports.Observer

	mu       sync.Mutex // guards all below: what is counted is what is listed
	members  map[domain.UUID]*Place
	reserved int
	perIP    map[string]int
	draining bool
	empty    chan struct{} // closed when the last connection has left a draining registry
}

// Limits bound what Admit lets in. Zero means no limit.
type Limits struct {
	Connections         int
	ConnectionsPerIP    int
	HandshakesPerSecond int
}

// A Member is a connection as the registry sees it. Its methods return at once.
type Member interface {
	// Describe tells what the connection is and how far it is.
	Describe() domain.Connection
	// Announce tells a client that understands it to reconnect after the time given.
	Announce(reconnectIn time.Duration)
	// Close ends the connection. It is called at most a few times.
	Close(reason CloseReason)
}

// CloseReason says why the server ends a connection.
type CloseReason uint8

// The reasons.
const (
	CloseKicked   CloseReason = iota // by an operator
	CloseShutdown                    // the server goes away
)

// Refusal is why a connection was not admitted. It is an ErrUnavailable.
type Refusal struct {
	Reason     string // connections, connections_per_ip, handshakes_per_second or draining
	RetryAfter time.Duration
}

func (r *Refusal) Error() string { return "connection refused: limit " + r.Reason }

// Unwrap makes errors.Is(err, ErrUnavailable) hold.
func (r *Refusal) Unwrap() error { return domain.ErrUnavailable }

// NewRegistry returns an empty registry.
func NewRegistry(limits Limits, observer ports.Observer) *Registry {
	r := &Registry{limits: limits, observer: observer, members: map[domain.UUID]*Place{}, perIP: map[string]int{}, empty: make(chan struct{})}
	if n := limits.HandshakesPerSecond; n > 0 {
		r.handshakes = rate.NewLimiter(rate.Limit(n), n)
	}
	return r
}

// Place is one admitted connection's place. Leave must be called once, whatever became of the connection.
type Place struct {
	registry  *Registry
	transport string
	ip        string
	id        domain.UUID
	member    Member
}

// Admit reserves a place for a connection from the address, or returns a *Refusal.
func (r *Registry) Admit(transport, ip string) (*Place, error) {
	place, refusal := r.Reserve(transport, ip)
	if refusal != nil {
		r.observer.Refused(transport, refusal.Reason)
		return nil, refusal
	}
	return place, nil
}

// Reserve is Admit for a caller that has somebody else tell the client, who will be refused as well: the refusal is not
// counted.
func (r *Registry) Reserve(transport, ip string) (*Place, *Refusal) {
	if refusal := r.refuse(ip); refusal != nil {
		return nil, refusal
	}
	return &Place{registry: r, transport: transport, ip: ip}, nil
}

// refuse returns why a connection cannot be admitted; if it can, it is counted.
func (r *Registry) refuse(ip string) *Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch l := r.limits; {
	case r.draining:
		return &Refusal{Reason: "draining", RetryAfter: time.Second}
	case l.Connections > 0 && len(r.members)+r.reserved >= l.Connections:
		return &Refusal{Reason: "connections", RetryAfter: 5 * time.Second}
	case l.ConnectionsPerIP > 0 && r.perIP[ip] >= l.ConnectionsPerIP:
		return &Refusal{Reason: "connections_per_ip", RetryAfter: 5 * time.Second}
	case r.handshakes != nil && !r.handshakes.Allow():
		return &Refusal{Reason: "handshakes_per_second", RetryAfter: time.Second}
	}
	r.reserved++
	r.perIP[ip]++
	return nil
}

// Occupy lists the member at the place. When the server is shutting down meanwhile, the member is closed.
func (p *Place) Occupy(m Member) {
	c := m.Describe()
	r := p.registry
	r.mu.Lock()
	p.id, p.member = c.ID, m
	r.members[p.id] = p
	r.reserved--
	draining := r.draining
	r.mu.Unlock()
	r.observer.ConnectionOpened(c)
	if draining {
		m.Close(CloseShutdown)
	}
}

// Leave gives the place back. reason is for operators: a close code or a word.
func (p *Place) Leave(reason string) {
	r := p.registry
	r.mu.Lock()
	if r.perIP[p.ip]--; r.perIP[p.ip] == 0 {
		delete(r.perIP, p.ip)
	}
	if p.member == nil {
		r.reserved--
	} else {
		delete(r.members, p.id)
	}
	r.checkEmpty()
	r.mu.Unlock()
	if p.member != nil {
		r.observer.ConnectionClosed(p.member.Describe(), reason)
	}
}

// checkEmpty tells a drain that waits. The caller holds r.mu.
func (r *Registry) checkEmpty() {
	if !r.draining || len(r.members)+r.reserved > 0 {
		return
	}
	select {
	case <-r.empty:
	default:
		close(r.empty)
	}
}

// Len returns the number of connections.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.members)
}

// List describes all connections, the oldest first.
func (r *Registry) List() []domain.Connection {
	list := slices.Collect(r.Each())
	slices.SortFunc(list, func(a, b domain.Connection) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return list
}

// Each describes all connections, in no order.
func (r *Registry) Each() iter.Seq[domain.Connection] {
	return func(yield func(domain.Connection) bool) {
		for _, m := range r.all() {
			if !yield(m.Describe()) {
				return
			}
		}
	}
}

func (r *Registry) all() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	members := make([]Member, 0, len(r.members))
	for _, p := range r.members {
		members = append(members, p.member)
	}
	return members
}

// Kick closes one connection, or returns ErrNotFound.
func (r *Registry) Kick(id domain.UUID) error {
	r.mu.Lock()
	p, ok := r.members[id]
	r.mu.Unlock()
	if !ok {
		return fmt.Errorf("connection %s: %w", id, domain.ErrNotFound)
	}
	p.member.Close(CloseKicked)
	return nil
}

// Pace of a drain: clients come back spread over about twice the time that their closes took, and never all at once.
const (
	closePerConnection = time.Millisecond
	maxCloseWindow     = 10 * time.Second
	minReconnect       = 500 * time.Millisecond
	reconnectSpread    = 2 * time.Second
)

// Drain refuses new connections, tells every client when to reconnect, each at another time, and closes them one after
// the other over a window that grows with their number. It returns when all have left, or ctx's error.
func (r *Registry) Drain(ctx context.Context) error {
	r.mu.Lock()
	r.draining = true
	r.checkEmpty()
	r.mu.Unlock()
	members := r.all()
	window := min(time.Duration(len(members))*closePerConnection, maxCloseWindow)
	for _, m := range members {
		m.Announce(minReconnect + rand.N(reconnectSpread+2*window))
	}
	start := time.Now()
	for i, m := range members {
		if wait := window*time.Duration(i)/time.Duration(len(members)) - time.Since(start); wait > 10*time.Millisecond {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		m.Close(CloseShutdown)
	}
	select {
	case <-r.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
