package app

import (
	"context"
	"fmt"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Drain brings committed changes from the outbox to the bridge, those of one row in the order of their commits, and at
// least once; the event ID that was stored with a change makes a repetition after a crash recognizable.
type Drain struct {
	outbox   ports.Outbox
	bridge   *Bridge
	observer ports.Observer
	canaries *Canaries

	published []int64 // positions of what is published and yet to be removed; of Run alone
}

// NewDrain returns a drain; Run does the work.
func NewDrain(outbox ports.Outbox, bridge *Bridge, observer ports.Observer, canaries *Canaries) *Drain {
	return &Drain{outbox: outbox, bridge: bridge, observer: observer, canaries: canaries}
}

const (
	drainBatch    = 1024
	drainMaxPause = 5 * time.Second // between tries while the store fails
)

// Run publishes until ctx ends. A failing store is reported and tried again.
func (d *Drain) Run(ctx context.Context) error {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		err := d.round(ctx)
		if err == nil {
			pause = 0
			continue
		}
		if ctx.Err() != nil {
			break
		}
		d.observer.Anomaly("outbox", err)
		pause = min(max(2*pause, 50*time.Millisecond), drainMaxPause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return nil
}

// round publishes one batch and removes it, or waits until there is something to publish. What could not be removed is not
// published again: the log may have forgotten by then that it knows it.
func (d *Drain) round(ctx context.Context) error {
	if len(d.published) == 0 {
		records, err := d.outbox.Pending(ctx, drainBatch)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if len(records) == 0 {
			return d.outbox.Wait(ctx)
		}
		if err := d.publish(ctx, records); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		for _, r := range records {
			d.published = append(d.published, r.Position)
		}
	}
	if err := d.outbox.Remove(ctx, d.published...); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	d.published = d.published[:0]
	return nil
}

func (d *Drain) publish(ctx context.Context, records []ports.OutboxRecord) error {
	reports := make([]report, 0, len(records))
	for _, r := range records {
		switch {
		case r.Bad != nil:
			d.observer.Anomaly("outbox_record", fmt.Errorf("position %d: %w", r.Position, r.Bad))
		case !r.Canary.IsZero():
			if err := d.bridge.Pass(ctx); err != nil {
				return err
			}
			d.canaries.arrived(r.Canary)
		default:
			reports = append(reports, report{worker: r.Worker, note: r.Note, hosted: true})
		}
	}
	span, err := d.bridge.appendAll(ctx, reports, func(_ int, err error) error {
		d.observer.Anomaly("late_event", err)
		return nil
	})
	if err != nil {
		return err
	}
	return d.bridge.log.Stored(ctx, span.from, span.through)
}

// Canaries sends health checks through the store, the drain, the bridge and the log.
type Canaries struct {
	probe ports.Probe
	newID func() domain.UUID
	calls waiters
}

// NewCanaries returns canaries that probe writes.
func NewCanaries(probe ports.Probe, newID func() domain.UUID) *Canaries {
	return &Canaries{probe: probe, newID: newID, calls: newWaiters()}
}

// canary is one of them on its way.
type canary struct {
	of   *Canaries
	id   domain.UUID
	back <-chan struct{}
}

func (c *Canaries) hatch() canary {
	id := c.newID()
	return canary{of: c, id: id, back: c.calls.add(id)}
}

// send commits the canary to the store.
func (c canary) send(ctx context.Context) error { return c.of.probe.WriteCanary(ctx, c.id) }

// await returns nil once the canary has come through.
func (c canary) await(ctx context.Context) error {
	select {
	case <-c.back:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the canary did not come through: %w", ctx.Err())
	}
}

func (c canary) forget() { c.of.calls.remove(c.id) }

func (c *Canaries) arrived(id domain.UUID) { c.calls.done(id) }
