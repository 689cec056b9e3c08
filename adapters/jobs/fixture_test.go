package jobs_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/matric/matric-events/adapters/jobs"
	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
	"github.com/matric/matric-events/tests/contract"
	"github.com/matric/matric-events/tests/pgtest"
)

func TestContract(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			contract.Jobs(t, func(t *testing.T) contract.JobsFixture {
				db, q := openTest(t, kind.create(t))
				return contract.JobsFixture{
					Queue: q, Counter: q, Outbox: db.Outbox(), Notes: wakingNotes{db.Notes(q.EnqueueTx), q},
					Run: func(t *testing.T, h ports.JobHandler) func() { return run(t, q, h) },
				}
			})
		})
	}
}

// kinds are the kinds of databases: each has a function that creates one and returns its URL.
var kinds = []struct {
	name   string
	create func(t testing.TB) (url string)
}{
	{"sqlite", func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") }},
	{"postgres", func(t testing.TB) string { return pgtest.Database(t) }},
}

// onEvery runs a test on a new database of each kind.
func onEvery(t *testing.T, test func(t *testing.T, url string)) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) { test(t, kind.create(t)) })
	}
}

// keyEnv names the key file of all databases, also to the process that TestKilled starts.
const keyEnv = "MATRIC_TEST_KEY"

func TestMain(m *testing.M) {
	if os.Getenv(keyEnv) != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "jobs")
	if err == nil {
		err = os.Setenv(keyEnv, filepath.Join(dir, "key"))
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

type store interface{ ports.Notes }

// wakingNotes is the owner of the transactions in which jobs about notes are enqueued.
type wakingNotes struct {
	store // its method has the name of its type
	queue *jobs.Queue
}

func (n wakingNotes) Write(ctx context.Context, id domain.UUID, change func(*domain.Note) (ports.NoteWrite, error)) error {
	defer n.queue.Wake()
	return n.store.Write(ctx, id, change)
}

func newID() domain.UUID { return domain.UUID(uuid.Must(uuid.NewV7())) }

func openStore(t testing.TB, url string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), url, &sqlstore.Options{SecretKeyFile: os.Getenv(keyEnv)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := db.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done, listens := make(chan error, 1), make(chan struct{})
	if db.Dialect() == "postgres" {
		db.OnCommit("any table", sync.OnceFunc(func() { close(listens) })) // called when it begins to listen
	} else {
		close(listens)
	}
	go func() { done <- db.Listen(ctx) }()
	<-listens
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Listen = %v", err)
		}
	})
	return db
}

// hasty makes tests fast.
var hasty = jobs.Options{RetryInitial: 5 * time.Millisecond, RetryMax: 20 * time.Millisecond, StopGrace: time.Nanosecond}

func openQueue(t testing.TB, db *sqlstore.DB, store jobs.Store) *jobs.Queue {
	t.Helper()
	o := hasty
	q, err := jobs.Open(t.Context(), db.SQL(), db.ReadSQL(), store, newID, &o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// run runs the queue until the test ends or stop is called. Nothing may be left running then.
func run(t testing.TB, q *jobs.Queue, h ports.JobHandler) (stop func()) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		pools := goleak.IgnoreTopFunction("database/sql.(*DB).connectionCleaner") // begins with a pool's first idle connection
		if err := goleak.Find(before, pools); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// spec returns a spec that depends on n.
func spec(n byte) domain.JobSpec {
	return domain.JobSpec{ID: jobID(n), Type: domain.JobNoteAnalysis, Priority: 2, MaxAttempts: 3}
}

func jobID(n byte) domain.UUID { return domain.UUID{1, 6: 0x70, 8: 0x80, 15: n} }

func enqueue(t testing.TB, q *jobs.Queue, s domain.JobSpec) {
	t.Helper()
	if _, err := q.Enqueue(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, q *jobs.Queue, n byte) domain.Job {
	t.Helper()
	job, err := q.Job(t.Context(), jobID(n))
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// events returns what the outbox holds of a job, in words.
func events(t testing.TB, db *sqlstore.DB, n byte) []string {
	t.Helper()
	records, err := db.Outbox().Pending(t.Context(), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, r := range records {
		if r.Bad != nil {
			t.Fatal(r.Bad)
		}
		if w := r.Worker; w != nil && w.JobID == jobID(n) {
			line := w.Kind.String()
			if w.Error != "" {
				line += ": " + w.Error
			}
			if w.WillRetry {
				line += ", will retry"
			}
			out = append(out, line)
		}
	}
	return out
}

// await returns the events of a job once there are as many as wanted.
func await(t testing.TB, db *sqlstore.DB, n byte, want int) []string {
	t.Helper()
	for {
		if got := events(t, db, n); len(got) >= want {
			return got
		}
		if err := db.Outbox().Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func expect(t testing.TB, db *sqlstore.DB, n byte, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, await(t, db, n, len(want))); d != "" {
		t.Errorf("events of job %d (-want +got):\n%s", n, d)
	}
}

func noteWrite(n domain.Note) func(*domain.Note) (ports.NoteWrite, error) {
	return func(*domain.Note) (ports.NoteWrite, error) {
		return ports.NoteWrite{Note: n, Event: domain.NoteEvent{EventID: newID(), OccurredAt: n.UpdatedAt, Note: n.Event(domain.Created)}}, nil
	}
}
