package capture

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/matric/matric-events/domain"
)

// Options tune Attach and Detach.
type Options struct {
	// LockTimeout bounds each wait for a table that somebody uses, while others queue behind us. Zero means 500 ms, less
	// than the second after which PostgreSQL looks for deadlocks, so that it never ends a transaction of the application.
	LockTimeout time.Duration
	// Tries is how often to try when that was not enough, a second apart. Zero means 10.
	Tries int
	// OnBusy is called before another try. Nil does nothing.
	OnBusy func(err error)
}

func (o *Options) withDefaults() Options {
	out := Options{}
	if o != nil {
		out = *o
	}
	if out.LockTimeout <= 0 {
		out.LockTimeout = 500 * time.Millisecond
	}
	if out.Tries <= 0 {
		out.Tries = 10
	}
	if out.OnBusy == nil {
		out.OnBusy = func(error) {}
	}
	return out
}

// patiently runs fn in a transaction that does not wait for locks for long, several times if need be.
func patiently(ctx context.Context, db *sql.DB, o *Options, fn func(tx *sql.Tx) error) error {
	opt := o.withDefaults()
	for try := 1; ; try++ {
		err := once(ctx, db, opt.LockTimeout, fn)
		busy := pq.As(err, pqerror.LockNotAvailable, pqerror.TRDeadlockDetected) != nil
		if !busy {
			return err
		}
		if try == opt.Tries {
			return fmt.Errorf("%w: a transaction that is open uses a table; nothing was changed: %w", domain.ErrUnavailable, err)
		}
		opt.OnBusy(err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func once(ctx context.Context, db *sql.DB, wait time.Duration, fn func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do, and otherwise the first error counts
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(attachLock)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', $1, true)`, fmt.Sprintf("%dms", wait.Milliseconds())); err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}
