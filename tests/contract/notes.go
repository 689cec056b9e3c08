package contract

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// NotesFixture is an adapter of ports.Notes with nothing stored, and the other sides of what it stores.
type NotesFixture struct {
	Notes  ports.Notes
	Outbox ports.Outbox // where the events of the notes appear

	Jobs       func(t *testing.T) []domain.JobSpec // those of committed writes, in order
	RefuseJobs func(err error)                     // makes adding a job fail, with nil no longer
	// Analyze stores the result of a job and returns the note if it changed, as the job queue does.
	Analyze func(t *testing.T, a domain.Analysis) *domain.Note
}

// Notes checks ports.Notes.
func Notes(t *testing.T, open func(t *testing.T) NotesFixture) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, f NotesFixture)
	}{
		{"a note comes back as it was written", notesRoundTrip},
		{"change gets the note as it is, nil when there is none", notesCurrent},
		{"row, event and job are stored together", notesTogether},
		{"an error of change is returned as it is and stores nothing", notesChangeError},
		{"a job that cannot be added leaves nothing behind", notesJobError},
		{"a deleted note is gone, its event is not", notesDelete},
		{"deleting what is not there stores the event alone", notesDeleteUnknown},
		{"a note that does not exist is not found", notesNotFound},
		{"change sees no concurrent write of the same note", notesConcurrent},
		{"lists are newest first and at most as long as asked", notesOrder},
		{"a page begins after the note named, also when it was changed", notesPages},
		{"a page after an unknown note is not found", notesUnknownPage},
		{"a list says whether there are more", notesMore},
		{"a page holds no more content than fits, but a note at least", notesLarge},
		{"a tag selects the notes that have it", notesTag},
		{"backlinks select the notes that name a note's title, but itself", notesBacklinks},
		{"all words of a search must occur in title, content or tags", notesSearch},
		{"the index follows the analysis, for it is a job's work", notesIndex},
		{"whatever is searched for is no syntax error", notesHostileSearch},
		{"an analysis tells whether there is something to tell", notesAnalysis},
		{"an analysis of other content, or of no note, changes nothing", notesStaleAnalysis},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// sample returns a note whose members depend on n and are all set.
func sample(n int) domain.Note {
	at := time.Date(2026, 11, 23, 12, 41, 48, 123e6, time.UTC).Add(time.Duration(n) * time.Second)
	return domain.Note{
		ID: id(n), Title: fmt.Sprintf("Title %d", n), Content: fmt.Sprintf("Content %d", n), Tags: []string{"b", "a"},
		UserID: "user", HasAIContent: true, HasLinks: true, SuggestedTags: []string{"later"}, Revision: int64(n),
		CreatedAt: at, UpdatedAt: at.Add(time.Millisecond),
	}
}

// id returns an identifier that is not zero for n ≥ 0.
func id(n int) domain.UUID {
	return domain.UUID{1, 2, 3, 4, 5, 6, 0x70, 8, 0x90, 10, 11, 12, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// put returns the write that stores a note without a job.
func put(n domain.Note, op domain.Operation) ports.NoteWrite {
	return ports.NoteWrite{Note: n, Event: domain.NoteEvent{EventID: id(int(n.ID[15]) + 1e6), OccurredAt: n.UpdatedAt, Note: n.Event(op)}}
}

func (f NotesFixture) write(t *testing.T, w ports.NoteWrite) {
	t.Helper()
	err := f.Notes.Write(t.Context(), w.Note.ID, func(*domain.Note) (ports.NoteWrite, error) { return w, nil })
	if err != nil {
		t.Fatal(err)
	}
}

func (f NotesFixture) create(t *testing.T, notes ...domain.Note) {
	t.Helper()
	for _, n := range notes {
		f.write(t, put(n, domain.Created))
	}
}

// list returns the last bytes of the identifiers that q selects.
func (f NotesFixture) list(t *testing.T, q domain.NoteQuery) []int {
	t.Helper()
	notes, _, err := f.Notes.Notes(t.Context(), q)
	if err != nil {
		t.Fatalf("Notes(%+v): %v", q, err)
	}
	ids := []int{}
	for _, n := range notes {
		ids = append(ids, int(n.ID[15]))
	}
	return ids
}

// empty fails the test if anything is stored.
func (f NotesFixture) empty(t *testing.T) {
	t.Helper()
	if got := f.list(t, domain.NoteQuery{Limit: 10}); len(got) > 0 {
		t.Errorf("notes are stored: %v", got)
	}
	if got := pending(t, f.Outbox, 10); len(got) > 0 {
		t.Errorf("events are stored: %v", got)
	}
	if got := f.Jobs(t); len(got) > 0 {
		t.Errorf("jobs are stored: %v", got)
	}
}

func diff(want, got any) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

func notesRoundTrip(t *testing.T, f NotesFixture) {
	odd := sample(2)
	odd.Title, odd.Content = "'; DROP TABLE note; --\n\t\"", "ünï ⌘ 👩‍👩‍👧 %s ? $1 :name \\"
	odd.Tags, odd.UserID, odd.HasAIContent, odd.HasLinks = []string{`"`, `,`, `[]`, "é"}, `' OR 1=1`, false, false
	large := sample(3)
	large.Content = strings.Repeat("many words ", 1<<17)
	for _, want := range []domain.Note{sample(1), odd, large, {ID: id(4), CreatedAt: sample(4).CreatedAt}} {
		f.create(t, want)
		got, err := f.Notes.Note(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(want, got); d != "" {
			t.Errorf("note %s differs (-want +got):\n%s", want.ID, d)
		}
	}
}

func notesCurrent(t *testing.T, f NotesFixture) {
	first, second := sample(1), sample(1)
	second.Title, second.Tags, second.Revision = "Another title", nil, 7
	var seen []*domain.Note
	for _, n := range []domain.Note{first, second, second} {
		err := f.Notes.Write(t.Context(), n.ID, func(current *domain.Note) (ports.NoteWrite, error) {
			seen = append(seen, current)
			return put(n, domain.Updated), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if d := diff([]*domain.Note{nil, &first, &second}, seen); d != "" {
		t.Errorf("change saw (-want +got):\n%s", d)
	}
}

func notesTogether(t *testing.T, f NotesFixture) {
	w := put(sample(1), domain.Created)
	w.Job = &domain.JobSpec{ID: id(9), Type: domain.JobNoteAnalysis, NoteID: id(1), Priority: 2, MaxAttempts: 5}
	f.write(t, w)
	got := pending(t, f.Outbox, 10)
	if len(got) != 1 || got[0].Note == nil {
		t.Fatalf("the outbox holds %+v, want one note event", got)
	}
	if d := diff(w.Event, *got[0].Note); d != "" {
		t.Errorf("event differs (-want +got):\n%s", d)
	}
	if d := diff([]domain.JobSpec{*w.Job}, f.Jobs(t)); d != "" {
		t.Errorf("jobs differ (-want +got):\n%s", d)
	}
}

func notesChangeError(t *testing.T, f NotesFixture) {
	refusal := errors.New("no")
	err := f.Notes.Write(t.Context(), id(1), func(*domain.Note) (ports.NoteWrite, error) {
		return put(sample(1), domain.Created), refusal
	})
	if err != refusal { //nolint:errorlint // it must be the very error
		t.Errorf("Write = %v; want the error of change", err)
	}
	f.empty(t)
}

func notesJobError(t *testing.T, f NotesFixture) {
	refusal := errors.New("no jobs today")
	f.RefuseJobs(refusal)
	w := put(sample(1), domain.Created)
	w.Job = &domain.JobSpec{ID: id(9), Type: domain.JobNoteAnalysis, NoteID: id(1)}
	err := f.Notes.Write(t.Context(), w.Note.ID, func(*domain.Note) (ports.NoteWrite, error) { return w, nil })
	if !errors.Is(err, refusal) {
		t.Errorf("Write = %v; want the error of the queue", err)
	}
	f.RefuseJobs(nil)
	f.empty(t)
}

func notesDelete(t *testing.T, f NotesFixture) {
	f.create(t, sample(1), sample(2))
	f.write(t, put(sample(1), domain.Deleted))
	if _, err := f.Notes.Note(t.Context(), id(1)); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Note = %v; want ErrNotFound", err)
	}
	for _, q := range []domain.NoteQuery{{Limit: 10}, {Search: "title", Limit: 10}} {
		if d := cmp.Diff([]int{2}, f.list(t, q)); d != "" {
			t.Errorf("Notes(%+v) (-want +got):\n%s", q, d)
		}
	}
	var ops []domain.Operation
	for _, r := range pending(t, f.Outbox, 10) {
		ops = append(ops, r.Note.Note.Operation)
	}
	if d := cmp.Diff([]domain.Operation{domain.Created, domain.Created, domain.Deleted}, ops); d != "" {
		t.Errorf("operations (-want +got):\n%s", d)
	}
}

func notesDeleteUnknown(t *testing.T, f NotesFixture) {
	f.write(t, put(sample(1), domain.Deleted))
	if got := pending(t, f.Outbox, 10); len(got) != 1 {
		t.Errorf("the outbox holds %d events, want 1", len(got))
	}
	if got := f.list(t, domain.NoteQuery{Limit: 10}); len(got) > 0 {
		t.Errorf("notes are stored: %v", got)
	}
}

func notesNotFound(t *testing.T, f NotesFixture) {
	f.create(t, sample(1))
	if _, err := f.Notes.Note(t.Context(), id(2)); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Note = %v; want ErrNotFound", err)
	}
}

func notesConcurrent(t *testing.T, f NotesFixture) {
	const writers, each = 8, 10
	n := sample(1)
	n.Revision = 0
	f.create(t, n)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				err := f.Notes.Write(t.Context(), n.ID, func(current *domain.Note) (ports.NoteWrite, error) {
					next := *current
					next.Revision++
					return put(next, domain.Updated), nil
				})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
				if _, err := f.Notes.Note(t.Context(), n.ID); err != nil {
					t.Errorf("reader %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	got, err := f.Notes.Note(t.Context(), n.ID)
	if err != nil || got.Revision != writers*each {
		t.Errorf("after %d increments the revision is %d, %v", writers*each, got.Revision, err)
	}
	if events := pending(t, f.Outbox, 1000); len(events) != writers*each+1 {
		t.Errorf("%d events, want %d", len(events), writers*each+1)
	}
}

// samples returns the notes 0 … n-1.
func samples(n int) []domain.Note {
	notes := make([]domain.Note, n)
	for i := range notes {
		notes[i] = sample(i)
	}
	return notes
}
