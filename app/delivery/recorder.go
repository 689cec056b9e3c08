package delivery

import (
	"context"
	"time"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

const (
	// recordBatch is how many events are acknowledged together at most. What comes while some are stored waits for the
	// next batch: the busier the log, the fewer transactions per event.
	recordBatch = 256
	// recordRows is how many deliveries are stored in one transaction, give or take those of one event.
	recordRows = 1024
)

// Recorder stores a delivery for each webhook that wants an event. Use NewRecorder, then Run.
type Recorder struct {
	gate       *eventlog.Gate
	hooks      *Webhooks
	store      ports.Deliveries
	dispatcher *Dispatcher
	newID      func() domain.UUID
	observer   ports.Observer
}

// NewRecorder returns a recorder with a gate in the log. From now on publishers wait for it, so Run must follow.
func NewRecorder(log *eventlog.Log, hooks *Webhooks, store ports.Deliveries, d *Dispatcher, newID func() domain.UUID, observer ports.Observer) *Recorder {
	r := &Recorder{gate: log.NewGate(hooks.Wanted()), hooks: hooks, store: store, dispatcher: d, newID: newID, observer: observer}
	hooks.OnChange(func() { r.gate.Want(hooks.Wanted()) })
	return r
}

// Run records until ctx ends and everything published before is stored, or the store has failed once more. Stop the
// producers first: the gate stays in the log, so that what is not stored is never acknowledged.
func (r *Recorder) Run(ctx context.Context) error {
	longer, end := outlive(ctx, stopPatience)
	defer end()
	entries := make([]domain.Entry, 0, recordBatch)
	for {
		batch, err := r.gate.Next(ctx, entries)
		if err != nil {
			return nil
		}
		if err := r.record(ctx, longer, batch); err != nil {
			return nil // the observer knows, and publishers go on waiting
		}
		r.gate.Store(batch[len(batch)-1].Seq)
		clear(batch) // the log may be done with them long before the next ones come
	}
}

// record stores the deliveries of a batch, and tries under ctx until that is done, or until has ended and one more try failed.
func (r *Recorder) record(until, ctx context.Context, batch []domain.Entry) error {
	var ds []webhook.Delivery
	var hooks []domain.UUID
	for i := range batch {
		hooks = r.hooks.Match(batch[i].Type, hooks[:0])
		ds = r.appendDeliveries(ds, &batch[i], hooks)
		if len(ds) < recordRows && i < len(batch)-1 {
			continue
		}
		if err := r.storeDeliveries(until, ctx, ds); err != nil {
			return err
		}
		ds = ds[:0]
	}
	return nil
}

// appendDeliveries makes the deliveries of one event, in flight where their endpoint has room.
func (r *Recorder) appendDeliveries(ds []webhook.Delivery, e *domain.Entry, hooks []domain.UUID) []webhook.Delivery {
	now := time.Now()
	if e.Trace != nil && len(hooks) > 0 {
		r.dispatcher.traces.Remember(e.ID, e.Trace)
	}
	for _, hook := range hooks {
		d := webhook.Delivery{
			ID: r.newID(), Webhook: hook, Event: e.ID, Type: e.Type, Payload: e.JSON, CreatedAt: now,
			Progress: webhook.NewProgress(now),
		}
		if r.dispatcher.reserve(hook) {
			d.Progress, _ = d.Progress.Begin() // a new one is always pending
		}
		ds = append(ds, d)
	}
	return ds
}

func (r *Recorder) storeDeliveries(until, ctx context.Context, ds []webhook.Delivery) error {
	if len(ds) == 0 {
		return nil
	}
	var left []domain.UUID
	err := persist(until, ctx, r.observer, "record", func(ctx context.Context) (err error) {
		left, err = r.store.Record(ctx, r.dispatcher.lease, ds)
		return err
	})
	if err == nil {
		r.dispatcher.accept(ds, left)
	}
	return err
}

// reserve promises a place to a delivery that is about to be stored, unless there is none, or older ones wait in the
// store for one.
func (d *Dispatcher) reserve(hook domain.UUID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.at(hook)
	if d.stopped || e.room(&d.opts) <= 0 || !e.due.IsZero() && !e.due.After(time.Now()) {
		return false
	}
	e.reserved++
	return true
}

// accept takes on deliveries that have been stored, but for those that the store has left out.
func (d *Dispatcher) accept(ds []webhook.Delivery, left []domain.UUID) {
	out := make(map[domain.UUID]bool, len(left))
	for _, id := range left {
		out[id] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range ds {
		e := d.at(ds[i].Webhook)
		born := ds[i].Progress.Status() == webhook.InFlight
		if born {
			e.reserved--
		}
		switch {
		case out[ds[i].ID]:
		case born:
			d.enqueue(e, ds[i])
		default:
			e.expect(ds[i].CreatedAt)
		}
	}
	d.pump()
	ring(d.claims)
}
