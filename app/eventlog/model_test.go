package eventlog_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// model is the log as a plain slice: entry n stands at n-1, and nothing ever leaves.
type model struct {
	log                          *eventlog.Log
	capacity, maxBytes, remember int
	entries                      []domain.Entry
	first                        domain.Seq // the oldest that should be kept
	readers                      []*reader
	published                    [domain.TypeQueueStatus + 1]uint64
}

type reader struct {
	filter domain.Filter
	cursor domain.Seq
	last   domain.UUID // the last event delivered; zero for none
}

// The invariant: every reader sees exactly the filtered sequence, or a counted gap, whatever happens around it.
func TestLogAgainstAPlainSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			capacity: rapid.IntRange(1, 8).Draw(t, "capacity"),
			maxBytes: rapid.IntRange(100, 2500).Draw(t, "bytes"),
			first:    1,
		}
		m.remember = m.capacity + rapid.IntRange(-1, 8).Draw(t, "remember more")
		m.log = eventlog.New(origin, eventlog.Options{Capacity: m.capacity, Bytes: m.maxBytes, Remember: max(1, m.remember)})
		m.remember = max(m.remember, m.capacity)
		t.Repeat(map[string]func(*rapid.T){
			"append":  m.append,
			"append2": m.append, // as often as reads
			"connect": m.connect,
			"read":    m.read,
			"read2":   m.read,
			"resume":  m.resume,
			"":        m.check,
		})
	})
}

var (
	someID  = rapid.Map(rapid.IntRange(0, 19), id) // few, so that they come again
	subject = rapid.SampledFrom([]domain.UUID{{}, id(1001), id(1002), id(1003)})
)

func drawEvent(t *rapid.T) domain.Event {
	ref := domain.JobRef{JobID: id(1001 + rapid.IntRange(0, 2).Draw(t, "job")), JobType: "Embedding", NoteID: subject.Draw(t, "note")}
	text := strings.Repeat("m", rapid.IntRange(0, 1000).Draw(t, "length"))
	return domain.Event{ID: someID.Draw(t, "id"), OccurredAt: noon, Payload: rapid.SampledFrom([]domain.Payload{
		domain.JobQueued{JobRef: ref},
		domain.JobStarted{JobRef: ref},
		domain.JobProgress{JobRef: ref, Percent: len(text) % 101, Message: text},
		domain.JobCompleted{JobRef: ref},
		domain.JobFailed{JobRef: ref, Error: text},
		domain.NoteUpdated{NoteID: id(1002), Operation: domain.Updated, Title: text},
		domain.QueueStatus{Pending: len(text)},
	}).Draw(t, "payload")}
}

// find returns the place of the newest entry with the ID among those that the log must remember.
func (m *model) find(id domain.UUID) domain.Seq {
	for n := len(m.entries); n > max(0, len(m.entries)-m.remember); n-- {
		if m.entries[n-1].ID == id {
			return domain.Seq(n)
		}
	}
	return 0
}

func (m *model) append(t *rapid.T) {
	e := drawEvent(t)
	known := m.find(e.ID)
	seq, fresh, err := m.log.Append(t.Context(), e)
	if err != nil || fresh != (known == 0) {
		t.Fatalf("Append = %d, %v, %v; known at %d", seq, fresh, err, known)
	}
	if known != 0 {
		if seq != known {
			t.Fatalf("Append of a known event = %d, want %d", seq, known)
		}
		return
	}
	entry := domain.Entry{Seq: domain.Seq(len(m.entries) + 1), ID: e.ID, Type: e.Type(), OccurredAt: e.OccurredAt, JSON: e.AppendJSON(nil)}
	entry.Job, entry.Note = e.Payload.Subject()
	if seq != entry.Seq {
		t.Fatalf("Append = %d, want %d", seq, entry.Seq)
	}
	m.entries = append(m.entries, entry)
	m.published[entry.Type]++
	for m.first < seq && (len(m.kept()) > m.capacity || m.keptBytes() > m.maxBytes) {
		m.first++
	}
}

func (m *model) kept() []domain.Entry { return m.entries[m.first-1:] }

func (m *model) keptBytes() (sum int) {
	for _, e := range m.kept() {
		sum += len(e.JSON)
	}
	return sum
}

