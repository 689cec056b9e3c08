package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/contract"
	"github.com/matric/matric-events/tests/pgtest"
)

// A caller is told that what it asks for may work another time, wherever on its way the connection breaks.
func TestPostgresOutageIsUnavailable(t *testing.T) {
	url, proxy := pgtest.Proxied(t, pgtest.Database(t))
	db, q := openTest(t, url)
	job := spec(1)
	enqueue(t, q, job)
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	proxy.Cut()
	for name, call := range map[string]func() error{
		"enqueue within a transaction": func() error { return q.EnqueueTx(t.Context(), tx, spec(2)) },
		"enqueue":                      func() error { _, err := q.Enqueue(t.Context(), spec(2)); return err },
		"read":                         func() error { _, err := q.Job(t.Context(), job.ID); return err },
		"list":                         func() error { _, _, err := q.Jobs(t.Context(), domain.JobQuery{Limit: 1}); return err },
		"cancel":                       func() error { _, err := q.Cancel(t.Context(), job.ID); return err },
		"count":                        func() error { _, err := q.CountJobs(t.Context()); return err },
	} {
		if err := call(); !errors.Is(err, domain.ErrUnavailable) {
			t.Errorf("%s: %v; want %v", name, err, domain.ErrUnavailable)
		}
	}
}

// A database that is away when jobs are to be run for the first time is waited for.
func TestPostgresAwayAtTheStart(t *testing.T) {
	url, proxy := pgtest.Proxied(t, pgtest.Database(t))
	_, q := openTest(t, url)
	proxy.Cut()
	done := make(chan domain.Job, 1)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		ended <- q.Run(ctx, contract.JobFunc(func(_ context.Context, job domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
			done <- job
			return nil, nil
		}))
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	}()
	select {
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run ended: %v", err)
	case <-time.After(300 * time.Millisecond): // that it goes on waiting cannot be seen sooner
	}
	proxy.Restore()
	enqueue(t, q, spec(1))
	<-done
}
