package jobs_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/adapters/jobs"
	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/contract"
)

// succeed does nothing, well.
var succeed = contract.JobFunc(func(context.Context, domain.Job, func(int, string) error) (*domain.Analysis, error) { return nil, nil })

func openTest(t testing.TB, url string) (*sqlstore.DB, *jobs.Queue) {
	t.Helper()
	db := openStore(t, url)
	return db, openQueue(t, db, db)
}

func TestRollback(t *testing.T) {
	onEvery(t, func(t *testing.T, url string) {
		db, q := openTest(t, url)
		tx, err := db.SQL().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.EnqueueTx(t.Context(), tx, spec(1)); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		q.Wake()
		if got := events(t, db, 1); len(got) > 0 {
			t.Errorf("events of a job that was never enqueued: %q", got)
		}
		if _, err := q.Job(t.Context(), jobID(1)); !errors.Is(err, domain.ErrNotFound) {
			t.Errorf("Job = %v; want ErrNotFound", err)
		}
	})
}

func TestEnqueueRefuses(t *testing.T) {
	onEvery(t, func(t *testing.T, url string) {
		db, q := openTest(t, url)
		bad := spec(1)
		bad.Priority = 9
		if _, err := q.Enqueue(t.Context(), bad); !errors.Is(err, domain.ErrInvalid) {
			t.Errorf("Enqueue(priority 9) = %v; want ErrInvalid", err)
		}
		enqueue(t, q, spec(2))
		if _, err := q.Enqueue(t.Context(), spec(2)); err == nil {
			t.Error("one ID stands for two jobs")
		}
		expect(t, db, 2, "JobQueued")
	})
}

// fragile is a store whose methods fail while errors are set.
type fragile struct {
	*sqlstore.DB
	apply, append atomic.Pointer[error]
}

func (f *fragile) ApplyAnalysis(ctx context.Context, tx *sql.Tx, a domain.Analysis) (*domain.Note, error) {
	note, err := f.DB.ApplyAnalysis(ctx, tx, a) // what it did must be undone
	if e := f.apply.Swap(nil); e != nil {
		return nil, *e
	}
	return note, err
}

func (f *fragile) AppendOutbox(ctx context.Context, tx *sql.Tx, kind, body string) error {
	if e := f.append.Load(); e != nil && kind == sqlstore.KindNote {
		f.append.Store(nil)
		return *e
	}
	return f.DB.AppendOutbox(ctx, tx, kind, body)
}

func TestResultNotStored(t *testing.T) {
	secret := errors.New("SELECT secret FROM disk")
	for _, c := range []struct {
		why   string
		spoil func(*fragile)
	}{
		{"the result cannot be applied", func(f *fragile) { f.apply.Store(&secret) }},
		{"the note's event cannot be stored, after the completion was", func(f *fragile) { f.append.Store(&secret) }},
	} {
		t.Run(c.why, func(t *testing.T) {
			onEvery(t, func(t *testing.T, url string) {
				store := &fragile{DB: openStore(t, url)}
				q := openQueue(t, store.DB, store)
				note := newNote(t, store.DB, q)
				c.spoil(store)
				run(t, q, contract.JobFunc(func(ctx context.Context, job domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
					if got, err := store.Notes(q.EnqueueTx).Note(ctx, note); err != nil || len(got.SuggestedTags) > 0 {
						t.Errorf("before attempt %d the note is %+v, %v", job.Attempt, got, err)
					}
					return &domain.Analysis{NoteID: note, Revision: 1, SuggestedTags: &[]string{"found"}}, nil
				}))
				enqueue(t, q, spec(1))
				expect(t, store.DB, 1, "JobQueued", "JobStarted", "JobFailed: the job's result could not be stored, will retry",
					"JobStarted", "JobCompleted")
			})
		})
	}
}

func TestTimeLimit(t *testing.T) {
	onEvery(t, func(t *testing.T, url string) {
		db, _ := openTest(t, url)
		o := hasty
		o.JobTimeout = time.Millisecond
		q, err := jobs.Open(t.Context(), db.SQL(), db.ReadSQL(), db, newID, &o)
		if err != nil {
			t.Fatal(err)
		}
		run(t, q, contract.JobFunc(func(ctx context.Context, job domain.Job, report func(int, string) error) (*domain.Analysis, error) {
			<-ctx.Done()
			if job.Attempt == 1 {
				return nil, report(1, "too late")
			}
			return nil, nil // it is done after all
		}))
		enqueue(t, q, spec(1))
		expect(t, db, 1, "JobQueued", "JobStarted", "JobFailed: the job took longer than 1ms, will retry", "JobStarted", "JobCompleted")
	})
}

