package jobs

import (
	"database/sql"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// sqliteDialect is that of SQLite.
var sqliteDialect = dialect{
	driver: func(pool *sql.DB) riverdriver.Driver[*sql.Tx] { return riversqlite.New(pool) },
	jobID:  sqliteJobID, jobType: `json_extract(args, '$.job_type')`, noteID: sqliteNoteID,
	failed:  `coalesce(json_array_length(errors), 0) > 0`,
	objects: sqliteObjects, interrupt: sqliteInterrupt,

	// Nothing is read but the index by which River fetches, and of that only the part of unfinished jobs.
	countJobs: `SELECT count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state <> 'running')
		FROM river_job WHERE state IN ('available', 'pending', 'scheduled', 'retryable', 'running')`,
	canceledAttempt: `SELECT metadata ->> '$.cancel_attempted_at' IS NOT NULL FROM river_job
		WHERE id = ? AND attempt = ? AND state = 'running'`,
	running:       `SELECT id, attempt FROM river_job WHERE state = 'running'`,
	storeProgress: `UPDATE river_job SET metadata = jsonb_set(metadata, '$.progress', json(?)) WHERE id = ?`,

	reindex: []string{}, // its indexes do not bloat
}

const (
	sqliteJobID  = `json_extract(args, '$.job_id')`
	sqliteNoteID = `json_extract(args, '$.note_id')`
)

// sqliteUUID7 makes an identifier by RFC 9562, section 5.7. Each randomblob is another one, so it does not matter should the
// planner evaluate r more than once.
const sqliteUUID7 = `(SELECT substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-7' || substr(r, 1, 3) || '-' ||
		substr('89ab', 1 + (random() & 3), 1) || substr(r, 4, 3) || '-' || substr(r, 7, 12)
	FROM (SELECT printf('%012x', CAST(unixepoch('subsec') * 1000 AS INTEGER)) AS h, lower(hex(randomblob(9))) AS r))`

// sqliteObjects is made anew at every start: River's migrations may rebuild the tables, which drops it. json_patch leaves out the members that are null.
const sqliteObjects = `
DROP TRIGGER IF EXISTS matric_job_insert;
DROP TRIGGER IF EXISTS matric_job_update;
CREATE UNIQUE INDEX IF NOT EXISTS matric_job_id ON river_job (` + sqliteJobID + `);
CREATE INDEX IF NOT EXISTS matric_job_note ON river_job (` + sqliteNoteID + `, id) WHERE ` + sqliteNoteID + ` IS NOT NULL;

CREATE TRIGGER matric_job_insert AFTER INSERT ON river_job BEGIN
	INSERT INTO outbox (kind, body) VALUES ('worker', json_patch('{}', json_object(
		'type', 'JobQueued',
		'event_id', ` + sqliteUUID7 + `,
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
		'event_id', ` + sqliteUUID7 + `,
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

// The times of sqliteInterrupt are in the form in which River compares them.
const sqliteInterrupt = `
UPDATE river_job SET state = 'cancelled', finalized_at = datetime('now', 'subsec')
WHERE state = 'running' AND @which AND metadata ->> '$.cancel_attempted_at' IS NOT NULL;
UPDATE river_job SET
	state = CASE WHEN attempt < max_attempts THEN 'available' ELSE 'discarded' END,
	finalized_at = CASE WHEN attempt < max_attempts THEN NULL ELSE datetime('now', 'subsec') END,
	scheduled_at = datetime('now', 'subsec'),
	errors = jsonb_insert(coalesce(errors, jsonb('[]')), '$[#]', json_object(
		'at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 'attempt', attempt, 'error', '` + textInterrupted + `', 'trace', ''))
WHERE state = 'running' AND @which;`
