package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

const (
	// pollInterval is how often River looks for jobs that nobody told it of. There should be none.
	pollInterval = 5 * time.Second

	// stopLeeway is how long handlers may take to return once their context has ended, before Run gives up on them.
	stopLeeway = 5 * time.Second

	// startPause is the first pause between tries to start while the database is away; the next ones double.
	startPause    = 50 * time.Millisecond
	startMaxPause = 2 * time.Second

	// never is when River would take a job that runs for too long away from its handler and run it a second time. It
	// cannot be told not to. Which jobs run is known for certain: one process runs them, and Open ends those of another.
	never = 100 * 365 * 24 * time.Hour
)

// Run has handler do the jobs until ctx ends. Then it takes up no more, lets those that run go on for a grace period, ends
// their contexts, and returns once all handlers have. What did not finish is interrupted and will run again. An error at
// the end says that a handler does not return. A database that is away is waited for. Run can be called again, but not twice
// at the same time.
func (q *Queue) Run(ctx context.Context, handler ports.JobHandler) error {
	if !q.running.CompareAndSwap(false, true) {
		return errors.New("jobs: run: already running")
	}
	defer q.running.Store(false)
	client, results, unsubscribe, err := q.start(ctx, handler)
	for pause := startPause; errors.Is(err, domain.ErrUnavailable); pause = min(2*pause, startMaxPause) {
		select {
		case <-time.After(pause):
			client, results, unsubscribe, err = q.start(ctx, handler)
		case <-ctx.Done():
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("jobs: run: %w", err)
	}
	defer unsubscribe()
	look := time.NewTicker(reapPeriod)
	defer look.Stop()
	var suspects map[attempt]bool
	for {
		select {
		case <-look.C:
			suspects = q.reap(ctx, suspects)
		case r := <-results:
			q.attempts.settle(attempt{r.Job.ID, r.Job.Attempt})
			q.results.ring()
			q.wakeFor(r.Job)
		case <-ctx.Done():
			return q.stop(ctx, client)
		}
	}
}

// start starts a client that runs jobs, and returns how it tells of their results. A client that did not start is not used
// again.
func (q *Queue) start(ctx context.Context, handler ports.JobHandler) (_ *river.Client[*sql.Tx], results <-chan *river.Event, unsubscribe func(), err error) {
	client, err := q.newRunner(handler)
	if err != nil {
		return nil, nil, nil, err
	}
	results, unsubscribe = client.Subscribe(river.EventKindJobCancelled, river.EventKindJobCompleted,
		river.EventKindJobFailed, river.EventKindJobInterrupted)
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		unsubscribe()
		return nil, nil, nil, fmt.Errorf("start River: %w", q.store.Translate(err))
	}
	return client, results, unsubscribe, nil
}

func (q *Queue) newRunner(handler ports.JobHandler) (*river.Client[*sql.Tx], error) {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &worker{queue: q, handler: handler}); err != nil {
		return nil, err
	}
	return river.NewClient(q.driver, &river.Config{
		CancelledJobRetentionPeriod: q.o.Retention,
		CompletedJobRetentionPeriod: q.o.Retention,
		DiscardedJobRetentionPeriod: q.o.Retention,
		FetchCooldown:               time.Millisecond,
		FetchPollInterval:           pollInterval,
		JobTimeout:                  q.o.JobTimeout,
		Logger:                      q.o.Logger,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: q.o.Workers}},
		ReindexerIndexNames:         q.sql.reindex,
		RescueStuckJobsAfter:        never,
		RetryPolicy:                 retryPolicy{q.o.RetryInitial, q.o.RetryMax},
		SoftStopTimeout:             q.o.StopGrace,
		Workers:                     workers,
	})
}

func (q *Queue) stop(ctx context.Context, client *river.Client[*sql.Tx]) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), q.o.StopGrace+stopLeeway)
	defer cancel()
	if err := client.Stop(ctx); err != nil {
		return fmt.Errorf("jobs: run: a handler does not return: %w", err)
	}
	return nil
}

// wakeFor has River look for a job when it is time for its next attempt. River makes a job available up to 5 s ahead of
// its time, and then only looks for it at the next poll.
func (q *Queue) wakeFor(job *rivertype.JobRow) {
	if job.State == rivertype.JobStateAvailable || job.State == rivertype.JobStateRetryable {
		// Times are stored in milliseconds; one more and this one has surely come.
		time.AfterFunc(time.Until(job.ScheduledAt)+2*time.Millisecond, q.Wake)
	}
}

// retryPolicy implements river.ClientRetryPolicy.
type retryPolicy struct{ initial, longest time.Duration }

// NextRetry doubles the interval with each attempt.
func (p retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	interval := min(p.initial, p.longest)
	for n := 1; n < job.Attempt && interval < p.longest; n++ {
		interval = min(2*interval, p.longest)
	}
	return time.Now().Add(interval)
}