func TestPriority(t *testing.T) {
	onEvery(t, func(t *testing.T, url string) {
		db, _ := openTest(t, url)
		o := hasty
		o.Workers = 1
		q, err := jobs.Open(t.Context(), db.SQL(), db.ReadSQL(), db, newID, &o)
		if err != nil {
			t.Fatal(err)
		}
		for n := range byte(4) {
			s := spec(n)
			s.Priority = 4 - int(n)
			enqueue(t, q, s)
		}
		order := make(chan byte, 4)
		run(t, q, contract.JobFunc(func(_ context.Context, job domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
			order <- job.ID[15]
			return nil, nil
		}))
		got := []byte{<-order, <-order, <-order, <-order}
		if d := cmp.Diff([]byte{3, 2, 1, 0}, got); d != "" {
			t.Errorf("order of jobs (-want +got):\n%s", d)
		}
	})
}

func TestCancelDoesNotWaitForEver(t *testing.T) {
	onEvery(t, func(t *testing.T, url string) {
		db, q := openTest(t, url)
		ctx, cancel := context.WithCancel(t.Context())
		started, release := make(chan struct{}), make(chan struct{})
		run(t, q, contract.JobFunc(func(jobCtx context.Context, _ domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
			close(started)
			<-jobCtx.Done()
			cancel()
			<-release
			return nil, nil
		}))
		enqueue(t, q, spec(1))
		<-started
		if got, err := q.Cancel(ctx, jobID(1)); err != nil || got.State != domain.JobStateRunning {
			t.Errorf("Cancel = %+v, %v; the job has not stopped", got, err)
		}
		close(release)
		expect(t, db, 1, "JobQueued", "JobStarted", "JobFailed: canceled")
	})
}

func TestRunOnlyOnceAtATime(t *testing.T) {
	onEvery(t, func(t *testing.T, url string) {
		db, q := openTest(t, url)
		run(t, q, succeed)
		enqueue(t, q, spec(1))
		await(t, db, 1, 3)
		if err := q.Run(t.Context(), succeed); err == nil {
			t.Error("two calls of Run")
		}
	})
}

// What River's migrations may drop is there again after the next start, and only once.
func TestOpenAgain(t *testing.T) {
	onEvery(t, func(t *testing.T, url string) {
		db, _ := openTest(t, url)
		drop := `DROP TRIGGER matric_job_insert; DROP INDEX matric_job_id`
		if db.Dialect() == "postgres" {
			drop = `DROP TRIGGER matric_job_insert ON river_job; DROP INDEX matric_job_id`
		}
		if _, err := db.SQL().ExecContext(t.Context(), drop); err != nil {
			t.Fatal(err)
		}
		openQueue(t, db, db)
		q := openQueue(t, db, db)
		enqueue(t, q, spec(1))
		expect(t, db, 1, "JobQueued")
		if _, err := q.Enqueue(t.Context(), spec(1)); err == nil {
			t.Error("one ID stands for two jobs")
		}
	})
}

func TestStoreIsGone(t *testing.T) {
	onEvery(t, func(t *testing.T, url string) {
		db, err := sqlstore.Open(t.Context(), url, &sqlstore.Options{SecretKeyFile: os.Getenv(keyEnv)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jobs.Open(t.Context(), db.SQL(), db.ReadSQL(), db, newID, nil); err == nil || !strings.Contains(err.Error(), "jobs: open: ") {
			t.Errorf("Open = %v; there is no outbox", err)
		}
		if _, err := db.MigrateUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		q, err := jobs.Open(t.Context(), db.SQL(), db.ReadSQL(), db, newID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for name, call := range map[string]func(context.Context) error{
			"Enqueue":   func(ctx context.Context) error { _, err := q.Enqueue(ctx, spec(1)); return err },
			"Cancel":    func(ctx context.Context) error { _, err := q.Cancel(ctx, jobID(1)); return err },
			"Job":       func(ctx context.Context) error { _, err := q.Job(ctx, jobID(1)); return err },
			"Jobs":      func(ctx context.Context) error { _, _, err := q.Jobs(ctx, domain.JobQuery{Limit: 1}); return err },
			"CountJobs": func(ctx context.Context) error { _, err := q.CountJobs(ctx); return err },
			"Run":       func(ctx context.Context) error { return q.Run(ctx, succeed) },
			"Open": func(ctx context.Context) error {
				_, err := jobs.Open(ctx, db.SQL(), db.ReadSQL(), db, newID, nil)
				return err
			},
		} {
			err := call(t.Context())
			known := []error{domain.ErrNotFound, domain.ErrConflict, domain.ErrInvalid}
			if err == nil || slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
				t.Errorf("%s without a database = %v; want an internal error", name, err)
			}
		}
	})
}

// newNote stores a note of revision 1.
func newNote(t *testing.T, db *sqlstore.DB, q *jobs.Queue) domain.UUID {
	t.Helper()
	n := domain.Note{ID: newID(), Revision: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	w := noteWrite(n)
	if err := db.Notes(q.EnqueueTx).Write(t.Context(), n.ID, w); err != nil {
		t.Fatal(err)
	}
	return n.ID
}
