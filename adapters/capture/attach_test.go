package capture

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

// catalog describes everything that a database has beside the hub's tables and what is in them.
func (r *rig) catalog() (list []string) {
	r.t.Helper()
	scan := func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		list = append(list, s)
		return err
	}
	err := each(r.t.Context(), r.app, scan, `
		SELECT 'class ' || oid::regclass || ' ' || relkind::text || ' ' || coalesce(relacl::text, '') FROM pg_class
		UNION ALL SELECT 'function ' || oid::regprocedure || ' ' || md5(prosrc) || coalesce(proacl::text, '') FROM pg_proc WHERE pronamespace <> 'pg_catalog'::regnamespace
		UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger
		UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname FROM pg_constraint
		UNION ALL SELECT 'type ' || oid::regtype FROM pg_type
		UNION ALL SELECT 'schema ' || nspname || coalesce(nspacl::text, '') FROM pg_namespace
		UNION ALL SELECT 'depend ' || count(*) FROM pg_depend
		UNION ALL SELECT 'event ' || evtname FROM pg_event_trigger
		UNION ALL SELECT 'row ' || name FROM matric_events.capture
		UNION ALL SELECT 'count ' || capture FROM matric_events.capture_count
		ORDER BY 1`)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func TestDetachLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	before := r.catalog()
	r.attach("preset: matric")
	if cmp.Equal(before, r.catalog()) {
		t.Fatal("attaching changed nothing; then this test tests nothing")
	}
	r.exec(`INSERT INTO job_queue (job_type) VALUES ('x')`)
	if err := Recount(t.Context(), r.hub, "default"); err != nil {
		t.Fatal(err)
	}
	if err := Detach(t.Context(), r.hub, "default", nil); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, r.catalog()); d != "" {
		t.Errorf("after detach (-before +after):\n%s", d)
	}
	if err := Detach(t.Context(), r.hub, "default", nil); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("again: %v; want ErrNotFound", err)
	}
}

func TestAttachAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	attach := func(name, source string) (bool, error) {
		m, err := ParseMapping([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		return Attach(t.Context(), r.hub, name, m, nil)
	}
	for i, s := range []struct {
		source  string
		changed bool
	}{{"preset: matric", true}, {"preset: matric", false}, {"preset: matric\nnotes: {title: ''}", true}, {"preset: matric\nnotes: {title: ''}", false}} {
		if changed, err := attach("default", s.source); err != nil || changed != s.changed {
			t.Errorf("%d: changed %t, %v", i, changed, err)
		}
	}
	r.exec(`ALTER TABLE note DISABLE TRIGGER "00_matric_events_note_update"`)
	r.exec(`DROP TRIGGER "00_matric_events_job_delete" ON job_queue`)
	report, err := Status(t.Context(), r.hub)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"trigger 00_matric_events_job_delete on public.job_queue is missing: attach again",
		`trigger 00_matric_events_note_update on public.note is disabled: ALTER TABLE "public"."note" ENABLE TRIGGER "00_matric_events_note_update"`,
	}
	if d := cmp.Diff(want, report.Captures[0].Faults); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
	if changed, err := attach("default", "preset: matric\nnotes: {title: ''}"); err != nil || !changed {
		t.Errorf("repair: changed %t, %v", changed, err)
	}
	if report, err = Status(t.Context(), r.hub); err != nil || len(report.Captures) != 1 || len(report.Captures[0].Faults) != 0 {
		t.Errorf("after the repair: %+v, %v", report, err)
	}
	if _, err := attach("other", "preset: matric"); !errors.Is(err, domain.ErrConflict) || !strings.Contains(err.Error(), "detach") {
		t.Errorf("the same tables twice: %v; want ErrConflict", err)
	}
}

func TestAttachSaysEverythingThatDoesNotFit(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema+`; CREATE VIEW jobs AS SELECT * FROM job_queue; CREATE TABLE bare (a int)`)
	for _, tc := range []struct {
		name, source string
		want         Problems
	}{
		{"columns", "preset: matric\njobs: {id: uid, progress: job_type, message: Progress_message, states: {failed: [failed, broken]}}\nnotes: {tags: {tag: name}, deleted: title}", Problems{
			"jobs.id: table public.job_queue has no column uid",
			`jobs.states.failed: column status of public.job_queue has no value "broken"; it has pending, processing, running, completed, failed, cancelled`,
			"jobs.progress: column job_type of public.job_queue is text; want a whole number, a number",
			"jobs.message: table public.job_queue has no column Progress_message; there is progress_message",
			"notes.deleted: column title of public.note is text; want boolean, a timestamp",
			"notes.tags.tag: table public.note_tag has no column name",
		}},
		{"tables", "preset: matric\njobs: {table: jobs}\nnotes: {table: app.note}", Problems{
			"jobs.table: public.jobs is no table: triggers capture tables only", "notes.table: there is no table app.note",
		}},
		{"keys", "jobs: {table: bare, id: a, status: a, states: {queued: 1}}", Problems{"jobs.id: column a of public.bare is not unique: no primary key or unique index is on it alone"}},
	} {
		m, err := ParseMapping([]byte(tc.source))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Check(t.Context(), r.hub, "default", m)
		var got Problems
		if !errors.As(err, &got) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if tc.name == "tables" {
			got = got[:min(2, len(got))] // and the columns of what there is not
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, d)
		}
	}
	if d := cmp.Diff(0, len(mustStatus(t, r).Captures)); d != "" {
		t.Error("a check attached something")
	}
}

