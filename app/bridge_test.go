package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

func TestBridgeFillsInWhatItRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log, _ := newTestBridge(BridgeOptions{})
		job, note := testID(), testID()
		publish := func(w domain.WorkerEvent) {
			t.Helper()
			w.JobID = job
			if r, err := b.PublishWorkerEvents(t.Context(), []domain.WorkerEvent{w}); err != nil || r.Accepted != 1 {
				t.Fatalf("PublishWorkerEvents(%v) = %+v, %v", w.Kind, r, err)
			}
		}
		publish(domain.WorkerEvent{Kind: kind(domain.TypeJobQueued), JobType: "Embedding", NoteID: note})
		publish(domain.WorkerEvent{Kind: kind(domain.TypeJobStarted)})
		time.Sleep(1500 * time.Millisecond)
		publish(domain.WorkerEvent{Kind: kind(domain.TypeJobProgress), Percent: ptr(40)})
		publish(domain.WorkerEvent{Kind: kind(domain.TypeJobCompleted)})

		ref := domain.JobRef{JobID: job, JobType: "Embedding", NoteID: note}
		var got []domain.Payload
		for _, e := range all(t, log) {
			got = append(got, e.Payload)
		}
		want := []domain.Payload{
			domain.JobQueued{JobRef: ref},
			domain.JobStarted{JobRef: ref},
			domain.JobProgress{JobRef: ref, Percent: 40},
			domain.JobCompleted{JobRef: ref, DurationMS: ptr(int64(1500))},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBridgeBatches(t *testing.T) {
	job, other := testID(), testID()
	progress := func(id domain.UUID, percent int) domain.WorkerEvent {
		return domain.WorkerEvent{Kind: kind(domain.TypeJobProgress), JobID: id, Percent: &percent}
	}
	done := domain.WorkerEvent{Kind: kind(domain.TypeJobCompleted), JobID: job, EventID: testID()}
	for _, tc := range []struct {
		name    string
		before  []domain.WorkerEvent
		batch   []domain.WorkerEvent
		want    ports.Receipt
		wantErr error
		types   []string // in the log afterwards
	}{
		{
			name:  "one bad item and nothing is published",
			batch: []domain.WorkerEvent{progress(job, 1), progress(job, 101)}, wantErr: domain.ErrInvalid,
		},
		{
			name:  "a single event for a finished job conflicts",
			batch: []domain.WorkerEvent{progress(job, 1)}, before: []domain.WorkerEvent{done}, wantErr: domain.ErrConflict,
			types: []string{"JobCompleted"},
		},
		{
			name:   "in a batch it is skipped and counted",
			before: []domain.WorkerEvent{done}, batch: []domain.WorkerEvent{progress(job, 1), progress(other, 2)},
			want: ports.Receipt{Accepted: 1, Skipped: 1}, types: []string{"JobCompleted", "JobProgress"},
		},
		{
			name:   "a repeated event ID is accepted although the job has finished, and not published again",
			before: []domain.WorkerEvent{done}, batch: []domain.WorkerEvent{done},
			want: ports.Receipt{Accepted: 1}, types: []string{"JobCompleted"},
		},
		{
			name: "a repetition within one batch is not published again", batch: []domain.WorkerEvent{done, done},
			want: ports.Receipt{Accepted: 2}, types: []string{"JobCompleted"},
		},
		{
			name:   "JobQueued opens a finished job again",
			before: []domain.WorkerEvent{done},
			batch:  []domain.WorkerEvent{{Kind: kind(domain.TypeJobQueued), JobID: job}, progress(job, 5)},
			want:   ports.Receipt{Accepted: 2}, types: []string{"JobCompleted", "JobQueued", "JobProgress"},
		},
		{
			name:  "a worker's coming is no event of its own",
			batch: []domain.WorkerEvent{{Kind: domain.WorkerStarted}}, want: ports.Receipt{Accepted: 1},
		},
		{name: "an empty batch", batch: []domain.WorkerEvent{}, want: ports.Receipt{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, log, _ := newTestBridge(BridgeOptions{})
			if _, err := b.PublishWorkerEvents(t.Context(), tc.before); err != nil {
				t.Fatal(err)
			}
			got, err := b.PublishWorkerEvents(t.Context(), tc.batch)
			if got != tc.want || !errors.Is(err, tc.wantErr) {
				t.Errorf("PublishWorkerEvents = %+v, %v; want %+v, %v", got, err, tc.want, tc.wantErr)
			}
			if diff := cmp.Diff(tc.types, types(all(t, log))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBridgeNamesTheBadItem(t *testing.T) {
	b, _, _ := newTestBridge(BridgeOptions{})
	good := domain.NoteEvent{Note: domain.NoteUpdated{NoteID: testID(), Operation: domain.Created}}
	_, err := b.PublishNoteEvents(t.Context(), []domain.NoteEvent{good, {}})
	if fe, ok := errors.AsType[*domain.FieldError](err); !ok || fe.Index != 1 || fe.Field != "operation" {
		t.Errorf("PublishNoteEvents = %v; want a FieldError at 1 on operation", err)
	}
}

func TestBridgeCountsOnlyOutsideJobs(t *testing.T) {
	b, _, w := newTestBridge(BridgeOptions{RememberJobs: 2})
	send := func(id domain.UUID, ty domain.Type) {
		t.Helper()
		e := domain.WorkerEvent{Kind: kind(ty), JobID: id, Percent: ptr(1), WillRetry: true}
		if _, err := b.PublishWorkerEvents(t.Context(), []domain.WorkerEvent{e}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, want domain.QueueStatus) {
		t.Helper()
		if got, _ := b.CountJobs(t.Context()); got != want {
			t.Errorf("%s: CountJobs = %+v; want %+v", when, got, want)
		}
	}
	one, two := testID(), testID()
	send(one, domain.TypeJobQueued)
	send(two, domain.TypeJobStarted)
	check("one waits, one runs", domain.QueueStatus{Running: 1, Pending: 1})
	send(two, domain.TypeJobFailed)
	check("a job that will be retried waits", domain.QueueStatus{Pending: 2})
	send(one, domain.TypeJobCompleted)
	check("a finished one is not counted", domain.QueueStatus{Pending: 1})
	hosted := domain.WorkerEvent{Kind: kind(domain.TypeJobStarted), JobID: testID()}
	if _, err := b.appendAll(t.Context(), []report{{worker: &hosted, hosted: true}}, nil); err != nil {
		t.Fatal(err)
	}
	check("a job of the built-in queue is counted there; the least recent is forgotten", domain.QueueStatus{})
	if w.changed.Load() == 0 {
		t.Error("nobody was told that the queue changed")
	}
}

// A job whose table is captured, and whose worker reports its progress besides, is one job.
func TestAJobIsCountedOnce(t *testing.T) {
	for _, order := range [][]bool{{true, false}, {false, true}} { // from the outbox, over HTTP; the other way round
		b, _, _ := newTestBridge(BridgeOptions{})
		e := domain.WorkerEvent{Kind: kind(domain.TypeJobProgress), JobID: testID(), Percent: ptr(1)}
		for _, hosted := range order {
			if _, err := b.appendAll(t.Context(), []report{{worker: &e, hosted: hosted}}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := b.CountJobs(t.Context()); got != (domain.QueueStatus{}) {
			t.Errorf("from the outbox %v: %+v; want it to be counted by its own queue alone", order, got)
		}
	}
}

func TestBridgeAsksForQueueStatusWhenWorkersComeAndGo(t *testing.T) {
	b, _, w := newTestBridge(BridgeOptions{})
	for _, k := range []domain.WorkerKind{domain.WorkerStarted, domain.WorkerStopped} {
		if _, err := b.PublishWorkerEvents(t.Context(), []domain.WorkerEvent{{Kind: k}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.demanded.Load(); n != 2 {
		t.Errorf("QueueStatus was demanded %d times; want 2", n)
	}
}

func TestBridgeAcknowledgesOnlyWhatIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log, _ := newTestBridge(BridgeOptions{})
		gate := log.NewGate(domain.Set(domain.TypeJobStarted))
		e := domain.WorkerEvent{Kind: kind(domain.TypeJobStarted), JobID: testID(), EventID: testID()}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.PublishWorkerEvents(ctx, []domain.WorkerEvent{e}); !errors.Is(err, domain.ErrUnavailable) {
			t.Fatalf("PublishWorkerEvents = %v before anything is stored; want ErrUnavailable", err)
		}
		entries, err := gate.Next(t.Context(), make([]domain.Entry, 0, 1))
		if err != nil {
			t.Fatal(err)
		}
		gate.Store(entries[0].Seq)
		if r, err := b.PublishWorkerEvents(t.Context(), []domain.WorkerEvent{e}); err != nil || r.Accepted != 1 {
			t.Errorf("the retry = %+v, %v; want it accepted", r, err)
		}
		if got := types(all(t, log)); len(got) != 1 {
			t.Errorf("the log holds %v; want one event", got)
		}
	})
}

func TestBridgeGivesUpWaitingForItsTurn(t *testing.T) {
	b, _, _ := newTestBridge(BridgeOptions{})
	<-b.turn
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.PublishNoteEvents(ctx, []domain.NoteEvent{{Note: domain.NoteUpdated{NoteID: testID(), Operation: domain.Deleted}}})
	if !errors.Is(err, domain.ErrUnavailable) {
		t.Errorf("PublishNoteEvents = %v; want ErrUnavailable", err)
	}
	if err := b.Pass(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Pass = %v; want canceled", err)
	}
}
