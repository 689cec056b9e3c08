package jobs_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/contract"
)

// victimEnv names the database of a process that is killed while it runs jobs.
const victimEnv = "MATRIC_TEST_VICTIM"

// TestVictim is not a test but the process that TestKilled kills.
func TestVictim(t *testing.T) {
	url := os.Getenv(victimEnv)
	if url == "" {
		t.Skip("for TestKilled only")
	}
	db := openStore(t, url)
	q := openQueue(t, db, db)
	started, canceled := make(chan struct{}, 3), make(chan struct{})
	run(t, q, contract.JobFunc(func(ctx context.Context, job domain.Job, report func(int, string) error) (*domain.Analysis, error) {
		if err := report(40, "at work"); err != nil {
			return nil, err
		}
		started <- struct{}{}
		if job.ID == jobID(3) {
			<-ctx.Done()
			close(canceled)
		}
		select {} // until the process is killed
	}))
	last := spec(2)
	last.MaxAttempts = 1
	for _, s := range []domain.JobSpec{spec(1), last, spec(3)} {
		enqueue(t, q, s)
		<-started
	}
	go q.Cancel(t.Context(), jobID(3)) // it has no time to return
	<-canceled
	enqueue(t, q, spec(4))
	fmt.Println("ready")
	select {}
}

func TestKilled(t *testing.T) {
	onEvery(t, func(t *testing.T, url string) {
		kill(t, url)

		db := openStore(t, url)
		q := openQueue(t, db, db)
		for n, want := range map[byte]domain.Job{
			1: {State: domain.JobStateRetrying, Attempt: 1, Error: "interrupted", Progress: 40},
			2: {State: domain.JobStateFailed, Attempt: 1, Error: "interrupted", Progress: 40},
			3: {State: domain.JobStateCanceled, Attempt: 1, Error: "canceled", Progress: 40},
		} {
			got := get(t, q, n)
			if got.State != want.State || got.Attempt != want.Attempt || got.Error != want.Error || got.Progress != want.Progress {
				t.Errorf("job %d is %+v; want %+v", n, got, want)
			}
			if got.FinishedAt.IsZero() == got.State.Final() {
				t.Errorf("job %d is %s and finished at %v", n, got.State, got.FinishedAt)
			}
		}
		if got, err := q.CountJobs(t.Context()); err != nil || got.Running != 0 {
			t.Errorf("CountJobs = %+v, %v; nothing can run yet", got, err)
		}

		run(t, q, contract.JobFunc(func(context.Context, domain.Job, func(int, string) error) (*domain.Analysis, error) { return nil, nil }))
		expect(t, db, 1, "JobQueued", "JobStarted", "JobProgress", "JobFailed: interrupted, will retry", "JobStarted", "JobCompleted")
		expect(t, db, 2, "JobQueued", "JobStarted", "JobProgress", "JobFailed: interrupted")
		expect(t, db, 3, "JobQueued", "JobStarted", "JobProgress", "JobFailed: canceled")
		// The last one may have been taken up when the process died, or not.
		for want := 3; ; want++ {
			if got := await(t, db, 4, want); got[len(got)-1] == "JobCompleted" {
				break
			}
		}
	})
}

// kill starts a victim and kills it once its jobs run.
func kill(t *testing.T, url string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$", "-test.v")
	cmd.Env = append(os.Environ(), victimEnv+"="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		t.Log(lines.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
}