func mustStatus(t *testing.T, r *rig) *Report {
	t.Helper()
	report, err := Status(t.Context(), r.hub)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// An application that keeps a transaction open is not waited for, and nobody queues behind us for long.
func TestAttachDoesNotWait(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	tx, err := r.app.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `INSERT INTO job_queue (job_type) VALUES ('x')`); err != nil {
		t.Fatal(err)
	}
	m, err := ParseMapping([]byte("preset: matric"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Attach(t.Context(), r.hub, "default", m, &Options{LockTimeout: 50 * time.Millisecond, Tries: 1})
	if !errors.Is(err, domain.ErrUnavailable) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("Attach = %v; want ErrUnavailable", err)
	}
	ended := false
	_, err = Attach(t.Context(), r.hub, "default", m, &Options{LockTimeout: 50 * time.Millisecond, OnBusy: func(error) {
		if !ended {
			ended = true
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
		}
	}})
	if err != nil || !ended {
		t.Errorf("the next try: %v", err)
	}
}

// login makes a role and connects as it.
func (r *rig) login(name string, path bool) *sql.DB {
	r.t.Helper()
	r.t.Cleanup(func() { // the role belongs to the server, which has other databases
		_, _ = r.app.ExecContext(context.Background(), `DROP OWNED BY `+name+` CASCADE`)
		_, _ = r.app.ExecContext(context.Background(), `DROP ROLE `+name)
	})
	r.exec(`CREATE ROLE ` + name + ` LOGIN`)
	u, err := url.Parse(r.dsn)
	if err != nil {
		r.t.Fatal(err)
	}
	u.User = url.User(name)
	dsn := u.String()
	if path {
		dsn = withPath(dsn)
	}
	return connect(r.t, dsn)
}

// The hub's role owns its schema, and may put triggers on the tables. The application's role has no right on the schema.
func TestRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	hub, app := r.login("capture_test_hub", true), r.login("capture_test_app", false)
	for _, s := range []string{
		`GRANT SELECT, INSERT, UPDATE, DELETE ON note, note_tag, job_queue TO capture_test_app`,
		`ALTER SCHEMA matric_events OWNER TO capture_test_hub`,
		`DO $$ DECLARE t text; BEGIN
			FOR t IN SELECT oid::regclass FROM pg_class WHERE relnamespace = 'matric_events'::regnamespace AND relkind = 'r' LOOP EXECUTE 'ALTER TABLE ' || t || ' OWNER TO capture_test_hub'; END LOOP;
			FOR t IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'matric_events'::regnamespace LOOP EXECUTE 'ALTER FUNCTION ' || t || ' OWNER TO capture_test_hub'; END LOOP;
		END $$`,
	} {
		r.exec(s)
	}
	m, err := ParseMapping([]byte("preset: matric"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Attach(t.Context(), hub, "default", m, nil)
	for _, want := range []string{
		`jobs.table: no right to create triggers: GRANT TRIGGER ON "public"."job_queue"`,
		`jobs.status: no right to read, to count the jobs: GRANT SELECT ("status") ON "public"."job_queue"`,
		`notes.tags: no right to read, to tell a note's tags: GRANT SELECT ("note_id", "tag_name") ON "public"."note_tag"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without grants: %v; want %s", err, want)
		}
	}
	r.exec(`GRANT TRIGGER ON note, note_tag, job_queue TO capture_test_hub`)
	r.exec(`GRANT SELECT (status) ON job_queue TO capture_test_hub`)
	r.exec(`GRANT SELECT ON note, note_tag TO capture_test_hub`)
	if _, err := Attach(t.Context(), hub, "default", m, nil); err != nil {
		t.Fatal(err)
	}
	if err := Recount(t.Context(), hub, "default"); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		`INSERT INTO note (id, title) VALUES (` + id(1) + `, 'n')`, `INSERT INTO note_tag VALUES (` + id(1) + `, 'a')`,
		`INSERT INTO job_queue (id, job_type) VALUES (` + id(2) + `, 'x')`, `UPDATE job_queue SET status = 'completed'`,
	} {
		if _, err := app.ExecContext(t.Context(), s); err != nil {
			t.Errorf("the application: %s: %v", s, err)
		}
	}
	if d := cmp.Diff([]string{`created 0001 "n"`, `updated 0001 "n" a`, "JobQueued 0002 X", "JobCompleted 0002 X"}, r.events()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := app.ExecContext(t.Context(), `SELECT FROM matric_events.outbox`); err == nil {
		t.Error("the application's role reads our tables")
	}
	// What an application's role puts in the way of names does not reach the triggers.
	r.exec(`CREATE SCHEMA trap AUTHORIZATION capture_test_app`)
	for _, s := range []string{
		`CREATE FUNCTION trap.concat(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'caught'; END $$`,
		`CREATE OPERATOR trap.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.concat)`,
		`SET search_path = trap, pg_catalog, public`,
		`INSERT INTO public.job_queue (id, job_type) VALUES (` + id(3) + `, 'x')`,
	} {
		if _, err := app.ExecContext(t.Context(), s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	if got := r.events(); len(got) != 1 || len(r.faults()) != 0 {
		t.Errorf("with a trap in the search_path: %v, %v", got, r.faults())
	}
	if err := Detach(t.Context(), hub, "default", nil); err != nil {
		t.Errorf("detach with no more than the right to attach: %v", err)
	}
}
