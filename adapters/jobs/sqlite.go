package jobs

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// localDriver is River's driver with notifications that stay within the process. River's own listener for SQLite polls a table
// every 50 ms, and every insert writes to it.
type localDriver struct {
	*riversqlite.Driver
	board *switchboard
}

var _ riverdriver.Driver[*sql.Tx] = (*localDriver)(nil)

func newDriver(pool *sql.DB, board *switchboard) *localDriver {
	return &localDriver{riversqlite.New(pool), board}
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
func prepare(ctx context.Context, pool *sql.DB, logger *slog.Logger) error {
	m, err := rivermigrate.New(riversqlite.New(pool), &rivermigrate.Config{Logger: logger})
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate River: %w", err)
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do, and otherwise the first error counts
	if _, err := tx.ExecContext(ctx, objects); err != nil {
		return fmt.Errorf("create triggers: %w", err)
	}
	if _, err := tx.ExecContext(ctx, takeOver); err != nil {
		return fmt.Errorf("take over running jobs: %w", err)
	}
	return tx.Commit()
}

// Expressions on a row of river_job.
const (
	exprJobID  = `json_extract(args, '$.job_id')`
	exprType   = `json_extract(args, '$.job_type')`
	exprNoteID = `json_extract(args, '$.note_id')`
	exprFailed = `coalesce(json_array_length(errors), 0) > 0` // an attempt has failed
)

const (
	// countJobs reads nothing but the index by which River fetches, and of that only the part of unfinished jobs.
	countJobs = `SELECT count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state <> 'running')
		FROM river_job WHERE state IN ('available', 'pending', 'scheduled', 'retryable', 'running')`

	// canceledAttempt returns no row when the attempt is over.
	canceledAttempt = `SELECT metadata ->> '$.cancel_attempted_at' IS NOT NULL FROM river_job
		WHERE id = ? AND attempt = ? AND state = 'running'`

	storeProgress = `UPDATE river_job SET metadata = jsonb_set(metadata, '$.progress', json(?)) WHERE id = ?`
)

// uuid7 makes an identifier by RFC 9562, section 5.7. Each randomblob is another one, so it does not matter should the
// planner evaluate r more than once.
const uuid7 = `(SELECT substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-7' || substr(r, 1, 3) || '-' ||
		substr('89ab', 1 + (random() & 3), 1) || substr(r, 4, 3) || '-' || substr(r, 7, 12)
	FROM (SELECT printf('%012x', CAST(unixepoch('subsec') * 1000 AS INTEGER)) AS h, lower(hex(randomblob(9))) AS r))`

// objects is what we put on River's tables. It is made anew at every start: River's migrations may rebuild the tables,
// which drops it. json_patch leaves out the members that are null.
const objects = `
DROP TRIGGER IF EXISTS matric_job_insert;
DROP TRIGGER IF EXISTS matric_job_update;
CREATE UNIQUE INDEX IF NOT EXISTS matric_job_id ON river_job (` + exprJobID + `);
CREATE INDEX IF NOT EXISTS matric_job_note ON river_job (` + exprNoteID + `, id) WHERE ` + exprNoteID + ` IS NOT NULL;

CREATE TRIGGER matric_job_insert AFTER INSERT ON river_job BEGIN
	INSERT INTO outbox (kind, body) VALUES ('worker', json_patch('{}', json_object(
		'type', 'JobQueued',
		'event_id', ` + uuid7 + `,
		'occurred_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
		'job_id', NEW.args ->> '$.job_id',
		'job_type', NEW.args ->> '$.job_type',
		'note_id', NEW.args ->> '$.note_id',
		'priority', NEW.priority)));
END;

-- A change between states of waiting is no event. One from running to waiting is the end of an attempt, which has failed
-- if there is one more error than before.
CREATE TRIGGER matric_job_update AFTER UPDATE OF state ON river_job
WHEN NEW.state <> OLD.state AND (OLD.state = 'running' OR NEW.state IN ('running', 'completed', 'discarded', 'cancelled'))
BEGIN
	INSERT INTO outbox (kind, body) VALUES ('worker', json_patch('{}', json_object(
		'type', CASE NEW.state WHEN 'running' THEN 'JobStarted' WHEN 'completed' THEN 'JobCompleted' ELSE 'JobFailed' END,
		'event_id', ` + uuid7 + `,
		'occurred_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
		'job_id', NEW.args ->> '$.job_id',
		'job_type', NEW.args ->> '$.job_type',
		'note_id', NEW.args ->> '$.note_id',
		'duration_ms', CASE WHEN NEW.state = 'completed' THEN max(0, CAST(round(
			(unixepoch(NEW.finalized_at, 'subsec') - unixepoch(NEW.attempted_at, 'subsec')) * 1000) AS INTEGER)) END,
		'error', CASE
			WHEN NEW.state IN ('running', 'completed') THEN NULL
			WHEN NEW.state = 'cancelled' THEN '` + textCanceled + `'
			WHEN coalesce(json_array_length(NEW.errors), 0) > coalesce(json_array_length(OLD.errors), 0)
				THEN json_extract(NEW.errors, '$[#-1].error')
			ELSE '` + textInterrupted + `' END,
		'will_retry', CASE
			WHEN NEW.state IN ('running', 'completed') THEN NULL
			WHEN NEW.state IN ('discarded', 'cancelled') THEN json('false')
			ELSE json('true') END)));
END;`

// takeOver ends the attempts of a process that died, and its leadership, which would otherwise last until it expires. The
// times are in the form in which River compares them.
const takeOver = `
DELETE FROM river_leader;
UPDATE river_job SET state = 'cancelled', finalized_at = datetime('now', 'subsec')
WHERE state = 'running' AND metadata ->> '$.cancel_attempted_at' IS NOT NULL;
UPDATE river_job SET
	state = CASE WHEN attempt < max_attempts THEN 'available' ELSE 'discarded' END,
	finalized_at = CASE WHEN attempt < max_attempts THEN NULL ELSE datetime('now', 'subsec') END,
	scheduled_at = datetime('now', 'subsec'),
	errors = jsonb_insert(coalesce(errors, jsonb('[]')), '$[#]', json_object(
		'at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 'attempt', attempt, 'error', '` + textInterrupted + `', 'trace', ''))
WHERE state = 'running';`
