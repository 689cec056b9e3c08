package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// PublisherFixture is an adapter of ports.Publisher that nothing was published with.
type PublisherFixture struct {
	Publisher ports.Publisher
	Log       *eventlog.Log // where its events go, wherever that is
}

// Publisher checks ports.Publisher.
func Publisher(t *testing.T, open func(t *testing.T) PublisherFixture) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, f PublisherFixture)
	}{
		{"what workers report is published in order", publisherWorkers},
		{"what happens to notes is published in order", publisherNotes},
		{"one bad worker event is named, and nothing is published", publisherBadWorkerEvent},
		{"one bad note event is named, and nothing is published", publisherBadNoteEvent},
		{"an event ID seen before is accepted and not published again", publisherRepeated},
		{"also within one batch", publisherRepeatedWithin},
		{"also when the job has finished", publisherRepeatedFinished},
		{"an event alone for a finished job is a conflict", publisherConflict},
		{"JobQueued opens a finished job again", publisherReopened},
		{"an event for a finished job is skipped and counted in a larger batch", publisherSkipped},
		{"worker events are acknowledged once they are stored", publisherStoredWorkers},
		{"note events are acknowledged once they are stored", publisherStoredNotes},
		{"concurrent batches are published each in its order", publisherConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// about returns the nth event, of the type given, about a job.
func about(n, job int, kind domain.Type) domain.WorkerEvent {
	w := domain.WorkerEvent{
		Kind: domain.JobKind(kind), EventID: id(n), OccurredAt: dawn.Truncate(time.Millisecond).Add(time.Duration(n) * time.Second),
		JobID: id(job), JobType: "Embedding",
	}
	if kind == domain.TypeJobProgress {
		w.Percent = new(int)
		*w.Percent = n % 101
	}
	return w
}

// noted returns the nth event about a note.
func noted(n, note int) domain.NoteEvent {
	return domain.NoteEvent{
		EventID: id(n), OccurredAt: dawn.Truncate(time.Millisecond).Add(time.Duration(n) * time.Second),
		Note: domain.NoteUpdated{
			NoteID: id(note), Operation: domain.Updated, UserID: "ann", Title: `"&<>` + "\u2028é", Tags: []string{"a", "b"}, HasLinks: true,
		},
	}
}

func (f PublisherFixture) workers(t *testing.T, want ports.Receipt, batch ...domain.WorkerEvent) {
	t.Helper()
	if got, err := f.Publisher.PublishWorkerEvents(t.Context(), batch); err != nil || got != want {
		t.Fatalf("PublishWorkerEvents = %+v, %v; want %+v", got, err, want)
	}
}

func (f PublisherFixture) notes(t *testing.T, want ports.Receipt, batch ...domain.NoteEvent) {
	t.Helper()
	if got, err := f.Publisher.PublishNoteEvents(t.Context(), batch); err != nil || got != want {
		t.Fatalf("PublishNoteEvents = %+v, %v; want %+v", got, err, want)
	}
}

// events returns what was published.
func (f PublisherFixture) events(t *testing.T) []domain.Event {
	t.Helper()
	entries, _, missed := f.Log.Read(0, &domain.Filter{}, make([]domain.Entry, 0, 4096))
	if missed > 0 {
		t.Fatalf("%d events are no longer kept", missed)
	}
	events := make([]domain.Event, len(entries))
	for i := range entries {
		var err error
		if events[i], err = domain.DecodeEvent(entries[i].JSON); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

// published fails unless these events and no others were published, in this order.
func (f PublisherFixture) published(t *testing.T, ns ...int) {
	t.Helper()
	var got []int
	for _, e := range f.events(t) {
		got = append(got, number(e.ID))
	}
	same(t, "published", ns, got)
}

func publisherWorkers(t *testing.T, f PublisherFixture) {
	ms, urgent := int64(1500), 3
	queued, started := about(1, 100, domain.TypeJobQueued), about(2, 100, domain.TypeJobStarted)
	queued.NoteID, queued.Priority = id(200), &urgent
	progress, completed := about(3, 100, domain.TypeJobProgress), about(4, 100, domain.TypeJobCompleted)
	progress.Message, completed.DurationMS = "half\nway", &ms
	failed := about(5, 101, domain.TypeJobFailed)
	failed.Error, failed.WillRetry = "out of memory", true
	f.workers(t, ports.Receipt{Accepted: 1}, queued)
	f.workers(t, ports.Receipt{Accepted: 4}, started, progress, completed, failed)
	f.workers(t, ports.Receipt{Accepted: 2}, domain.WorkerEvent{Kind: domain.WorkerStarted}, domain.WorkerEvent{Kind: domain.WorkerStopped})

	ref := domain.JobRef{JobID: id(100), JobType: "Embedding", NoteID: id(200)}
	payloads := []domain.Payload{
		domain.JobQueued{JobRef: ref, Priority: &urgent},
		domain.JobStarted{JobRef: ref},
		domain.JobProgress{JobRef: ref, Percent: 3, Message: "half\nway"},
		domain.JobCompleted{JobRef: ref, DurationMS: &ms},
		domain.JobFailed{JobRef: domain.JobRef{JobID: id(101), JobType: "Embedding"}, Error: "out of memory", WillRetry: true},
	}
	var want []domain.Event
	for i, w := range []domain.WorkerEvent{queued, started, progress, completed, failed} {
		want = append(want, domain.Event{ID: w.EventID, OccurredAt: w.OccurredAt, Payload: payloads[i]})
	}
	if d := cmp.Diff(want, f.events(t)); d != "" {
		t.Errorf("published (-want +got):\n%s", d)
	}
}

func publisherNotes(t *testing.T, f PublisherFixture) {
	batch := []domain.NoteEvent{noted(1, 200), noted(2, 201), noted(3, 200)}
	batch[1].Note = domain.NoteUpdated{NoteID: id(201), Operation: domain.Created, Tags: []string{}, HasAIContent: true}
	batch[2].Note.Operation = domain.Deleted
	f.notes(t, ports.Receipt{Accepted: 1}, batch[0])
	f.notes(t, ports.Receipt{Accepted: 2}, batch[1:]...)
	var want []domain.Event
	for _, n := range batch {
		want = append(want, domain.Event{ID: n.EventID, OccurredAt: n.OccurredAt, Payload: n.Note})
	}
	if d := cmp.Diff(want, f.events(t)); d != "" {
		t.Errorf("published (-want +got):\n%s", d)
	}
}

// mustName fails unless err names the bad item of a batch.
func mustName(t *testing.T, err error, index int, field string) {
	t.Helper()
	if fe, ok := errors.AsType[*domain.FieldError](err); !ok || fe.Index != index || fe.Field != field {
		t.Errorf("the error is %v; want one that names %s of item %d", err, field, index)
	}
}

func publisherBadWorkerEvent(t *testing.T, f PublisherFixture) {
	good := func(n int) domain.WorkerEvent { return about(n, 100+n, domain.TypeJobStarted) }
	homeless, beyond := good(1), about(2, 100, domain.TypeJobProgress)
	homeless.JobID = domain.UUID{}
	*beyond.Percent = 101
	for index, batch := range [][]domain.WorkerEvent{
		{homeless},
		{good(3), homeless},
		{good(4), good(5), homeless, good(6)},
	} {
		_, err := f.Publisher.PublishWorkerEvents(t.Context(), batch)
		mustName(t, err, index, "job_id")
	}
	_, err := f.Publisher.PublishWorkerEvents(t.Context(), []domain.WorkerEvent{good(7), beyond, homeless})
	mustName(t, err, 1, "percent")
	f.published(t)
}

func publisherBadNoteEvent(t *testing.T, f PublisherFixture) {
	homeless, idle := noted(1, 200), noted(2, 200)
	homeless.Note.NoteID, idle.Note.Operation = domain.UUID{}, "archived"
	_, err := f.Publisher.PublishNoteEvents(t.Context(), []domain.NoteEvent{noted(3, 200), noted(4, 200), homeless})
	mustName(t, err, 2, "note_id")
	_, err = f.Publisher.PublishNoteEvents(t.Context(), []domain.NoteEvent{idle, noted(5, 200)})
	mustName(t, err, 0, "operation")
	f.published(t)
}

func publisherRepeated(t *testing.T, f PublisherFixture) {
	batch := []domain.WorkerEvent{about(1, 100, domain.TypeJobQueued), about(2, 100, domain.TypeJobStarted)}
	for range 2 {
		f.workers(t, ports.Receipt{Accepted: 2}, batch...)
		f.workers(t, ports.Receipt{Accepted: 1}, batch[0])
		f.notes(t, ports.Receipt{Accepted: 1}, noted(3, 200))
	}
	f.workers(t, ports.Receipt{Accepted: 2}, batch[1], about(4, 100, domain.TypeJobProgress))
	f.published(t, 1, 2, 3, 4)
}

func publisherRepeatedWithin(t *testing.T, f PublisherFixture) {
	one, two := about(1, 100, domain.TypeJobStarted), about(2, 100, domain.TypeJobProgress)
	f.workers(t, ports.Receipt{Accepted: 4}, one, one, two, one)
	f.notes(t, ports.Receipt{Accepted: 2}, noted(3, 200), noted(3, 200))
	f.published(t, 1, 2, 3)
}

func publisherRepeatedFinished(t *testing.T, f PublisherFixture) {
	batch := []domain.WorkerEvent{about(1, 100, domain.TypeJobStarted), about(2, 100, domain.TypeJobCompleted)}
	f.workers(t, ports.Receipt{Accepted: 2}, batch...)
	f.workers(t, ports.Receipt{Accepted: 1}, batch[0])
	f.workers(t, ports.Receipt{Accepted: 1}, batch[1])
	f.workers(t, ports.Receipt{Accepted: 2}, batch...)
	f.published(t, 1, 2)
}

// afterwards are the types that may not follow a job's end.
var afterwards = []domain.Type{domain.TypeJobStarted, domain.TypeJobProgress, domain.TypeJobCompleted, domain.TypeJobFailed}

func publisherConflict(t *testing.T, f PublisherFixture) {
	f.workers(t, ports.Receipt{Accepted: 2}, about(1, 100, domain.TypeJobCompleted), about(2, 101, domain.TypeJobFailed))
	for i, kind := range afterwards {
		for job := 100; job < 102; job++ {
			got, err := f.Publisher.PublishWorkerEvents(t.Context(), []domain.WorkerEvent{about(10+i, job, kind)})
			if !errors.Is(err, domain.ErrConflict) || got != (ports.Receipt{}) {
				t.Errorf("%v for a finished job: %+v, %v; want a conflict", kind, got, err)
			}
		}
	}
	f.published(t, 1, 2)
}

func publisherReopened(t *testing.T, f PublisherFixture) {
	f.workers(t, ports.Receipt{Accepted: 1}, about(1, 100, domain.TypeJobCompleted))
	f.workers(t, ports.Receipt{Accepted: 1}, about(2, 100, domain.TypeJobQueued))
	f.workers(t, ports.Receipt{Accepted: 1}, about(3, 100, domain.TypeJobStarted))
	f.workers(t, ports.Receipt{Accepted: 2}, about(4, 100, domain.TypeJobFailed), about(5, 100, domain.TypeJobQueued))
	f.published(t, 1, 2, 3, 4, 5)
}

func publisherSkipped(t *testing.T, f PublisherFixture) {
	f.workers(t, ports.Receipt{Accepted: 1}, about(1, 100, domain.TypeJobCompleted))
	var late []domain.WorkerEvent
	for i, kind := range afterwards {
		late = append(late, about(10+i, 100, kind))
	}
	f.workers(t, ports.Receipt{Skipped: 4}, late...)
	f.workers(t, ports.Receipt{Accepted: 2, Skipped: 4}, slices.Concat(
		[]domain.WorkerEvent{about(2, 101, domain.TypeJobStarted)}, late, []domain.WorkerEvent{about(3, 101, domain.TypeJobProgress)})...)
	f.workers(t, ports.Receipt{Accepted: 2, Skipped: 1}, // what ends the job may stand in the same batch
		about(4, 102, domain.TypeJobCompleted), about(5, 102, domain.TypeJobProgress), about(6, 102, domain.TypeJobQueued))
	f.published(t, 1, 2, 3, 4, 6)
}

func publisherStoredWorkers(t *testing.T, f PublisherFixture) {
	f.stored(t, func(ctx context.Context) (ports.Receipt, error) {
		return f.Publisher.PublishWorkerEvents(ctx, []domain.WorkerEvent{about(1, 100, domain.TypeJobQueued), about(2, 100, domain.TypeJobStarted)})
	})
}

func publisherStoredNotes(t *testing.T, f PublisherFixture) {
	f.stored(t, func(ctx context.Context) (ports.Receipt, error) {
		return f.Publisher.PublishNoteEvents(ctx, []domain.NoteEvent{noted(1, 200), noted(2, 201)})
	})
}

// stored checks that publishing the events 1 and 2 does not return nil before a reader that must not lose them has said
// that it has stored both.
func (f PublisherFixture) stored(t *testing.T, publish func(ctx context.Context) (ports.Receipt, error)) {
	gate := f.Log.NewGate(domain.AllTypes)
	defer gate.Close()
	next := make([]domain.Entry, 0, 1)
	stages := []func(){
		func() {},
		func() { gate.Store(must(gate.Next(t.Context(), next))[0].Seq) }, // the first is not enough
	}
	for i, stage := range stages {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := publish(ctx)
			ended <- err
		}()
		if err := f.Log.Wait(t.Context(), 1); err != nil { // both are there
			t.Fatal(err)
		}
		stage()
		cancel()
		if err := <-ended; err == nil {
			t.Errorf("acknowledged with %d of 2 events stored", i)
		}
	}
	second := must(gate.Next(t.Context(), next))[0].Seq
	ended := make(chan error)
	go func() {
		got, err := publish(t.Context())
		if want := (ports.Receipt{Accepted: 2}); err == nil && got != want {
			err = fmt.Errorf("receipt %+v, want %+v", got, want)
		}
		ended <- err
	}()
	gate.Store(second)
	if err := <-ended; err != nil {
		t.Errorf("with all events stored: %v", err)
	}
	f.published(t, 1, 2)
}

func publisherConcurrent(t *testing.T, f PublisherFixture) {
	const publishers, batches = 6, 10
	var running sync.WaitGroup
	for p := range publishers {
		running.Go(func() {
			for b := range batches {
				n := 1000*p + 10*b
				batch := []domain.WorkerEvent{about(n+1, 100+p, domain.TypeJobQueued), about(n+2, 100+p, domain.TypeJobStarted), about(n+3, 100+p, domain.TypeJobCompleted)}
				for _, part := range [][]domain.WorkerEvent{batch[:2], batch[2:]} {
					if got, err := f.Publisher.PublishWorkerEvents(t.Context(), part); err != nil || got.Accepted != len(part) {
						t.Errorf("PublishWorkerEvents = %+v, %v", got, err)
						return
					}
				}
			}
		})
	}
	running.Wait()
	perJob := map[domain.UUID][]int{}
	for _, e := range f.events(t) {
		job, _ := e.Payload.Subject()
		perJob[job] = append(perJob[job], number(e.ID))
	}
	for p := range publishers {
		if ns := perJob[id(100+p)]; len(ns) != 3*batches || !slices.IsSorted(ns) {
			t.Errorf("publisher %d: %v", p, ns)
		}
	}
}
