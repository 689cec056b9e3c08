package telemetry

import (
	"bytes"
	"context"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// mirrorBatch is how many events are written with one call.
const mirrorBatch = 64

// Mirror writes one line for each event. It is a lossy reader of the log: when lines cannot be written as fast as events
// come, its cursor falls behind, and what the log no longer has by then is counted and told, in a line of its own. No
// publisher ever waits for it. Use NewMirror, then Run.
type Mirror struct {
	feed        ports.Feed
	subscribers func() int
	sample      uint64
	write       func([]byte) // a batch of lines
	log         zerolog.Logger
	lines       bytes.Buffer
	filter      domain.Filter
	none        bool                               // the level leaves nothing to write
	seen        [domain.TypeQueueStatus + 1]uint64 // by type, for the sample
	cursor      atomic.Uint64                      // what was written, or was not to be
	missed      atomic.Uint64                      // events that the log overtook it by
}

// NewMirror returns a mirror that writes to the logs. Of events below warn it writes every sample-th of each type; zero
// or one means all. subscribers counts connections.
func NewMirror(logs *Logs, feed ports.Feed, subscribers func() int, sample int) *Mirror {
	m := &Mirror{feed: feed, subscribers: subscribers, sample: uint64(max(sample, 1)), write: logs.writeLines}
	m.log = zerolog.New(&m.lines).Level(logs.level).With().Timestamp().Logger()
	for t := range domain.AllTypes.All() {
		if level(t) >= logs.level {
			m.filter.Types |= domain.Set(t)
		}
	}
	m.none = m.filter.Types == 0
	return m
}

// level returns how important an event of a type is.
func level(t domain.Type) zerolog.Level {
	switch t {
	case domain.TypeJobFailed:
		return zerolog.WarnLevel
	case domain.TypeJobProgress, domain.TypeQueueStatus:
		return zerolog.DebugLevel
	}
	return zerolog.InfoLevel
}

// Run writes until ctx ends, and then what was published before.
func (m *Mirror) Run(ctx context.Context) error {
	if m.none {
		<-ctx.Done()
		return nil
	}
	batch := make([]domain.Entry, 0, mirrorBatch)
	for {
		err := m.feed.Wait(ctx, domain.Seq(m.cursor.Load()))
		for m.round(batch) {
		}
		if err != nil {
			return nil
		}
	}
}

// round writes one batch. It reports whether there may be more.
func (m *Mirror) round(batch []domain.Entry) bool {
	entries, cursor, missed := m.feed.Read(domain.Seq(m.cursor.Load()), &m.filter, batch[:0])
	if missed > 0 {
		m.missed.Add(missed)
		m.log.Warn().Str("reader", "mirror").Uint64("missed", missed).Msg("events missed")
	}
	subscribers := 0
	if len(entries) > 0 {
		subscribers = m.subscribers()
	}
	for i := range entries {
		m.line(&entries[i], subscribers)
	}
	if m.lines.Len() > 0 {
		m.write(m.lines.Bytes())
		m.lines.Reset()
	}
	m.cursor.Store(uint64(cursor))
	clear(batch[:cap(batch)])
	return len(entries) == cap(batch)
}

// line makes the line of one event, unless the sample leaves it out.
func (m *Mirror) line(e *domain.Entry, subscribers int) {
	lvl := level(e.Type)
	if lvl < zerolog.WarnLevel {
		if m.seen[e.Type]++; m.seen[e.Type]%m.sample != 1%m.sample {
			return
		}
	}
	event, err := domain.DecodeEvent(e.JSON)
	if err != nil {
		m.log.Error().Stringer("event.id", e.ID).Msg("an event that cannot be read") // never: we have written it
		return
	}
	l := m.log.WithLevel(lvl).Stringer("event.type", e.Type).Stringer("event.id", e.ID).
		Time("event.occurred_at", e.OccurredAt.UTC())
	if !e.Job.IsZero() {
		l.Stringer("job_id", e.Job)
	}
	if !e.Note.IsZero() {
		l.Stringer("note_id", e.Note)
	}
	fields(l, event.Payload)
	if e.Trace != nil {
		l.Str("trace_id", e.Trace.TraceID())
	}
	if m.sample > 1 && lvl < zerolog.WarnLevel {
		l.Uint64("sample", m.sample)
	}
	l.Int("subscribers", subscribers).Int64("latency_us", max(0, time.Since(e.OccurredAt).Microseconds())).Msg("event")
}

// fields adds what lines hold of a payload. It names each field: what is not named here, a note's title and tags or a
// job's message, is not in any line.
func fields(l *zerolog.Event, p domain.Payload) {
	switch p := p.(type) {
	case domain.JobQueued:
		l.Str("job_type", string(p.JobType))
	case domain.JobStarted:
		l.Str("job_type", string(p.JobType))
	case domain.JobProgress:
		if p.JobType != "" {
			l.Str("job_type", string(p.JobType))
		}
		l.Int("progress", p.Percent)
	case domain.JobCompleted:
		l.Str("job_type", string(p.JobType))
		if p.DurationMS != nil {
			l.Int64("duration_ms", *p.DurationMS)
		}
	case domain.JobFailed:
		l.Str("job_type", string(p.JobType)).Bool("will_retry", p.WillRetry).Str("error", excerpt(p.Error))
	case domain.NoteUpdated:
		l.Str("operation", string(p.Operation))
		if p.UserID != "" {
			l.Str("user_id", p.UserID)
		}
	case domain.QueueStatus:
		l.Int("running", p.Running).Int("pending", p.Pending)
	}
}

// Lag returns how many entries of the log the mirror has yet to pass, and how many it has missed.
func (m *Mirror) Lag() (behind, missed uint64) {
	if m.none {
		return 0, 0
	}
	if head, at := uint64(m.feed.Head()), m.cursor.Load(); head > at {
		behind = head - at
	}
	return behind, m.missed.Load()
}
