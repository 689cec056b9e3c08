package contract

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// feedKept is how many entries the feed of a fixture keeps.
const feedKept = 8

// FeedFixture is an adapter of ports.Feed that keeps the newest feedKept entries, with nothing in it.
type FeedFixture struct {
	Feed ports.Feed
	// Append adds an event, as its newest entry.
	Append func(t *testing.T, e domain.Event)
}

// Feed checks ports.Feed. open is told how many entries the feed is to keep.
func Feed(t *testing.T, open func(t *testing.T, kept int) FeedFixture) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, f FeedFixture)
	}{
		{"head is the number of the newest entry, zero before the first one", feedHead},
		{"a reader is a cursor and costs the feed nothing", feedCursors},
		{"read appends what comes after the cursor, oldest first", feedRead},
		{"read appends what the filter selects", feedFilter},
		{"read ends when the capacity is used up, and goes on from there", feedPages},
		{"read counts the entries of any kind that are no longer kept", feedMissed},
		{"read from beyond the head finds nothing", feedBeyond},
		{"what was read stays as it was", feedBytes},
		{"wait returns once there is an entry after the cursor", feedWait},
		{"wait returns its context's error", feedWaitEnds},
		{"locate says where a reader of an event stands", feedLocate},
		{"readers and writers at the same time miss nothing", feedConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t, feedKept)) })
	}
}

// feedEvent returns events of three types in turn: the nth is about job 100+n%4, and note 200+n%3 unless it has none.
func feedEvent(n int) domain.Event {
	e := domain.Event{ID: id(n), OccurredAt: time.Date(2026, 11, 23, 12, 0, n, 0, time.UTC)}
	switch job := (domain.JobRef{JobID: id(100 + n%4), JobType: "Embedding", NoteID: id(200 + n%3)}); n % 3 {
	case 0:
		e.Payload = domain.JobStarted{JobRef: job}
	case 1:
		e.Payload = domain.NoteUpdated{NoteID: id(200 + n%3), Operation: domain.Updated}
	default:
		e.Payload = domain.QueueStatus{Pending: n}
	}
	return e
}

// fill appends the events from first up to, but not including, end. The event n gets the number n when first is 1.
func (f FeedFixture) fill(t *testing.T, first, end int) {
	t.Helper()
	for n := first; n < end; n++ {
		f.Append(t, feedEvent(n))
	}
}

// entry is what a feed holds of the event n.
func feedEntry(n int) domain.Entry {
	e := feedEvent(n)
	entry := domain.Entry{Seq: domain.Seq(n), ID: e.ID, Type: e.Type(), OccurredAt: e.OccurredAt, JSON: e.AppendJSON(nil)}
	entry.Job, entry.Note = e.Payload.Subject()
	return entry
}

func feedEntries(ns ...int) (entries []domain.Entry) {
	for _, n := range ns {
		entries = append(entries, feedEntry(n))
	}
	return entries
}

// mustRead fails unless a read into room for so many entries returns this.
func (f FeedFixture) mustRead(t *testing.T, after domain.Seq, filter domain.Filter, room int, want []domain.Entry, cursor domain.Seq, missed uint64) {
	t.Helper()
	got, gotCursor, gotMissed := f.Feed.Read(after, &filter, make([]domain.Entry, 0, room))
	if d := diff(want, got); d != "" {
		t.Errorf("entries after %d (-want +got):\n%s", after, d)
	}
	if gotCursor != cursor || gotMissed != missed {
		t.Errorf("after %d: cursor %d, missed %d; want %d, %d", after, gotCursor, gotMissed, cursor, missed)
	}
}

func feedHead(t *testing.T, f FeedFixture) {
	for n := range 3 * feedKept { // also when the oldest are gone
		if got := f.Feed.Head(); got != domain.Seq(n) {
			t.Fatalf("Head() = %d after %d entries", got, n)
		}
		f.Append(t, feedEvent(n+1))
	}
}

func feedCursors(t *testing.T, f FeedFixture) {
	f.mustRead(t, 0, domain.Filter{}, 4, nil, 0, 0)
	f.fill(t, 1, 4)
	for range 2 { // to read takes nothing away, and readers do not get in each other's way
		f.mustRead(t, 0, domain.Filter{}, 4, feedEntries(1, 2, 3), 3, 0)
		f.mustRead(t, 2, domain.Filter{}, 4, feedEntries(3), 3, 0)
	}
	filter, buf := domain.Filter{}, make([]domain.Entry, 0, 4)
	if allocs := testing.AllocsPerRun(100, func() { f.Feed.Read(0, &filter, buf) }); allocs > 0 {
		t.Errorf("%v allocations for a read", allocs)
	}
}

