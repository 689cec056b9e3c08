package memory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

var (
	_ ports.Outbox       = (*Outbox)(nil)
	_ ports.OutboxKeeper = (*Outbox)(nil)
	_ ports.Probe        = (*Outbox)(nil)
)

// outboxRow is a record and when it was written.
type outboxRow struct {
	ports.OutboxRecord
	at time.Time
}

// Outbox implements ports.Outbox, ports.OutboxKeeper and ports.Probe. Use Store.Outbox.
type Outbox struct {
	s      *Store
	looked int64 // position up to which Pending has looked; guarded by s.mu
}

// Outbox returns a reader of the outbox as a new process finds it.
func (s *Store) Outbox() *Outbox { return &Outbox{s: s} }

// append adds a record. The caller holds s.mu.
func (s *Store) append(r ports.OutboxRecord) {
	s.last++
	r.Position = s.last
	s.records = append(s.records, outboxRow{r, time.Now()})
	s.ring()
}

// Append commits a record whose body is JSON as producers send it; kind is worker, note or canary. What cannot be read
// becomes a bad record.
func (s *Store) Append(kind, body string) {
	r, err := decode(kind, []byte(body))
	if err != nil {
		r = ports.OutboxRecord{Bad: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.append(r)
}

func decode(kind string, body []byte) (ports.OutboxRecord, error) {
	switch kind {
	case "worker":
		e, err := domain.DecodeWorkerEvent(body)
		if err == nil && (e.EventID.IsZero() || e.OccurredAt.IsZero()) {
			err = errNoOrigin
		}
		return ports.OutboxRecord{Worker: &e}, err
	case "note":
		e, err := domain.DecodeNoteEvent(body)
		if err == nil && (e.EventID.IsZero() || e.OccurredAt.IsZero()) {
			err = errNoOrigin
		}
		return ports.OutboxRecord{Note: &e}, err
	case "canary":
		var c struct {
			EventID domain.UUID `json:"event_id"`
		}
		err := domain.DecodeStrict(body, &c)
		if err == nil && c.EventID.IsZero() {
			err = errNoOrigin
		}
		return ports.OutboxRecord{Canary: c.EventID}, err
	}
	return ports.OutboxRecord{}, errNoKind
}

var errNoOrigin = errors.New("memory: event_id or occurred_at is missing")

// Pending implements ports.Outbox.
func (o *Outbox) Pending(_ context.Context, limit int) ([]ports.OutboxRecord, error) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	found := make([]ports.OutboxRecord, min(max(limit, 0), len(o.s.records)))
	for i := range found {
		found[i] = o.s.records[i].OutboxRecord
	}
	switch {
	case len(found) < limit:
		o.looked = o.s.last
	case len(found) > 0: // there may be more
		o.looked = found[len(found)-1].Position
	}
	return found, nil
}

// Remove implements ports.Outbox.
func (o *Outbox) Remove(_ context.Context, positions ...int64) error {
	gone := make(map[int64]bool, len(positions))
	for _, p := range positions {
		gone[p] = true
	}
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	o.s.records = slices.DeleteFunc(o.s.records, func(r outboxRow) bool { return gone[r.Position] })
	return nil
}

// Stats implements ports.OutboxMeter.
func (o *Outbox) Stats(context.Context) (ports.OutboxStats, error) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	if len(o.s.records) == 0 {
		return ports.OutboxStats{}, nil
	}
	return ports.OutboxStats{Records: len(o.s.records), Oldest: time.Since(o.s.records[0].at)}, nil
}

// Supersede implements ports.OutboxKeeper.
func (o *Outbox) Supersede(ctx context.Context) (int, error) {
	o.s.mu.Lock()
	var all domain.Superseded
	var gone []int64
	for _, r := range o.s.records {
		if r.Worker != nil {
			if position, ok := all.By(r.Position, r.Worker); ok {
				gone = append(gone, position)
			}
		}
	}
	o.s.mu.Unlock()
	return len(gone), o.Remove(ctx, gone...)
}

// Wait implements ports.Outbox.
func (o *Outbox) Wait(ctx context.Context) error {
	for {
		o.s.mu.Lock()
		news, bell := o.s.last > o.looked, o.s.bell
		o.s.mu.Unlock()
		if news {
			return nil
		}
		select {
		case <-bell:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// WriteCanary implements ports.Probe.
func (o *Outbox) WriteCanary(_ context.Context, id domain.UUID) error {
	if err := o.s.begin(); err != nil {
		return err
	}
	defer o.s.mu.Unlock()
	o.s.append(ports.OutboxRecord{Canary: id})
	return nil
}
