package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/matric/matric-events/app/trace"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/retry"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

// Options tune NewDispatcher. Zero members stand for the default.
type Options struct {
	MaxInFlight int           // attempts under way at once; 512
	PerEndpoint int           // attempts under way at once to one webhook; 16
	Ahead       int           // deliveries in flight for each of these; 16, so that a place need not wait for the store
	Policy      retry.Policy  // between attempts
	Grace       time.Duration // for attempts under way when the dispatcher is stopped; 10 s
}

func (o Options) withDefaults() Options {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 512
	}
	if o.PerEndpoint <= 0 {
		o.PerEndpoint = 16
	}
	if o.Ahead <= 0 {
		o.Ahead = 16
	}
	if o.Grace <= 0 {
		o.Grace = 10 * time.Second
	}
	return o
}

// Dispatcher sends deliveries and settles what became of them. Use NewDispatcher, then Run.
type Dispatcher struct {
	hooks    *Webhooks
	store    ports.Deliveries
	sender   ports.Sender
	observer ports.Observer
	opts     Options
	lease    domain.UUID

	// writing is full while a claim is made, or while outcomes are settled with all the tries that this takes: a claim
	// between two tries could take on again what the first has stored, and the second would settle the wrong attempt.
	writing chan struct{}

	claims chan struct{}  // rings when something may be due, or there may be room for it
	ends   chan struct{}  // rings when something is to be settled
	sends  sync.WaitGroup // attempts under way
	cutoff context.Context
	cut    context.CancelFunc // ends the attempts that the grace was not enough for
	over   chan struct{}      // closed when Run returns
	traces *trace.Memory      // of the events that deliveries are of

	mu        sync.Mutex // guards all below, and every endpoint
	endpoints map[domain.UUID]*endpoint
	ready     []*endpoint // these have something queued, and take turns
	sending   int         // attempts under way, without tests
	ended     []*flight   // to be settled
	settling  int         // how many more are being settled
	stopped   bool
}

// NewDispatcher returns a dispatcher that holds the lease, which no other process must have held.
func NewDispatcher(hooks *Webhooks, store ports.Deliveries, sender ports.Sender, lease domain.UUID, observer ports.Observer, o Options) *Dispatcher {
	d := &Dispatcher{
		hooks: hooks, store: store, sender: sender, observer: observer, opts: o.withDefaults(), lease: lease,
		writing: make(chan struct{}, 1), claims: make(chan struct{}, 1), ends: make(chan struct{}, 1), over: make(chan struct{}),
		endpoints: map[domain.UUID]*endpoint{}, traces: trace.NewMemory(),
	}
	d.cutoff, d.cut = context.WithCancel(context.Background())
	hooks.OnChange(func() { ring(d.claims) })
	return d
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Run takes over what an earlier process has left, then sends until ctx ends. It then gives attempts under way their
// grace, gives back what was not sent, and returns when everything is settled, or the store has failed to. Stop the
// recorder first.
func (d *Dispatcher) Run(ctx context.Context) error {
	defer close(d.over)
	settling, endSettling := context.WithCancel(context.WithoutCancel(ctx))
	defer endSettling()
	var settler sync.WaitGroup
	settler.Go(func() { d.settle(settling) })
	if d.takeOver(ctx) {
		d.claim(ctx)
	}
	d.stop()
	endSettling()
	settler.Wait()
	return nil
}

// takeOver reports whether it was done before ctx ended.
func (d *Dispatcher) takeOver(ctx context.Context) bool {
	var next map[domain.UUID]time.Time
	if err := persist(ctx, ctx, d.observer, "take_over", func(ctx context.Context) (err error) {
		next, err = d.store.TakeOver(ctx, d.lease, time.Now())
		return err
	}); err != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, due := range next {
		d.at(id).expect(due)
	}
	return true
}

// at returns the endpoint of a webhook. The caller holds d.mu.
func (d *Dispatcher) at(id domain.UUID) *endpoint {
	e := d.endpoints[id]
	if e == nil {
		e = &endpoint{id: id}
		d.endpoints[id] = e
	}
	return e
}

// enqueue has a delivery wait for its turn. The caller holds d.mu.
func (d *Dispatcher) enqueue(e *endpoint, delivery webhook.Delivery) {
	e.queue = append(e.queue, &flight{Delivery: delivery})
	d.list(e)
}

// list puts an endpoint among those that are ready. The caller holds d.mu.
func (d *Dispatcher) list(e *endpoint) {
	if !e.listed && len(e.queue) > 0 {
		e.listed = true
		d.ready = append(d.ready, e)
	}
}

// finish leaves a delivery to be settled. The caller holds d.mu.
func (d *Dispatcher) finish(f *flight) {
	d.ended = append(d.ended, f)
	ring(d.ends)
}

// due tells the dispatcher that a webhook may have a pending delivery due now that it has not recorded itself.
func (d *Dispatcher) due(hook domain.UUID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at(hook).expect(time.Now())
	ring(d.claims)
}

// hold puts off all claims for a webhook until resume is called, which then does what due does.
func (d *Dispatcher) hold(hook domain.UUID) (resume func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.at(hook)
	e.held++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		e.held--
		e.expect(time.Now())
		ring(d.claims)
	}
}

// stop ends the sending: attempts under way get their grace, what waits for a place is given back.
func (d *Dispatcher) stop() {
	grace := time.AfterFunc(d.opts.Grace, d.cut)
	defer grace.Stop()
	d.mu.Lock()
	d.stopped = true
	for _, e := range d.endpoints {
		for len(e.queue) > 0 {
			d.release(e.next())
		}
	}
	d.mu.Unlock()
	d.sends.Wait()
	d.cut()
}

// Stats is what the dispatcher tells operators.
type Stats struct {
	Sending   int // attempts under way, without tests
	Waiting   int // deliveries in flight that wait for a place
	Unsettled int // attempts whose outcome is yet to be stored
	Pending   int // endpoints that have deliveries pending in the store, held ones included
	Failing   int // endpoints whose last attempt failed
}

// Stats returns a snapshot.
func (d *Dispatcher) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Stats{Sending: d.sending, Unsettled: len(d.ended) + d.settling}
	for _, e := range d.endpoints {
		s.Waiting += len(e.queue)
		if !e.due.IsZero() {
			s.Pending++
		}
		if e.failing {
			s.Failing++
		}
	}
	return s
}
