package jobs_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/adapters/jobs"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/contract"
	"github.com/matric/matric-events/tests/pgtest"
)

// soon is far less than the time between two polls, and far more than it takes to be told.
const soon = 2 * time.Second

// A job that another program inserts, which looks for its tables elsewhere, is queued by an event and taken up at once.
func TestPostgresJobOfAnotherProgram(t *testing.T) {
	url := pgtest.Database(t)
	db, q := openTest(t, url)
	db.OnCommit("river_job", q.Wake)
	began := make(chan time.Time, 1)
	run(t, q, contract.JobFunc(func(context.Context, domain.Job, func(int, string) error) (*domain.Analysis, error) {
		began <- time.Now()
		return nil, nil
	}))
	enqueue(t, q, spec(1)) // it runs
	<-began
	other, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	at := time.Now()
	if _, err := other.ExecContext(t.Context(), `INSERT INTO matric_events.river_job (kind, args, max_attempts)
		VALUES ('job', jsonb_build_object('job_id', $1::text, 'job_type', 'NoteAnalysis'), 3)`, jobID(2).String()); err != nil {
		t.Fatal(err)
	}
	if d := (<-began).Sub(at); d > soon {
		t.Errorf("it began after %s", d)
	}
	expect(t, db, 2, "JobQueued", "JobStarted", "JobCompleted")
}

// Neither an attempt nor a retry waits for a poll.
func TestPostgresNothingWaitsForAPoll(t *testing.T) {
	_, q := openTest(t, pgtest.Database(t))
	began := make(chan time.Time, 1)
	run(t, q, contract.JobFunc(func(_ context.Context, job domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
		began <- time.Now()
		if job.Attempt == 1 {
			return nil, context.DeadlineExceeded
		}
		return nil, nil
	}))
	for n := range byte(10) {
		at := time.Now()
		enqueue(t, q, spec(n))
		for attempt := range 2 {
			if d := (<-began).Sub(at); d > soon {
				t.Errorf("attempt %d of job %d began after %s", attempt+1, n, d)
			}
			at = time.Now()
		}
	}
}

func TestPostgresPlans(t *testing.T) {
	db, q := openTest(t, pgtest.Database(t))
	for n := range byte(3) {
		enqueue(t, q, spec(n))
	}
	if _, err := db.SQL().ExecContext(t.Context(), `INSERT INTO river_job (kind, args, max_attempts, state, finalized_at)
		SELECT 'job', jsonb_build_object('job_id', gen_random_uuid(), 'job_type', 'A', 'note_id', gen_random_uuid()), 3, 'completed', now()
		FROM generate_series(1, 20000)`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), `ANALYZE river_job`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ why, query, want string }{
		{"one job by its ID", `SELECT * FROM river_job WHERE ((args ->> 'job_id') = 'x') ORDER BY id LIMIT 1`, "matric_job_id"},
		{"a note's jobs", `SELECT * FROM river_job WHERE ((args ->> 'note_id') = 'x') ORDER BY id DESC LIMIT 9`, "matric_job_note"},
		{"the newest jobs", `SELECT * FROM river_job WHERE (id < 7) ORDER BY id DESC LIMIT 9`, "river_job_pkey"},
		{"the count", `SELECT count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state <> 'running')
			FROM river_job WHERE state IN ('available', 'pending', 'scheduled', 'retryable', 'running')`, "river_job_prioritized_fetching_index"},
	} {
		if plan := explain(t, db.SQL(), c.query); !strings.Contains(plan, c.want) || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s: plan:\n%s", c.why, plan)
		}
	}
}

func explain(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN "+query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// A queue is opened while others use its table: neither waits for a reader, and nobody is lost to a deadlock.
func TestPostgresOpensBesideOthers(t *testing.T) {
	const (
		read = `SELECT FROM river_job`
		dump = `DO $$ DECLARE t regclass; BEGIN
			FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace LOOP
				EXECUTE 'LOCK TABLE ' || t || ' IN ACCESS SHARE MODE';
			END LOOP; END $$`
		write = `INSERT INTO river_job (kind, args, max_attempts, state, attempt)
			SELECT 'job', jsonb_build_object('job_id', gen_random_uuid(), 'job_type', 'NoteAnalysis'), 3, 'running', 1`
	)
	for _, c := range []struct {
		name        string
		first, then string // of the other transaction, before the queue is opened and meanwhile
		waits       bool
	}{
		{"a backup reads", dump, "", false},
		{"a reader writes later", read, write, false},
		{"a writer writes again", write, write, true},
		{"a worker ends its job", `SELECT FROM river_job FOR UPDATE`, `UPDATE river_job SET state = 'completed', finalized_at = now()`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			db, _ := openTest(t, pgtest.Database(t))
			if _, err := db.SQL().ExecContext(ctx, write); err != nil {
				t.Fatal(err)
			}
			tx, err := db.SQL().BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			if _, err := tx.ExecContext(ctx, c.first); err != nil {
				t.Fatal(err)
			}
			opened := make(chan error, 1)
			go func() {
				_, err := db.MigrateUp(ctx)
				if err == nil {
					_, err = jobs.Open(ctx, db.SQL(), db.ReadSQL(), db, newID, nil)
				}
				opened <- err
			}()
			if c.waits {
				awaitLock(ctx, t, db.ReadSQL())
			} else if err := <-opened; err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(ctx, c.then); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			if c.waits {
				if err := <-opened; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// awaitLock returns once somebody waits for the lock of a table.
func awaitLock(ctx context.Context, t *testing.T, db *sql.DB) {
	t.Helper()
	for waits := false; !waits; {
		if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'river_job'::regclass AND NOT granted)`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
}
