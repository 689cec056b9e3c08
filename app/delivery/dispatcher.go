package delivery

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/retry"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

// Options tune NewDispatcher. Zero members stand for the default.
type Options struct {
	MaxInFlight int           // attempts under way at once; 512
	PerEndpoint int           // attempts under way at once to one webhook; 16
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

	claims  chan struct{} // rings when something may be due
	results chan struct{} // rings when something is to be settled
	sends   sync.WaitGroup

	mu        sync.Mutex // guards all below
	endpoints map[domain.UUID]*endpoint
	order     []*endpoint // the same, for taking turns
	turn      int
	sending   int
	settled   []result
	stopped   bool
	cutoff    context.Context // ends the attempts that the grace is not enough for
	cut       context.CancelFunc
}

// result is an attempt that has ended, or a delivery that is given back without one.
type result struct {
	delivery webhook.Delivery
	outcome  webhook.Outcome
	released bool
}

// NewDispatcher returns a dispatcher that holds the lease.
func NewDispatcher(hooks *Webhooks, store ports.Deliveries, sender ports.Sender, lease domain.UUID, observer ports.Observer, o Options) *Dispatcher {
	d := &Dispatcher{
		hooks: hooks, store: store, sender: sender, observer: observer, opts: o.withDefaults(), lease: lease,
		claims: make(chan struct{}, 1), results: make(chan struct{}, 1), endpoints: map[domain.UUID]*endpoint{},
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
// grace, gives back what was not sent, and returns when everything is settled. Stop the recorder first.
func (d *Dispatcher) Run(ctx context.Context) error {
	var next map[domain.UUID]time.Time
	if err := persist(ctx, d.observer, "take_over", func(ctx context.Context) (err error) {
		next, err = d.store.TakeOver(ctx, d.lease, time.Now())
		return err
	}); err != nil {
		return nil // stopped before it began
	}
	d.expect(next)
	settling, endSettling := context.WithCancel(context.WithoutCancel(ctx))
	defer endSettling()
	var settler sync.WaitGroup
	settler.Go(func() { d.settle(settling) })
	d.claim(ctx)
	d.stop()
	endSettling()
	settler.Wait()
	return nil
}

// at returns the endpoint of a webhook. The caller holds d.mu.
func (d *Dispatcher) at(id domain.UUID) *endpoint {
	e := d.endpoints[id]
	if e == nil {
		e = &endpoint{id: id}
		d.endpoints[id] = e
		d.order = append(d.order, e)
	}
	return e
}

// reserve promises a place to a delivery that is about to be stored, unless older ones wait in the store for one.
func (d *Dispatcher) reserve(id domain.UUID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.at(id)
	if d.stopped || e.held() >= 2*d.opts.PerEndpoint || !e.due.IsZero() && !e.due.After(time.Now()) {
		return false
	}
	e.reserved++
	return true
}

// withdraw takes back the promises made to deliveries that could not be stored.
func (d *Dispatcher) withdraw(ds []webhook.Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range ds {
		if ds[i].Progress.Status() == webhook.InFlight {
			d.at(ds[i].Webhook).reserved--
		}
	}
}

// accept takes on deliveries that have been stored, but for those that the store left out.
func (d *Dispatcher) accept(ds []webhook.Delivery, left []domain.UUID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range ds {
		e := d.at(ds[i].Webhook)
		born := ds[i].Progress.Status() == webhook.InFlight
		if born {
			e.reserved--
		}
		switch stored := !slices.Contains(left, ds[i].ID); {
		case stored && born:
			e.queue = append(e.queue, ds[i])
		case stored:
			e.expect(ds[i].CreatedAt)
			ring(d.claims)
		}
	}
	d.pump()
}

// expect notes when the store has something due.
func (d *Dispatcher) expect(next map[domain.UUID]time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, due := range next {
		d.at(id).expect(due)
	}
	ring(d.claims)
}

// Due tells the dispatcher that a webhook has a pending delivery due now, which it has not recorded itself.
func (d *Dispatcher) Due(hook domain.UUID) { d.expect(map[domain.UUID]time.Time{hook: time.Now()}) }

// pump starts as many attempts as there are places, endpoint by endpoint. The caller holds d.mu.
func (d *Dispatcher) pump() {
	for idle := 0; idle < len(d.order) && !d.stopped && d.sending < d.opts.MaxInFlight; {
		d.turn = (d.turn + 1) % len(d.order)
		if d.start(d.order[d.turn]) {
			idle = 0
		} else {
			idle++
		}
	}
}

// start begins one attempt at an endpoint, if it has something to send and a place. The caller holds d.mu.
func (d *Dispatcher) start(e *endpoint) bool {
	if len(e.queue) == 0 || e.sending >= e.places(&d.opts, d.opts.MaxInFlight-d.sending) {
		return false
	}
	next := e.queue[0]
	e.queue[0] = webhook.Delivery{}
	if e.queue = e.queue[1:]; len(e.queue) == 0 {
		e.queue = nil
	}
	hook, err := d.hooks.Webhook(e.id)
	if err != nil || hook.Activation != webhook.Active {
		d.finish(result{delivery: next, released: true})
		return true
	}
	e.sending++
	d.sending++
	d.sends.Go(func() { d.send(hook, next) })
	return true
}

// send makes one attempt.
func (d *Dispatcher) send(hook webhook.Webhook, next webhook.Delivery) {
	outcome := d.sender.Send(d.cutoff, request(&hook, &next))
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.at(hook.ID)
	e.sending--
	d.sending--
	if class := outcome.Class(); class != webhook.ClassInterrupted {
		e.failing = class != webhook.ClassNone
	}
	d.finish(result{delivery: next, outcome: outcome})
	d.pump()
}

func request(hook *webhook.Webhook, d *webhook.Delivery) webhook.Request {
	return webhook.Request{
		Delivery: d.ID, Event: d.Event, Type: d.Type, Attempt: d.Progress.Attempts(),
		URL: hook.URL, Headers: hook.Headers, Keys: hook.Keys, Body: d.Payload,
	}
}

// finish leaves a result to be settled. The caller holds d.mu.
func (d *Dispatcher) finish(r result) {
	d.settled = append(d.settled, r)
	ring(d.results)
}

// stop ends the sending: attempts under way get their grace, what waits for a place is given back.
func (d *Dispatcher) stop() {
	d.mu.Lock()
	d.stopped = true
	for _, e := range d.order {
		for _, waiting := range e.queue {
			d.finish(result{delivery: waiting, released: true})
		}
		e.queue = nil
	}
	d.mu.Unlock()
	grace := time.AfterFunc(d.opts.Grace, d.cut)
	defer grace.Stop()
	d.sends.Wait()
	d.cut()
}

// Stats is what the dispatcher tells operators.
type Stats struct {
	Sending int // attempts under way
	Waiting int // in flight and waiting for a place
}

// Stats returns a snapshot.
func (d *Dispatcher) Stats() (s Stats) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Sending = d.sending
	for e := range maps.Values(d.endpoints) {
		s.Waiting += len(e.queue)
	}
	return s
}

// plan is how a webhook's failed attempts are repeated.
func (d *Dispatcher) plan(hook domain.UUID) webhook.Plan {
	p := webhook.Plan{Policy: d.opts.Policy}
	if w, err := d.hooks.Webhook(hook); err == nil {
		p.Retries = w.Retries
	}
	return p
}

// next returns where a result leaves its delivery.
func (d *Dispatcher) next(r *result, now time.Time) (webhook.Progress, error) {
	if r.released {
		return r.delivery.Progress.Release(now)
	}
	return r.delivery.Progress.Settle(r.outcome, d.plan(r.delivery.Webhook), now, rand.Float64())
}
