package capture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
)

// counted is what the table says.
func (r *rig) counted() (q domain.QueueStatus) {
	r.t.Helper()
	if err := r.app.QueryRow(`SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status IN ('running', 'processing')) FROM job_queue`).Scan(&q.Pending, &q.Running); err != nil {
		r.t.Fatal(err)
	}
	return q
}

// A million jobs are counted once, and then never again: what changes is added up.
func TestCountsOfAMillion(t *testing.T) {
	if testing.Short() {
		t.Skip("a million rows")
	}
	t.Parallel()
	r := newRig(t, matricSchema)
	r.exec(`INSERT INTO job_queue (job_type, status) SELECT 'x', CASE n % 10 WHEN 0 THEN 'running' WHEN 1 THEN 'completed' ELSE 'pending' END::job_status FROM generate_series(1, 1000000) AS n`)
	r.attach("preset: matric\nnotes: false")
	c := NewCounter(r.hub, func(kind string, err error) { t.Error(kind, err) })
	began := time.Now()
	if err := c.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("the first count took %v", time.Since(began))
	check := func(what string) {
		t.Helper()
		began := time.Now()
		got, err := c.CountJobs(t.Context())
		took := time.Since(began)
		if want := r.counted(); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", what, got, err, want)
		}
		if took > time.Second {
			t.Errorf("%s: counting took %v", what, took)
		}
	}
	check("at first")
	r.exec(`UPDATE job_queue SET status = 'running' WHERE id IN (SELECT id FROM job_queue WHERE status = 'pending' LIMIT 1000)`)
	r.exec(`DELETE FROM job_queue WHERE id IN (SELECT id FROM job_queue WHERE status = 'pending' LIMIT 1000)`)
	check("with deltas")
	if err := c.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	var deltas int
	if err := r.hub.QueryRow(`SELECT count(*) FROM capture_delta`).Scan(&deltas); err != nil || deltas != 0 {
		t.Errorf("%d deltas are left, %v", deltas, err)
	}
	check("without deltas")
	r.exec(`TRUNCATE job_queue`)
	if err := c.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after TRUNCATE")
}

// Whatever writers do side by side, and whenever it is tidied up or counted anew, the sum is what the table says once they
// are done.
func TestCountsUnderConcurrentWriters(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	r.attach("preset: matric\nnotes: false")
	c := NewCounter(r.hub, func(kind string, err error) { t.Error(kind, err) })
	ctx, cancel := context.WithCancel(t.Context())
	var tidying, writing sync.WaitGroup
	tidying.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			err := c.tidy(ctx)
			if err == nil && n%3 == 0 {
				err = Recount(ctx, r.hub, "default")
			}
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	for w := range 4 {
		writing.Go(func() { churn(t, r, w) })
	}
	writing.Wait()
	cancel()
	tidying.Wait()
	if got, err := c.CountJobs(t.Context()); err != nil || got != r.counted() {
		t.Errorf("counted %+v, %v; want %+v", got, err, r.counted())
	}
}

// churn changes jobs in transactions, of which some are rolled back, in whole or to a savepoint.
func churn(t *testing.T, r *rig, seed int) {
	rnd := rand.New(rand.NewPCG(uint64(seed), 1))
	states := []string{"pending", "running", "completed", "failed", "cancelled"}
	for range 100 {
		tx, err := r.app.BeginTx(t.Context(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		run := func(statement string) {
			if _, err := tx.ExecContext(t.Context(), statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
		run(fmt.Sprintf(`INSERT INTO job_queue (job_type, status) SELECT 'w%d', '%s' FROM generate_series(1, %d)`, seed, states[rnd.IntN(5)], rnd.IntN(70)))
		run(`SAVEPOINT s`)
		run(fmt.Sprintf(`UPDATE job_queue SET status = '%s' WHERE job_type = 'w%d' AND random() < 0.3`, states[rnd.IntN(5)], seed))
		if rnd.IntN(3) == 0 {
			run(`ROLLBACK TO s`)
		}
		run(fmt.Sprintf(`DELETE FROM job_queue WHERE job_type = 'w%d' AND random() < 0.2`, seed))
		if rnd.IntN(4) == 0 {
			err = tx.Rollback()
		} else {
			err = tx.Commit()
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// Of several captures one cannot be counted, for its table is gone. The others are, and faults do not pile up.
func TestCountsOfOthersThanTheBroken(t *testing.T) {
	t.Parallel()
	const kept = faultsKept + 5
	for _, broken := range []string{"a", "z"} {
		r := newRig(t, matricSchema)
		r.exec(`CREATE TABLE task (id uuid PRIMARY KEY, status text)`)
		r.attach("preset: matric\nnotes: false")
		m, err := ParseMapping([]byte("jobs: {table: task, id: id, status: status, states: {queued: [new]}}"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Attach(t.Context(), r.hub, broken, m, nil); err != nil {
			t.Fatal(err)
		}
		r.exec(`DROP TABLE task`)
		r.exec(`INSERT INTO job_queue (job_type) VALUES ('x')`)
		if _, err := r.hub.ExecContext(t.Context(), `INSERT INTO capture_fault (capture, source, code, message)
			SELECT $1, 'x', '22000', 'x' FROM generate_series(1, $2)`, broken, kept); err != nil {
			t.Fatal(err)
		}
		c := NewCounter(r.hub, func(string, error) {})
		if err := c.tidy(t.Context()); err == nil {
			t.Errorf("%s: nobody is told of the broken one", broken)
		}
		if got, err := c.CountJobs(t.Context()); err != nil || got != r.counted() {
			t.Errorf("%s is broken: counted %+v, %v; want %+v", broken, got, err, r.counted())
		}
		if faults := len(r.faults()); faults > faultsKept {
			t.Errorf("%s: %d faults are kept; want %d at most", broken, faults, faultsKept)
		}
	}
}
