package eventlog_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

func TestEmptyLog(t *testing.T) {
	l := eventlog.New(origin, eventlog.Options{})
	if l.Head() != 0 || l.CursorID(0) != origin {
		t.Errorf("Head() = %d, CursorID(0) = %v", l.Head(), l.CursorID(0))
	}
	if diff := cmp.Diff(eventlog.Stats{}, l.Stats()); diff != "" {
		t.Errorf("Stats (-want +got):\n%s", diff)
	}
	if got := l.Locate(origin); got != (domain.Place{}) {
		t.Errorf("Locate(origin) = %+v, want the place before the first event", got)
	}
	if got := l.Locate(id(1)); got.Standing != domain.StandingUnknown || !got.Oldest.IsZero() {
		t.Errorf("Locate of an unknown event = %+v", got)
	}
	entries, cursor, missed := l.Read(0, all, make([]domain.Entry, 0, 1))
	if len(entries) != 0 || cursor != 0 || missed != 0 {
		t.Errorf("Read = %v, %d, %d", entries, cursor, missed)
	}
	if err := l.Publish(t.Context()); err != nil {
		t.Errorf("Publish of nothing: %v", err)
	}
}

func TestAppendKeepsWhatFiltersAndReadersNeed(t *testing.T) {
	l := eventlog.New(origin, eventlog.Options{})
	e := domain.Event{ID: id(1), OccurredAt: noon, Payload: domain.JobStarted{
		JobRef: domain.JobRef{JobID: id(2), JobType: "Embedding", NoteID: id(3)},
	}}
	seq, fresh, err := l.Append(t.Context(), e)
	if seq != 1 || !fresh || err != nil {
		t.Fatalf("Append = %d, %v, %v", seq, fresh, err)
	}
	want := []domain.Entry{{
		Seq: 1, ID: id(1), Type: domain.TypeJobStarted, Job: id(2), Note: id(3), OccurredAt: noon, JSON: e.AppendJSON(nil),
	}}
	first, _, _ := l.Read(0, all, make([]domain.Entry, 0, 4))
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	second, _, _ := l.Read(0, all, make([]domain.Entry, 0, 4))
	if &first[0].JSON[0] != &second[0].JSON[0] {
		t.Error("two readers do not share the bytes")
	}
}

func TestAppendOfLaterEventsLeavesEarlierBytesAlone(t *testing.T) {
	l := eventlog.New(origin, eventlog.Options{Capacity: 2})
	fill(t, l, 0, 1)
	kept, _, _ := l.Read(0, all, make([]domain.Entry, 0, 1))
	want := status(0).AppendJSON(nil)
	fill(t, l, 1, 50) // encodes into the same scratch buffers, and drops the entry
	if string(kept[0].JSON) != string(want) {
		t.Errorf("bytes that a reader holds became %s", kept[0].JSON)
	}
}

func TestAppendOfAKnownIDIsNotRepeated(t *testing.T) {
	l := eventlog.New(origin, eventlog.Options{Capacity: 2, Remember: 4})
	fill(t, l, 0, 4)
	if seq, fresh, err := l.Append(t.Context(), status(0)); seq != 1 || fresh || err != nil {
		t.Errorf("Append of an event no longer kept = %d, %v, %v; want its first place", seq, fresh, err)
	}
	fill(t, l, 4, 5) // the fifth identifier pushes out the first
	if seq, fresh, err := l.Append(t.Context(), status(0)); seq != 6 || !fresh || err != nil {
		t.Errorf("Append of a forgotten event = %d, %v, %v", seq, fresh, err)
	}
}

func TestRememberCoversWhatIsKept(t *testing.T) {
	l := eventlog.New(origin, eventlog.Options{Capacity: 4, Remember: 1})
	fill(t, l, 0, 4)
	for n := range 4 {
		if got := l.Locate(id(n)); got.Standing != domain.StandingKept || got.Seq != domain.Seq(n+1) {
			t.Errorf("Locate(%d) = %+v, want it found: it is kept", n, got)
		}
	}
}

func TestAppendDoesNotWaitForRoomThatIsThere(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := eventlog.New(origin, eventlog.Options{Capacity: 1})
	for n := range 3 {
		if _, fresh, err := l.Append(ctx, status(n)); !fresh || err != nil {
			t.Errorf("Append(%d) under an ended context = %v, %v; there is nothing to wait for", n, fresh, err)
		}
	}
}