func (m *model) connect(t *rapid.T) {
	r := &reader{cursor: m.log.Head()}
	if rapid.Bool().Draw(t, "filtered") {
		r.filter = domain.Filter{
			Types: domain.TypeSet(rapid.Uint8().Draw(t, "types")) & domain.AllTypes,
			Jobs:  rapid.SliceOfN(subject, 0, 2).Draw(t, "jobs"),
			Notes: rapid.SliceOfN(subject, 0, 2).Draw(t, "notes"),
		}
	}
	m.readers = append(m.readers, r)
}

func (m *model) pick(t *rapid.T) *reader {
	if len(m.readers) == 0 {
		t.Skip("nobody is connected")
	}
	return rapid.SampledFrom(m.readers).Draw(t, "reader")
}

func (m *model) read(t *rapid.T) {
	r := m.pick(t)
	prefix, room := rapid.IntRange(0, 2).Draw(t, "prefix"), rapid.IntRange(0, 10).Draw(t, "room")
	got, cursor, missed := m.log.Read(r.cursor, &r.filter, make([]domain.Entry, prefix, prefix+room))
	if got = got[prefix:]; len(got) > room {
		t.Fatalf("%d entries in room for %d", len(got), room)
	}
	from := max(r.cursor, m.first-1)
	if missed != uint64(from-r.cursor) {
		t.Fatalf("missed %d, want %d: read from %d, kept from %d", missed, from-r.cursor, r.cursor, m.first)
	}
	head := domain.Seq(len(m.entries))
	if cursor < from || cursor > head || cursor < head && len(got) < room {
		t.Fatalf("cursor %d after %d entries in room for %d; started at %d, head %d", cursor, len(got), room, from, head)
	}
	var want []domain.Entry
	for i := range m.entries[from:cursor] {
		if e := &m.entries[int(from)+i]; r.filter.Match(e) {
			want = append(want, *e)
		}
	}
	if !slices.EqualFunc(want, got, sameEntry) {
		t.Fatalf("between %d and %d the reader of %+v saw %v, want %v", from, cursor, r.filter, seqs(got), seqs(want))
	}
	r.cursor = cursor
	if len(got) > 0 {
		r.last = got[len(got)-1].ID
	}
}

func sameEntry(a, b domain.Entry) bool {
	return a.Seq == b.Seq && a.ID == b.ID && a.Type == b.Type && a.Job == b.Job && a.Note == b.Note &&
		a.OccurredAt.Equal(b.OccurredAt) && bytes.Equal(a.JSON, b.JSON)
}

// resume is a client that reconnects with the last event that it saw, or one that it made up.
func (m *model) resume(t *rapid.T) {
	r := m.pick(t)
	last := r.last
	if rapid.Bool().Draw(t, "another event") {
		last = rapid.OneOf(someID, rapid.Just(origin), rapid.Just(m.log.CursorID(r.cursor))).Draw(t, "last event")
	}
	place := m.log.Locate(last)
	seq := m.find(last)
	want := domain.Place{Seq: seq, Standing: domain.StandingKept}
	switch {
	case seq == 0 && last != origin:
		want.Standing = domain.StandingUnknown
	case seq+1 < m.first:
		want.Standing = domain.StandingExpired
	}
	if len(m.entries) > 0 {
		want.Oldest = m.kept()[0].ID
	}
	if place != want {
		t.Fatalf("Locate(%v) = %+v, want %+v", last, place, want)
	}
	r.cursor = m.log.Head()
	if place.Standing != domain.StandingUnknown {
		r.cursor = place.Seq
	}
}

// check runs after every step.
func (m *model) check(t *rapid.T) {
	head := domain.Seq(len(m.entries))
	want := eventlog.Stats{Head: head, Published: m.published}
	if head > 0 {
		want.Entries, want.Bytes, want.Oldest = len(m.kept()), m.keptBytes(), m.kept()[0].OccurredAt
	}
	got := m.log.Stats()
	if got != want || m.log.Head() != head {
		t.Fatalf("Stats = %+v, Head %d; want %+v", got, m.log.Head(), want)
	}
	if got.Entries > m.capacity || got.Bytes > m.maxBytes && got.Entries > 1 || got.Entries == 0 && head > 0 {
		t.Fatalf("%d entries of %d bytes are kept, allowed are %d of %d", got.Entries, got.Bytes, m.capacity, m.maxBytes)
	}
	for seq := range head + 2 {
		cursor := origin
		if seq >= m.first && seq <= head {
			cursor = m.entries[seq-1].ID
		}
		if got := m.log.CursorID(seq); got != cursor {
			t.Fatalf("CursorID(%d) = %v, want %v", seq, got, cursor)
		}
	}
}
