package capture

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/tests/pgtest"
)

// Whatever happens to the hub's tables, the application goes on; and what can be recorded is.
func TestTheApplicationNeverFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, sabotage string
		recorded       bool
	}{
		{"no outbox", `DROP TABLE matric_events.outbox`, true},
		{"another outbox", `DROP TABLE matric_events.outbox; CREATE TABLE matric_events.outbox (x int)`, true},
		{"a constraint", `ALTER TABLE matric_events.outbox ADD CHECK (length(body) < 10)`, true},
		{"no table of deltas", `DROP TABLE matric_events.capture_delta`, true},
		{"no helpers", `DROP FUNCTION matric_events.capture_job_type, matric_events.capture_tags, matric_events.capture_row_id`, true},
		{"no sequence left", `ALTER SEQUENCE matric_events.outbox_position_seq MAXVALUE 2`, true},
		{"nothing at all", `DROP TABLE matric_events.outbox, matric_events.capture_delta, matric_events.capture_fault`, false},
		{"a trigger that fails", `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
			CREATE TRIGGER fail BEFORE INSERT ON matric_events.outbox FOR EACH ROW EXECUTE FUNCTION fail()`, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, matricSchema)
			r.attach("preset: matric")
			r.exec(`SELECT nextval('matric_events.outbox_position_seq')`)
			r.exec(tc.sabotage)
			r.do(
				`INSERT INTO note (id, title) VALUES (`+id(1)+`, 'n')`,
				`INSERT INTO note_tag SELECT `+id(1)+`, n::text FROM generate_series(1, 100) AS n`,
				`INSERT INTO job_queue (note_id, job_type) SELECT `+id(1)+`, '…' FROM generate_series(1, 200)`,
				`INSERT INTO job_queue (note_id, job_type, status) SELECT `+id(1)+`, 'y', 'running' FROM generate_series(1, 10)`,
				`UPDATE job_queue SET progress_percent = 1 WHERE status = 'running'`, `UPDATE job_queue SET progress_percent = 2 WHERE status = 'running'`,
				`UPDATE job_queue SET progress_percent = 4 WHERE status = 'running'`, `UPDATE job_queue SET progress_percent = 5 WHERE status = 'running'`,
				`UPDATE job_queue SET status = 'completed' WHERE status = 'running'`,
				`UPDATE job_queue SET status = 'running'`, `UPDATE job_queue SET status = 'completed', progress_percent = 3`,
				`UPDATE note SET deleted_at = now()`, `DELETE FROM note_tag`, `DELETE FROM note`,
			)
			r.exec(`INSERT INTO job_queue (job_type) VALUES ('x')`)
			r.exec(`TRUNCATE job_queue`)
			var n int
			if err := r.app.QueryRow(`SELECT count(*) FROM job_queue`).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d rows, %v", n, err)
			}
			if tc.recorded {
				if f := r.faults(); len(f) == 0 {
					t.Error("nothing was recorded")
				}
			}
		})
	}
}

// Settings of the session that the triggers use are no way to make them fail.
func TestSettingsOfTheSession(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	r.attach("preset: matric")
	for _, value := range []string{"", "x", "99999999999999999999", "-5", "60"} {
		r.do(`SET LOCAL matric_events.rows = '`+value+`'`, `SET LOCAL matric_events.note = '`+value+` y'`, `SET LOCAL matric_events.moved = '`+value+`'`,
			`INSERT INTO note (id) VALUES (`+id(1)+`)`, `INSERT INTO note_tag VALUES (`+id(1)+`, 'a')`, `DELETE FROM note`,
			`INSERT INTO job_queue (job_type) VALUES ('x')`, `DELETE FROM job_queue`)
	}
}

func TestPartitions(t *testing.T) {
	t.Parallel()
	r := newRig(t, `CREATE TABLE task (id int NOT NULL, kind text, state text NOT NULL, pct int) PARTITION BY LIST (state);
		CREATE TABLE task_open PARTITION OF task FOR VALUES IN ('new', 'busy');
		CREATE TABLE task_done PARTITION OF task FOR VALUES IN ('done', 'bad');
		CREATE UNIQUE INDEX ON task (id, state)`)
	r.attach(`jobs: {table: task, id: id, type: kind, status: state, progress: pct, states: {queued: new, running: busy, completed: done, failed: bad}}`)
	job := last(RowID("public.task", "1"))
	r.steps([]step{
		{"insert", []string{`INSERT INTO task VALUES (1, 'x', 'new')`}, []string{"JobQueued " + job + " X"}},
		{"within a partition", []string{`UPDATE task SET state = 'busy'`}, []string{"JobStarted " + job + " X"}},
		{"by the partition's name", []string{`UPDATE task_open SET pct = 50`}, []string{"JobProgress " + job + " X 50%"}},
		{"to another partition", []string{`UPDATE task SET state = 'done', pct = 100`}, []string{"JobProgress " + job + " X 100%", "JobCompleted " + job + " X"}},
		{"and back", []string{`UPDATE task SET state = 'new', pct = 0`}, []string{"JobQueued " + job + " X"}},
		{"a new partition", []string{`CREATE TABLE task_more PARTITION OF task FOR VALUES IN ('other')`, `INSERT INTO task VALUES (2, 'x', 'other')`}, nil},
		{"deleted", []string{`DELETE FROM task WHERE id = 1`}, []string{"JobFailed " + job + ` X "canceled"`}},
		{"inserted again", []string{`INSERT INTO task VALUES (1, 'x', 'new')`}, []string{"JobQueued " + job + " X"}},
	})
	if err := Recount(t.Context(), r.hub, "default"); err != nil {
		t.Fatal(err)
	}
	r.exec(`TRUNCATE task`)
	if d := cmp.Diff([]string{"JobFailed " + job + ` X "canceled"`}, r.events()); d != "" {
		t.Errorf("TRUNCATE (-want +got):\n%s", d)
	}
}

// A transaction that changes captured tables can still be prepared, whether the hub listens or not.
func TestTwoPhaseCommit(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	r := newRigOn(t, server.Database(), matricSchema)
	r.attach("preset: matric")
	r.exec(`ALTER SYSTEM SET max_prepared_transactions = 5`)
	server.Restart()
	r.exec(`BEGIN; INSERT INTO job_queue (id, job_type) VALUES (` + id(1) + `, 'x'); PREPARE TRANSACTION 'capture test'`)
	r.exec(`COMMIT PREPARED 'capture test'`)
	if d := cmp.Diff([]string{"JobQueued 0001 X"}, r.events()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// What goes wrong in triggers is told to whoever runs the hub.
func TestFaultsAreReported(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	r.attach("preset: matric")
	var told []string
	c := NewCounter(r.hub, func(kind string, err error) { told = append(told, kind+" "+err.Error()) })
	look := func() {
		t.Helper()
		if err := c.tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	r.exec(`ALTER TABLE matric_events.outbox RENAME COLUMN body TO content`)
	r.exec(`INSERT INTO job_queue (job_type) VALUES ('x'), ('y')`)
	look()
	look()
	want := []string{`capture_fault 2 changes gave no event, the last of them in default, capture_default_job_insert: column "body" of relation "outbox" does not exist (42703)`}
	if d := cmp.Diff(want, told); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if n, err := c.CountJobs(t.Context()); err != nil || n.Pending != 2 {
		t.Errorf("counted %+v, %v; want the two, all the same", n, err)
	}
	report, err := Status(t.Context(), r.hub)
	if err != nil || report.Captures[0].Missed != 2 || !strings.Contains(report.Captures[0].LastMissed, "42703") {
		t.Errorf("status %+v, %v", report, err)
	}
}
