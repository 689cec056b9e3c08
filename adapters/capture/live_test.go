package capture

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lib/pq"
)

// Attaching, changing and detaching while the application writes: none of its statements fails, none waits for long, and in
// the end the counts are right.
func TestAttachWhileTheApplicationWrites(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	m, err := ParseMapping([]byte("preset: matric\nnotes: false"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ParseMapping([]byte("preset: matric\nnotes: false\njobs: {message: ''}"))
	if err != nil {
		t.Fatal(err)
	}
	var writing sync.WaitGroup
	for w := range 3 {
		writing.Go(func() { churn(t, r, w) })
	}
	options := &Options{Tries: 50, LockTimeout: 100 * time.Millisecond}
	for range 3 {
		for _, m := range []*Mapping{m, other} {
			if _, err := Attach(t.Context(), r.hub, "default", m, options); err != nil {
				t.Error(err)
			}
			if err := Recount(t.Context(), r.hub, "default"); err != nil {
				t.Error(err)
			}
		}
		if err := Detach(t.Context(), r.hub, "default", options); err != nil {
			t.Error(err)
		}
	}
	if _, err := Attach(t.Context(), r.hub, "default", m, options); err != nil {
		t.Error(err)
	}
	if err := Recount(t.Context(), r.hub, "default"); err != nil {
		t.Error(err)
	}
	writing.Wait()
	c := NewCounter(r.hub, func(kind string, err error) { t.Error(kind, err) })
	if got, err := c.CountJobs(t.Context()); err != nil || got != r.counted() {
		t.Errorf("counted %+v, %v; want %+v", got, err, r.counted())
	}
	if f := r.faults(); len(f) > 0 {
		t.Errorf("faults %v", f)
	}
	r.events() // the hub must accept them all
}

func TestCopy(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	r.attach("preset: matric\nnotes: false")
	tx, err := r.app.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tx.PrepareContext(t.Context(), pq.CopyIn("job_queue", "id", "job_type", "status")) //nolint:staticcheck // the driver's way in database/sql
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n, status := range []string{"pending", "running", "completed"} {
		if _, err := s.ExecContext(t.Context(), strings.Trim(id(n+1), "'"), "x", status); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.ExecContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"JobQueued 0001 X", "JobStarted 0002 X", "JobCompleted 0003 X"}, r.events()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Statements of one query that each change the same rows, by way of a function, are told in their order.
func TestManyChangesOfOneRow(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	r.attach("preset: matric\nnotes: false")
	r.exec(`INSERT INTO job_queue (id, job_type) VALUES (` + id(1) + `, 'x')`)
	r.exec(`DO $$ BEGIN
		UPDATE job_queue SET status = 'running';
		FOR p IN 1..100 LOOP UPDATE job_queue SET progress_percent = p; END LOOP;
		UPDATE job_queue SET status = 'completed';
	END $$`)
	want := []string{"JobQueued 0001 X", "JobStarted 0001 X"}
	for p := range 100 {
		want = append(want, fmt.Sprintf("JobProgress 0001 X %d%%", p+1))
	}
	if d := cmp.Diff(append(want, "JobCompleted 0001 X"), r.events()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