func feedRead(t *testing.T, f FeedFixture) {
	f.fill(t, 1, 6)
	before := feedEntry(77)
	got, cursor, missed := f.Feed.Read(3, &domain.Filter{}, append(make([]domain.Entry, 0, 10), before))
	if d := cmp.Diff(append([]domain.Entry{before}, feedEntries(4, 5)...), got); d != "" || cursor != 5 || missed != 0 {
		t.Errorf("cursor %d, missed %d, entries (-want +got):\n%s", cursor, missed, d)
	}
	f.mustRead(t, 5, domain.Filter{}, 10, nil, 5, 0)
}

func feedFilter(t *testing.T, f FeedFixture) {
	f.fill(t, 1, 9)
	for _, c := range []struct {
		why    string
		filter domain.Filter
		want   []int
	}{
		{"everything", domain.Filter{}, []int{1, 2, 3, 4, 5, 6, 7, 8}},
		{"a type", domain.Filter{Types: domain.Set(domain.TypeJobStarted)}, []int{3, 6}},
		{"two types", domain.Filter{Types: domain.Set(domain.TypeJobStarted, domain.TypeQueueStatus)}, []int{2, 3, 5, 6, 8}},
		{"a type that there is none of", domain.Filter{Types: domain.Set(domain.TypeJobFailed)}, nil},
		{"a job", domain.Filter{Jobs: []domain.UUID{id(103)}}, []int{3}},
		{"jobs", domain.Filter{Jobs: []domain.UUID{id(102), id(103)}}, []int{3, 6}},
		{"a note", domain.Filter{Notes: []domain.UUID{id(201)}}, []int{1, 4, 7}},
		{"a note and a type", domain.Filter{Notes: []domain.UUID{id(200)}, Types: domain.Set(domain.TypeJobStarted)}, []int{3, 6}},
		{"a note and another type", domain.Filter{Notes: []domain.UUID{id(200)}, Types: domain.Set(domain.TypeNoteUpdated)}, nil},
		{"a job and a note", domain.Filter{Jobs: []domain.UUID{id(103)}, Notes: []domain.UUID{id(200)}}, []int{3}},
	} {
		t.Log(c.why)
		f.mustRead(t, 0, c.filter, 10, feedEntries(c.want...), 8, 0) // the cursor passes what is left out
	}
}

func feedPages(t *testing.T, f FeedFixture) {
	f.fill(t, 1, 9)
	f.mustRead(t, 0, domain.Filter{}, 3, feedEntries(1, 2, 3), 3, 0)
	f.mustRead(t, 3, domain.Filter{}, 5, feedEntries(4, 5, 6, 7, 8), 8, 0)
	f.mustRead(t, 2, domain.Filter{}, 0, nil, 2, 0)
	for room := 1; room < 5; room++ {
		filter := domain.Filter{Types: domain.Set(domain.TypeNoteUpdated)}
		var got []domain.Entry
		for cursor := domain.Seq(0); cursor < f.Feed.Head(); {
			page, next, missed := f.Feed.Read(cursor, &filter, make([]domain.Entry, 0, room))
			if next <= cursor || missed != 0 || len(page) > room {
				t.Fatalf("room for %d: cursor %d after %d, missed %d, %d entries", room, next, cursor, missed, len(page))
			}
			got, cursor = append(got, page...), next
		}
		if d := diff(feedEntries(1, 4, 7), got); d != "" {
			t.Errorf("pages of %d (-want +got):\n%s", room, d)
		}
	}
}

func feedMissed(t *testing.T, f FeedFixture) {
	f.fill(t, 1, feedKept+6) // 1 to 5 are gone
	head := domain.Seq(feedKept + 5)
	all := feedEntries(6, 7, 8, 9, 10, 11, 12, 13)
	f.mustRead(t, 0, domain.Filter{}, 20, all, head, 5)
	f.mustRead(t, 4, domain.Filter{}, 20, all, head, 1)
	f.mustRead(t, 5, domain.Filter{}, 20, all, head, 0)
	f.mustRead(t, 0, domain.Filter{Types: domain.Set(domain.TypeJobFailed)}, 20, nil, head, 5) // of any kind
	f.mustRead(t, 0, domain.Filter{}, 2, all[:2], 7, 5)
	f.mustRead(t, 7, domain.Filter{}, 2, all[2:4], 9, 0) // told once
}

