package jobs

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
)

// dialect is what is particular to one kind of database.
type dialect struct {
	driver func(pool *sql.DB) riverdriver.Driver[*sql.Tx]

	// Expressions on a row of river_job.
	jobID, jobType, noteID string
	failed                 string // an attempt has failed

	// objects is what we put on River's tables: indexes, and triggers that write to the outbox. It can be made again.
	objects string
	// interrupt ends running attempts: those of jobs for which the condition @which holds.
	interrupt string
	// running returns River's ID of each job that runs, and the number of its attempt.
	running string
	// countJobs returns how many jobs run, and how many wait.
	countJobs string
	// lock takes River's ID of a job, which nobody else changes then until the end of the transaction. It is empty where there
	// is one writer at a time.
	lock string
	// canceledAttempt takes River's ID of a job and the number of an attempt, and returns whether it is to be canceled. Until
	// the end of the transaction nobody else changes the job. There is no row when the attempt is over.
	canceledAttempt string
	// storeProgress takes JSON and River's ID of a job.
	storeProgress string

	reindex []string // indexes that River makes anew from time to time; nil for all that may need it
}

func dialectOf(name string) (dialect, error) {
	switch name {
	case "sqlite":
		return sqliteDialect, nil
	case "postgres":
		return postgresDialect, nil
	}
	return dialect{}, fmt.Errorf("there is no dialect %q", name)
}

// localDriver is River's driver with notifications that stay within the process. River's own listener for SQLite polls a
// table every 50 ms, and every insert writes to it; that for PostgreSQL needs another driver and a connection for each
// client, and without it River polls once a second.
type localDriver struct {
	riverdriver.Driver[*sql.Tx]
	board *switchboard
}

func (d *dialect) local(pool *sql.DB, board *switchboard) *localDriver {
	return &localDriver{d.driver(pool), board}
}

// GetListener implements riverdriver.Driver.
func (d *localDriver) GetListener(p *riverdriver.GetListenenerParams) riverdriver.Listener {
	return d.board.listener(p.Schema)
}

// SupportsListener implements riverdriver.Driver.
func (d *localDriver) SupportsListener() bool { return true }

// SupportsListenNotify implements riverdriver.Driver. Without it an insert writes no notification of its own.
func (d *localDriver) SupportsListenNotify() bool { return false }

// prepare brings the database to River's current schema, puts our own objects on River's tables and ends what a process
// that died left running.
func (q *Queue) prepare(ctx context.Context) error {
	m, err := rivermigrate.New(q.sql.driver(q.write), &rivermigrate.Config{Logger: q.o.Logger})
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate River: %w", err)
	}
	tx, err := q.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do, and otherwise the first error counts
	if _, err := tx.ExecContext(ctx, q.sql.objects); err != nil {
		return fmt.Errorf("create triggers: %w", err)
	}
	if err := q.takeOver(ctx, tx); err != nil {
		return fmt.Errorf("take over running jobs: %w", err)
	}
	return tx.Commit()
}

// takeOver ends the attempts of a process that died, and its leadership, which would otherwise last until it expires.
func (q *Queue) takeOver(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM river_leader`); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, strings.ReplaceAll(q.sql.interrupt, "@which", "true"))
	return err
}
