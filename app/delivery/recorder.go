package delivery

import (
	"context"
	"time"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

// recordBatch is how many events are stored in one transaction at most. What comes while one is stored waits for the next:
// the busier the log, the fewer transactions per event.
const recordBatch = 256

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

// Run records until ctx ends and everything published before is stored. Stop the producers first.
func (r *Recorder) Run(ctx context.Context) error {
	defer r.gate.Close()
	entries := make([]domain.Entry, 0, recordBatch)
	for {
		batch, err := r.gate.Next(ctx, entries)
		if err != nil {
			return nil
		}
		if err := r.record(ctx, batch); err != nil {
			return nil // it was told of; who published gets no acknowledgement
		}
		r.gate.Store(batch[len(batch)-1].Seq)
	}
}

// record stores the deliveries of a batch, and tries until that is done or ctx has ended and one more try failed.
func (r *Recorder) record(ctx context.Context, batch []domain.Entry) error {
	ds := r.deliveries(batch)
	if len(ds) == 0 {
		return nil
	}
	var left []domain.UUID
	err := persist(ctx, r.observer, "record", func(ctx context.Context) (err error) {
		left, err = r.store.Record(ctx, r.dispatcher.lease, ds)
		return err
	})
	if err != nil {
		r.dispatcher.withdraw(ds)
		return err
	}
	r.dispatcher.accept(ds, left)
	return nil
}

// deliveries makes the deliveries of a batch, in flight where their endpoint has room.
func (r *Recorder) deliveries(batch []domain.Entry) []webhook.Delivery {
	var ds []webhook.Delivery
	var hooks []domain.UUID
	now := time.Now()
	for i := range batch {
		e := &batch[i]
		hooks = r.hooks.Match(e.Type, hooks[:0])
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
	}
	return ds
}