func TestBytesAreBounded(t *testing.T) {
	size := func(length int) int { return len(progress(0, length).AppendJSON(nil)) }
	l := eventlog.New(origin, eventlog.Options{Bytes: 3 * size(10)})
	put := func(n, length int) {
		t.Helper()
		if _, _, err := l.Append(t.Context(), progress(n, length)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(entries, bytes int, why string) {
		t.Helper()
		if s := l.Stats(); s.Entries != entries || s.Bytes != bytes {
			t.Errorf("%d entries of %d bytes, want %d of %d: %s", s.Entries, s.Bytes, entries, bytes, why)
		}
	}
	put(0, 10)
	put(1, 10)
	put(2, 10)
	want(3, 3*size(10), "exactly the bound fits")
	put(3, 11)
	want(2, size(10)+size(11), "one byte over the bound drops two")
	put(4, 10_000)
	want(1, size(10_000), "the newest is kept whatever its size")
	put(5, 10)
	want(1, size(10), "the big one goes as soon as there is another")
}

func TestReadFillsTheBufferAndNoMore(t *testing.T) {
	l := eventlog.New(origin, eventlog.Options{})
	fill(t, l, 0, 5)
	dst := append(make([]domain.Entry, 0, 3), domain.Entry{Seq: 99})
	got, cursor, _ := l.Read(1, all, dst)
	if !slices.Equal(seqs(got), []domain.Seq{99, 2, 3}) || cursor != 3 {
		t.Errorf("Read = %v, cursor %d", seqs(got), cursor)
	}
	if got, cursor, _ = l.Read(cursor, all, nil); len(got) != 0 || cursor != 3 {
		t.Errorf("Read without room = %v, cursor %d", seqs(got), cursor)
	}
}

func TestReadPassesWhatTheFilterLeavesOut(t *testing.T) {
	l := eventlog.New(origin, eventlog.Options{})
	fill(t, l, 0, 5)
	got, cursor, missed := l.Read(0, &domain.Filter{Types: domain.Set(domain.TypeNoteUpdated)}, make([]domain.Entry, 0, 1))
	if len(got) != 0 || cursor != 5 || missed != 0 {
		t.Errorf("Read = %v, cursor %d, missed %d; want the head reached", seqs(got), cursor, missed)
	}
}

func TestReadCountsWhatIsGone(t *testing.T) {
	l := eventlog.New(origin, eventlog.Options{Capacity: 2})
	fill(t, l, 0, 5)
	got, cursor, missed := l.Read(1, all, make([]domain.Entry, 0, 8))
	if !slices.Equal(seqs(got), []domain.Seq{4, 5}) || cursor != 5 || missed != 2 {
		t.Errorf("Read = %v, cursor %d, missed %d; want 2 and 3 missed", seqs(got), cursor, missed)
	}
	if _, cursor, missed = l.Read(0, all, nil); cursor != 3 || missed != 3 {
		t.Errorf("Read without room: cursor %d, missed %d; want the gap told once and passed", cursor, missed)
	}
	if _, cursor, missed = l.Read(1<<63, all, nil); cursor != 5 || missed != 0 {
		t.Errorf("Read from beyond the head: cursor %d, missed %d", cursor, missed)
	}
}

func TestLocate(t *testing.T) {
	l := eventlog.New(origin, eventlog.Options{Capacity: 2, Remember: 4})
	fill(t, l, 0, 6) // kept: 5, 6; remembered: 3 to 6
	for name, tt := range map[string]struct {
		id   domain.UUID
		want domain.Place
	}{
		"newest":                      {id(5), domain.Place{Seq: 6, Standing: domain.StandingKept}},
		"oldest kept":                 {id(4), domain.Place{Seq: 5, Standing: domain.StandingKept}},
		"gone, but all after it kept": {id(3), domain.Place{Seq: 4, Standing: domain.StandingKept}},
		"gone, and one after it":      {id(2), domain.Place{Seq: 3, Standing: domain.StandingExpired}},
		"forgotten":                   {id(1), domain.Place{Standing: domain.StandingUnknown}},
		"never seen":                  {id(77), domain.Place{Standing: domain.StandingUnknown}},
		"zero":                        {domain.UUID{}, domain.Place{Standing: domain.StandingUnknown}},
		"before the first":            {origin, domain.Place{Standing: domain.StandingExpired}},
	} {
		tt.want.Oldest = id(4)
		if got := l.Locate(tt.id); got != tt.want {
			t.Errorf("%s: Locate = %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestCursorIDNeverHidesAGap(t *testing.T) {
	l := eventlog.New(origin, eventlog.Options{Capacity: 2})
	fill(t, l, 0, 5)
	for at, want := range map[domain.Seq]domain.UUID{0: origin, 3: origin, 4: id(3), 5: id(4), 6: origin} {
		if got := l.CursorID(at); got != want {
			t.Errorf("CursorID(%d) = %v, want %v", at, got, want)
		}
	}
}

func TestStats(t *testing.T) {
	l := eventlog.New(origin, eventlog.Options{Capacity: 2})
	g := l.NewGate(domain.Set(domain.TypeJobCompleted))
	defer g.Close()
	fill(t, l, 0, 3)
	if _, _, err := l.Append(t.Context(), completed(3)); err != nil {
		t.Fatal(err)
	}
	want := eventlog.Stats{
		Entries: 2, Bytes: len(status(2).AppendJSON(nil)) + len(completed(3).AppendJSON(nil)),
		Oldest: status(2).OccurredAt, Head: 4, Unstored: 1,
	}
	want.Published[domain.TypeQueueStatus], want.Published[domain.TypeJobCompleted] = 3, 1
	if diff := cmp.Diff(want, l.Stats()); diff != "" {
		t.Errorf("Stats (-want +got):\n%s", diff)
	}
}
