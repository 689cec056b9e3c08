package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/app/trace"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Bridge turns what producers report into events in the log. It remembers each job's type, note, start and phase, so that
// later reports may leave them out and nothing follows a job's end. Use NewBridge. Safe for concurrent use.
type Bridge struct {
	log   *eventlog.Log
	newID func() domain.UUID
	queue QueueWatcher
	// turn holds one token. Its holder alone translates and appends, so that the memory of a job changes in the order in
	// which its events stand in the log. A channel, because waiting for it must end with the caller's context.
	turn   chan struct{}
	jobs   *jobMemories
	traces *trace.Memory
	// reported and drained count what was appended, by type.
	reported, drained typeCounts
}

// typeCounts counts events by type.
type typeCounts [domain.TypeQueueStatus + 1]atomic.Uint64

func (c *typeCounts) load() (n [domain.TypeQueueStatus + 1]uint64) {
	for i := range c {
		n[i] = c[i].Load()
	}
	return n
}

// Published returns how many events the bridge has appended to the log, by type: those that producers reported to it, and
// those that the drain brought from the outbox.
func (b *Bridge) Published() (reported, drained [domain.TypeQueueStatus + 1]uint64) {
	return b.reported.load(), b.drained.load()
}

var _ ports.Publisher = (*Bridge)(nil)

// QueueWatcher is told of everything that may change the counts of a QueueStatus.
type QueueWatcher interface {
	Changed() // a job's state changed
	Demand()  // a QueueStatus is due, changed or not
}

// BridgeOptions tune NewBridge.
type BridgeOptions struct {
	RememberJobs int // jobs remembered, the least recently heard of forgotten first; zero means 65536
	// Traces are those of notes and jobs that were written in one. Nil for a memory of the bridge's own.
	Traces *trace.Memory
}

// NewBridge returns a bridge to the log. newID makes UUIDv7 identifiers.
func NewBridge(log *eventlog.Log, newID func() domain.UUID, queue QueueWatcher, o BridgeOptions) *Bridge {
	if o.RememberJobs <= 0 {
		o.RememberJobs = 1 << 16
	}
	if o.Traces == nil {
		o.Traces = trace.NewMemory()
	}
	b := &Bridge{traces: o.Traces, log: log, newID: newID, queue: queue, turn: make(chan struct{}, 1), jobs: newJobMemories(o.RememberJobs)}
	b.turn <- struct{}{}
	return b
}

// report is a producer's item on its way to the log; exactly one of worker and note is set.
type report struct {
	worker *domain.WorkerEvent
	note   *domain.NoteEvent
	hosted bool // from the outbox; its job, if it has one, is of a queue that is counted there
	trace  *domain.Trace
}

// PublishWorkerEvents implements ports.Publisher.
func (b *Bridge) PublishWorkerEvents(ctx context.Context, batch []domain.WorkerEvent) (ports.Receipt, error) {
	reports := make([]report, len(batch))
	for i := range batch {
		if err := batch[i].Validate(); err != nil {
			return ports.Receipt{}, domain.AtIndex(err, i)
		}
		reports[i] = report{worker: &batch[i]}
	}
	return b.publish(ctx, reports)
}

// PublishNoteEvents implements ports.Publisher.
func (b *Bridge) PublishNoteEvents(ctx context.Context, batch []domain.NoteEvent) (ports.Receipt, error) {
	reports := make([]report, len(batch))
	for i := range batch {
		if err := batch[i].Validate(); err != nil {
			return ports.Receipt{}, domain.AtIndex(err, i)
		}
		reports[i] = report{note: &batch[i]}
	}
	return b.publish(ctx, reports)
}

// publish appends valid reports in order, leaving out those for finished jobs unless it is the only one, and waits until
// they are stored wherever they must not be lost.
func (b *Bridge) publish(ctx context.Context, reports []report) (ports.Receipt, error) {
	var receipt ports.Receipt
	if t := trace.From(ctx); t != nil {
		for i := range reports {
			reports[i].trace = t
		}
	}
	span, err := b.appendAll(ctx, reports, func(_ int, err error) error {
		if len(reports) == 1 {
			return err
		}
		receipt.Skipped++
		return nil
	})
	if err == nil {
		err = b.log.Stored(ctx, span.from, span.through)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return ports.Receipt{}, fmt.Errorf("%w: %w", domain.ErrUnavailable, err)
	case err != nil:
		return ports.Receipt{}, err
	}
	receipt.Accepted = len(reports) - receipt.Skipped
	return receipt, nil
}