func feedBeyond(t *testing.T, f FeedFixture) {
	f.fill(t, 1, 4)
	if got, _, missed := f.Feed.Read(99, &domain.Filter{}, make([]domain.Entry, 0, 4)); len(got) > 0 || missed != 0 {
		t.Errorf("Read = %v, missed %d", got, missed)
	}
}

func feedBytes(t *testing.T, f FeedFixture) {
	f.fill(t, 1, 4)
	got, _, _ := f.Feed.Read(0, &domain.Filter{}, make([]domain.Entry, 0, 4))
	f.fill(t, 4, 5*feedKept)
	if d := cmp.Diff(feedEntries(1, 2, 3), got); d != "" {
		t.Errorf("entries that a reader holds, once they are no longer kept (-want +got):\n%s", d)
	}
}

func feedWait(t *testing.T, f FeedFixture) {
	f.fill(t, 1, 3)
	for _, after := range []domain.Seq{0, 1} {
		if err := f.Feed.Wait(t.Context(), after); err != nil {
			t.Errorf("Wait(%d) = %v; want nil, there is an entry", after, err)
		}
	}
	for n := 3; n < 300; n++ { // often enough that some do wait, and some look just as the entry comes
		var waiting sync.WaitGroup
		for range 3 { // all who wait are woken
			waiting.Go(func() {
				if err := f.Feed.Wait(t.Context(), domain.Seq(n-1)); err != nil || f.Feed.Head() < domain.Seq(n) {
					t.Errorf("Wait(%d) = %v with %d entries", n-1, err, f.Feed.Head())
				}
			})
		}
		runtime.Gosched()
		f.fill(t, n, n+1)
		waiting.Wait()
	}
}

func feedWaitEnds(t *testing.T, f FeedFixture) {
	f.fill(t, 1, 3)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.Feed.Wait(ctx, 2) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v", err)
	}
}

func feedLocate(t *testing.T, f FeedFixture) {
	if got := f.Feed.Locate(id(1)); got.Standing != domain.StandingUnknown || !got.Oldest.IsZero() {
		t.Errorf("Locate in an empty feed = %+v", got)
	}
	f.fill(t, 1, feedKept+4) // 1 to 3 are gone
	oldest := id(4)
	for n, want := range map[int]domain.Place{
		feedKept + 3: {Seq: feedKept + 3, Standing: domain.StandingKept, Oldest: oldest},
		4:            {Seq: 4, Standing: domain.StandingKept, Oldest: oldest},
		3:            {Seq: 3, Standing: domain.StandingKept, Oldest: oldest}, // everything after it is kept
		2:            {Seq: 2, Standing: domain.StandingExpired, Oldest: oldest},
		1:            {Seq: 1, Standing: domain.StandingExpired, Oldest: oldest},
		999:          {Standing: domain.StandingUnknown, Oldest: oldest},
	} {
		got := f.Feed.Locate(id(n))
		if got.Standing == domain.StandingUnknown {
			got.Seq = 0 // means nothing
		}
		if got != want {
			t.Errorf("Locate(%d) = %+v, want %+v", n, got, want)
		}
		if got.Standing != domain.StandingKept {
			continue
		}
		if _, _, missed := f.Feed.Read(got.Seq, &domain.Filter{}, nil); missed != 0 {
			t.Errorf("%d is missed from where everything is kept", missed)
		}
	}
	if got := f.Feed.Locate(domain.UUID{}); got.Standing != domain.StandingUnknown {
		t.Errorf("Locate of no event = %+v", got)
	}
}

func feedConcurrent(t *testing.T, f FeedFixture) {
	const events = 500
	var readers sync.WaitGroup
	for r := range 4 {
		readers.Go(func() {
			var seen []domain.Seq
			missed := uint64(0)
			for cursor := domain.Seq(0); cursor < events; {
				if err := f.Feed.Wait(t.Context(), cursor); err != nil {
					t.Error(err)
					return
				}
				page, next, gone := f.Feed.Read(cursor, &domain.Filter{}, make([]domain.Entry, 0, 1+r))
				for _, e := range page {
					seen = append(seen, e.Seq)
					if d := cmp.Diff(feedEntry(int(e.Seq)), e); d != "" {
						t.Errorf("entry (-want +got):\n%s", d)
					}
				}
				cursor, missed = next, missed+gone
			}
			if uint64(len(seen))+missed != events || !slices.IsSorted(seen) || len(slices.Compact(seen)) != len(seen) {
				t.Errorf("%d entries seen and %d missed of %d: %v", len(seen), missed, events, seen)
			}
		})
	}
	f.fill(t, 1, events+1)
	readers.Wait()
}
