package jobs

import (
	"database/sql"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
)

// postgresDialect is that of PostgreSQL. The search_path of the connections says which schema the tables are in.
var postgresDialect = dialect{
	driver: func(pool *sql.DB) riverdriver.Driver[*sql.Tx] { return riverdatabasesql.New(pool) },
	jobID:  postgresJobID, jobType: `(args ->> 'job_type')`, noteID: postgresNoteID,
	failed:  `coalesce(array_length(errors, 1), 0) > 0`,
	objects: postgresObjects, interrupt: postgresInterrupt,

	// Nothing is read but the index by which River fetches, and of that only the part of unfinished jobs.
	countJobs: `SELECT count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state <> 'running')
		FROM river_job WHERE state IN ('available', 'pending', 'scheduled', 'retryable', 'running')`,
	lock: `SELECT FROM river_job WHERE id = $1 FOR UPDATE`,
	canceledAttempt: `SELECT metadata ->> 'cancel_attempted_at' IS NOT NULL FROM river_job
		WHERE id = $1 AND attempt = $2 AND state = 'running' FOR UPDATE`,
	running:       `SELECT id, attempt FROM river_job WHERE state = 'running'`,
	storeProgress: `UPDATE river_job SET metadata = jsonb_set(metadata, '{progress}', $1::jsonb) WHERE id = $2`,
}

const (
	postgresJobID  = `(args ->> 'job_id')`
	postgresNoteID = `(args ->> 'note_id')`
)

// postgresUUID7 makes an identifier by RFC 9562, section 5.7: a random one whose first 48 bits are replaced by the time in
// milliseconds, and the 4 of its version by a 7.
const postgresUUID7 = `encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
	substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid`

const postgresNow = `to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

// postgresObjects is made anew at every start, as on SQLite. The functions name the schema of the outbox, for other
// programs that insert jobs may look elsewhere first. The states and texts are those of SQLite's triggers.
//
// Others may be using the table: a server that has just lost its hold on the database, an application, a backup. Its lock is
// taken once, at the beginning, and keeps everybody out but those who only read: a transaction that has locked a row, and
// changes it next, would wait for us, and we for it.
const postgresObjects = `
LOCK TABLE river_job IN EXCLUSIVE MODE;
CREATE UNIQUE INDEX IF NOT EXISTS matric_job_id ON river_job (` + postgresJobID + `);
CREATE INDEX IF NOT EXISTS matric_job_note ON river_job (` + postgresNoteID + `, id) WHERE ` + postgresNoteID + ` IS NOT NULL;

DO $do$ BEGIN EXECUTE replace($sql$

CREATE OR REPLACE FUNCTION matric_job_insert() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
	INSERT INTO @schema.outbox (kind, body) VALUES ('worker', json_strip_nulls(json_build_object(
		'type', 'JobQueued',
		'event_id', ` + postgresUUID7 + `,
		'occurred_at', ` + postgresNow + `,
		'job_id', NEW.args ->> 'job_id',
		'job_type', NEW.args ->> 'job_type',
		'note_id', NEW.args ->> 'note_id',
		'priority', NEW.priority)));
	IF coalesce(current_setting('matric.hub', true), '') <> 'on' THEN -- another program's; the hub knows of its own
		PERFORM pg_notify('matric_outbox', 'job');
	END IF;
	RETURN NULL;
END $f$;

-- A change between states of waiting is no event. One from running to waiting is the end of an attempt, which has failed
-- if there is one more error than before.
CREATE OR REPLACE FUNCTION matric_job_update() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
	INSERT INTO @schema.outbox (kind, body) VALUES ('worker', json_strip_nulls(json_build_object(
		'type', CASE NEW.state WHEN 'running' THEN 'JobStarted' WHEN 'completed' THEN 'JobCompleted' ELSE 'JobFailed' END,
		'event_id', ` + postgresUUID7 + `,
		'occurred_at', ` + postgresNow + `,
		'job_id', NEW.args ->> 'job_id',
		'job_type', NEW.args ->> 'job_type',
		'note_id', NEW.args ->> 'note_id',
		'duration_ms', CASE WHEN NEW.state = 'completed'
			THEN greatest(0, round(extract(epoch FROM NEW.finalized_at - NEW.attempted_at) * 1000)::bigint) END,
		'error', CASE
			WHEN NEW.state IN ('running', 'completed') THEN NULL
			WHEN NEW.state = 'cancelled' THEN '` + textCanceled + `'
			WHEN coalesce(array_length(NEW.errors, 1), 0) > coalesce(array_length(OLD.errors, 1), 0)
				THEN NEW.errors[array_upper(NEW.errors, 1)] ->> 'error'
			ELSE '` + textInterrupted + `' END,
		'will_retry', CASE
			WHEN NEW.state IN ('running', 'completed') THEN NULL
			ELSE NEW.state NOT IN ('discarded', 'cancelled') END)));
	RETURN NULL;
END $f$;

$sql$, '@schema', quote_ident(current_schema())); END $do$;

CREATE OR REPLACE TRIGGER matric_job_insert AFTER INSERT ON river_job FOR EACH ROW EXECUTE FUNCTION matric_job_insert();
CREATE OR REPLACE TRIGGER matric_job_update AFTER UPDATE OF state ON river_job FOR EACH ROW
	WHEN (NEW.state <> OLD.state AND (OLD.state = 'running' OR NEW.state IN ('running', 'completed', 'discarded', 'cancelled')))
	EXECUTE FUNCTION matric_job_update();`

const postgresInterrupt = `
UPDATE river_job SET state = 'cancelled', finalized_at = now()
WHERE state = 'running' AND @which AND metadata ->> 'cancel_attempted_at' IS NOT NULL;
UPDATE river_job SET
	state = (CASE WHEN attempt < max_attempts THEN 'available' ELSE 'discarded' END)::river_job_state,
	finalized_at = CASE WHEN attempt < max_attempts THEN NULL ELSE now() END,
	scheduled_at = now(),
	errors = array_append(errors, jsonb_build_object(
		'at', ` + postgresNow + `, 'attempt', attempt, 'error', '` + textInterrupted + `', 'trace', ''))
WHERE state = 'running' AND @which;`
