package jobs

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"modernc.org/sqlite"

	"github.com/matric/matric-events/domain"
)

// countingConnector opens connections that count their statements.
type countingConnector struct {
	path       string
	statements *atomic.Int64
}

func (c countingConnector) Driver() driver.Driver { return &sqlite.Driver{} }

func (c countingConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open("file:" + c.path + "?_journal_mode=WAL&_busy_timeout=5000&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	return countingConn{conn.(sqliteConn), c.statements}, nil
}

type sqliteConn interface {
	driver.Conn
	driver.ExecerContext
	driver.QueryerContext
	driver.ConnBeginTx
}

type countingConn struct {
	sqliteConn
	statements *atomic.Int64
}

func (c countingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.statements.Add(1)
	return c.sqliteConn.ExecContext(ctx, query, args)
}

func (c countingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.statements.Add(1)
	return c.sqliteConn.QueryContext(ctx, query, args)
}

// noNotes is a store that has an outbox only.
type noNotes struct{}

func (noNotes) Dialect() string { return "sqlite" }

func (noNotes) Translate(err error) error { return err }

func (noNotes) ApplyAnalysis(context.Context, *sql.Tx, domain.Analysis) (*domain.Note, error) {
	return nil, errors.New("there are no notes")
}

func (noNotes) AppendOutbox(ctx context.Context, tx *sql.Tx, kind, body string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO outbox (kind, body) VALUES (?, ?)`, kind, body)
	return err
}

// openBare returns a queue on a database of its own, and the count of the statements of its writer.
func openBare(t *testing.T, dir string) (*Queue, *atomic.Int64) {
	t.Helper()
	c := countingConnector{filepath.Join(dir, "test.db"), &atomic.Int64{}}
	write, read := sql.OpenDB(c), sql.OpenDB(countingConnector{c.path, &atomic.Int64{}})
	write.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := errors.Join(read.Close(), write.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := write.ExecContext(t.Context(), `CREATE TABLE outbox (position INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, body TEXT NOT NULL) STRICT`); err != nil {
		t.Fatal(err)
	}
	var serial atomic.Int64
	newID := func() domain.UUID { return domain.UUID{6: 0x70, 8: 0x80, 15: byte(serial.Add(1))} }
	q, err := Open(t.Context(), write, read, noNotes{}, newID, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q, c.statements
}

type handlerFunc func(ctx context.Context) error

func (f handlerFunc) Run(ctx context.Context, _ domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
	return nil, f(ctx)
}

func TestIdle(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, statements := openBare(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- q.Run(ctx, handlerFunc(func(context.Context) error { return nil })) }()
		time.Sleep(time.Minute) // the clock of the bubble
		before := statements.Load()
		time.Sleep(2 * time.Minute)
		if n := statements.Load() - before; n > 2*120 {
			t.Errorf("an idle queue makes %d statements in two minutes; want two a second at most", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The clock of the bubble shows whether something was told or found by a poll.
func TestNothingWaitsForAPoll(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, _ := openBare(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		began, stopped := make(chan time.Time), make(chan time.Time, 1)
		done := make(chan error)
		go func() {
			attempt := 0
			done <- q.Run(ctx, handlerFunc(func(ctx context.Context) error {
				began <- time.Now()
				if attempt++; attempt > 3 {
					<-ctx.Done()
					stopped <- time.Now()
				}
				return errors.New("no")
			}))
		}()
		time.Sleep(7 * time.Second) // between two polls
		within := func(what string, since, at time.Time, limit time.Duration) {
			t.Helper()
			if d := at.Sub(since); d > limit {
				t.Errorf("%s took %s; want %s at most", what, d, limit)
			}
		}
		id := domain.UUID{1}
		last := time.Now()
		if _, err := q.Enqueue(t.Context(), domain.JobSpec{ID: id, Type: "Any"}); err != nil {
			t.Fatal(err)
		}
		for _, interval := range []time.Duration{0, time.Second, 2 * time.Second} {
			at := <-began
			within("the way to an attempt", last, at, interval+50*time.Millisecond)
			last = at
		}
		<-began // the time before it is long enough for a poll
		last = time.Now()
		if job, err := q.Cancel(t.Context(), id); err != nil || job.State != domain.JobStateCanceled {
			t.Errorf("Cancel = %+v, %v", job, err)
		}
		within("the way of a cancel to the handler", last, <-stopped, 50*time.Millisecond)
		within("the end of a canceled job", last, time.Now(), 300*time.Millisecond)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestHandlerThatDoesNotReturn(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, _ := openBare(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		told, release := make(chan struct{}), make(chan struct{})
		done := make(chan error)
		go func() {
			done <- q.Run(ctx, handlerFunc(func(ctx context.Context) error {
				cancel()
				<-ctx.Done()
				close(told)
				<-release
				return ctx.Err()
			}))
		}()
		if _, err := q.Enqueue(t.Context(), domain.JobSpec{ID: domain.UUID{1}, Type: "Any"}); err != nil {
			t.Fatal(err)
		}
		<-told // after the grace period
		if err := <-done; err == nil {
			t.Error("Run = nil while a handler runs")
		}
		close(release)
		synctest.Wait()
	})
}

// A job that was taken up without River's knowing of it, as when the answer of the database is lost, is not left so.
func TestJobThatRunsNowhere(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, _ := openBare(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		began := make(chan domain.UUID, 9)
		release := make(chan struct{})
		done := make(chan error)
		go func() {
			done <- q.Run(ctx, contextHandler(func(_ context.Context, job domain.Job) error {
				began <- job.ID
				if job.ID == (domain.UUID{1}) {
					<-release // which is no reason to take it for lost
				}
				return nil
			}))
		}()
		slow, lost := domain.UUID{1}, domain.UUID{2}
		if _, err := q.Enqueue(t.Context(), domain.JobSpec{ID: slow, Type: "Any"}); err != nil {
			t.Fatal(err)
		}
		if id := <-began; id != slow {
			t.Fatalf("%s runs", id)
		}
		tx, err := q.write.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.EnqueueTx(t.Context(), tx, domain.JobSpec{ID: lost, Type: "Any"}); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), `UPDATE river_job SET state = 'running', attempt = 1, attempted_at = datetime('now', 'subsec')
			WHERE state = 'available'`); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		if id := <-began; id != lost || time.Since(at) > 3*reapPeriod {
			t.Errorf("%s began after %s; want the lost one", id, time.Since(at))
		}
		time.Sleep(10 * reapPeriod)
		close(release)
		time.Sleep(reapPeriod)
		for id, attempts := range map[domain.UUID]int{slow: 1, lost: 2} {
			if job, err := q.Job(t.Context(), id); err != nil || job.State != domain.JobStateCompleted || job.Attempt != attempts {
				t.Errorf("job %s is %+v, %v; want it completed in attempt %d", id, job, err, attempts)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

type contextHandler func(ctx context.Context, job domain.Job) error

func (f contextHandler) Run(ctx context.Context, job domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
	return nil, f(ctx, job)
}
