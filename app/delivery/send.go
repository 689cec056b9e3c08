package delivery

import (
	"context"
	"time"

	"github.com/matric/matric-events/app/trace"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// maxUnsettled bounds the outcomes that wait to be stored. While the store fails, nothing more is sent than a crash
// would have sent again.
const maxUnsettled = 4 * settleBatch

// pump starts as many attempts as there are places, the endpoints taking turns. The caller holds d.mu.
//
// The last quarter of the places is for endpoints that have no attempt under way and did not fail the last time: however
// many endpoints hang, once that is known they leave it to the others.
func (d *Dispatcher) pump() {
	kept := d.opts.MaxInFlight / 4
	for waiting := 0; waiting < len(d.ready) && d.mayStart(); {
		e := d.ready[0]
		d.ready[0] = nil
		d.ready = d.ready[1:]
		if len(e.queue) == 0 || e.gone || e.sending >= e.limit(&d.opts) {
			e.listed = false // whatever changes that lists it again
			continue
		}
		if d.opts.MaxInFlight-d.sending > kept || e.sending == 0 && !e.failing {
			d.start(e)
			waiting = 0
		} else {
			waiting++
		}
		d.ready = append(d.ready, e)
	}
}

func (d *Dispatcher) mayStart() bool {
	return !d.stopped && d.sending < d.opts.MaxInFlight && len(d.ended)+d.settling < maxUnsettled
}

// start begins an attempt at the endpoint's first delivery, or gives it back when the webhook is not active: it is held in
// the store. The caller holds d.mu.
func (d *Dispatcher) start(e *endpoint) {
	f := e.next()
	hook, err := d.hooks.Webhook(e.id)
	if err != nil || hook.Activation != webhook.Active {
		d.release(f)
		return
	}
	e.sending++
	d.sending++
	d.sends.Go(func() {
		d.send(&hook, f)
		d.mu.Lock()
		defer d.mu.Unlock()
		e.sending--
		d.sending--
		if class := f.outcome.Class(); class != webhook.ClassInterrupted {
			e.failing = class != webhook.ClassNone
		}
		e.gone = e.gone || f.outcome.Gone()
		d.finish(f)
		d.list(e)
		d.pump()
	})
}

// release gives a delivery back. The caller holds d.mu.
func (d *Dispatcher) release(f *flight) {
	f.released, f.ended = true, time.Now()
	d.finish(f)
}

// send makes one attempt.
func (d *Dispatcher) send(hook *webhook.Webhook, f *flight) {
	f.outcome = d.sender.Send(d.cutoff, webhook.Request{
		Delivery: f.ID, Webhook: f.Webhook, Event: f.Event, Type: f.Type, Attempt: f.Progress.Attempts(),
		URL: hook.URL, Headers: hook.Headers, Keys: hook.Keys, Body: f.Payload, Trace: trace.Below(d.traces.Recall(f.Event)),
	})
	f.ended = time.Now()
}

// test stores a delivery born in flight and makes one attempt at it, beside the endpoint's queue. It returns once it is
// stored what became of it, or ctx has ended, which does not end the attempt.
func (d *Dispatcher) test(ctx context.Context, hook *webhook.Webhook, sample *webhook.Delivery) error {
	f := &flight{Delivery: *sample, sample: true, settled: make(chan struct{})}
	failed := make(chan error, 1)
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		return domain.ErrUnavailable
	}
	d.sends.Go(func() {
		switch left, err := d.recordSample(context.WithoutCancel(ctx), f); {
		case err != nil: // it may be stored nevertheless, and is to be called off then
			f.outcome.Fault = webhook.ClassInterrupted
			failed <- err
		case len(left) > 0:
			failed <- domain.ErrNotFound
			return
		default:
			d.send(hook, f)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.finish(f)
	})
	d.mu.Unlock()
	select {
	case <-f.settled:
		return nil
	case err := <-failed:
		return err
	case <-d.over:
		return domain.ErrUnavailable
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Dispatcher) recordSample(ctx context.Context, f *flight) (left []domain.UUID, err error) {
	err = try(ctx, func(ctx context.Context) (err error) {
		left, err = d.store.Record(ctx, d.lease, []webhook.Delivery{f.Delivery})
		return err
	})
	return left, err
}