// span is a range of the log, both ends included; zero when empty.
type span struct{ from, through domain.Seq }

func (s *span) add(seq domain.Seq) {
	if s.from == 0 || seq < s.from {
		s.from = seq
	}
	s.through = max(s.through, seq)
}

// appendAll appends the reports in order. What to do about one for a finished job, onConflict decides: nil goes on.
func (b *Bridge) appendAll(ctx context.Context, reports []report, onConflict func(i int, err error) error) (s span, err error) {
	select {
	case <-b.turn:
		defer func() { b.turn <- struct{}{} }()
	case <-ctx.Done():
		return s, ctx.Err()
	}
	for i := range reports {
		seq, err := b.append(ctx, &reports[i])
		if errors.Is(err, domain.ErrConflict) {
			err = onConflict(i, err)
		}
		if err != nil {
			return s, err
		}
		if seq != 0 {
			s.add(seq)
		}
	}
	return s, nil
}

// append brings one report to the log. The sequence number is zero when there was nothing to append.
func (b *Bridge) append(ctx context.Context, r *report) (domain.Seq, error) {
	if r.note != nil {
		return b.add(ctx, r, b.event(r.note.EventID, r.note.OccurredAt, r.note.Note))
	}
	w := r.worker
	if p := b.log.Locate(w.EventID); !w.EventID.IsZero() && p.Standing != domain.StandingUnknown {
		return p.Seq, nil
	}
	e := b.event(w.EventID, w.OccurredAt, nil)
	memory := b.jobs.get(w.JobID)
	payload, memory, err := domain.Translate(*w, memory, e.OccurredAt)
	if err != nil {
		return 0, err
	}
	if payload == nil { // a worker came or went
		b.queue.Demand()
		return 0, nil
	}
	e.Payload = payload
	seq, err := b.add(ctx, r, e)
	if err != nil {
		return 0, err
	}
	b.jobs.put(w.JobID, memory, r.hosted)
	b.queue.Changed()
	return seq, nil
}

// add appends an event and counts it, unless it was appended before.
func (b *Bridge) add(ctx context.Context, r *report, e domain.Event) (domain.Seq, error) {
	e.Trace = b.traceOf(r.trace, e.Payload)
	seq, fresh, err := b.log.Append(ctx, e)
	if fresh && r.hosted {
		b.drained[e.Type()].Add(1)
	} else if fresh {
		b.reported[e.Type()].Add(1)
	}
	return seq, err
}

// traceOf returns the trace of an event: the one that its producer told, or else that of its job, or of the latest write
// of its note. A job keeps the first that is known of it, so that its later events are in the trace that it began in.
func (b *Bridge) traceOf(told *domain.Trace, p domain.Payload) *domain.Trace {
	job, note := p.Subject()
	t := told
	if t == nil {
		t = b.traces.Recall(job)
	}
	if t == nil {
		t = b.traces.Recall(note)
	}
	if t != nil && !job.IsZero() && b.traces.Recall(job) == nil {
		b.traces.Remember(job, t)
	}
	return t
}

func (b *Bridge) event(id domain.UUID, at time.Time, p domain.Payload) domain.Event {
	if id.IsZero() {
		id = b.newID()
	}
	if at.IsZero() {
		at = time.Now()
	}
	return domain.Event{ID: id, OccurredAt: at, Payload: p}
}

// CountJobs implements ports.JobCounter for the jobs that producers outside the built-in queue have reported and that are
// still remembered.
func (b *Bridge) CountJobs(context.Context) (domain.QueueStatus, error) { return b.jobs.count(), nil }

// Pass returns nil once the bridge and the log could take an event, or ctx's error. It is the canary's way through them.
func (b *Bridge) Pass(ctx context.Context) error {
	select {
	case <-b.turn:
		defer func() { b.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	b.log.Stats()
	return nil
}
