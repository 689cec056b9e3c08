package capture

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/pgtest"
)

// matricSchema is the application that the preset matric is for.
const matricSchema = `
CREATE TABLE note (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), title text, deleted_at timestamptz, archived boolean NOT NULL DEFAULT false, owner_id uuid, views int NOT NULL DEFAULT 0);
CREATE TABLE note_tag (note_id uuid NOT NULL REFERENCES note (id) ON DELETE CASCADE, tag_name text NOT NULL, PRIMARY KEY (note_id, tag_name));
CREATE TYPE job_status AS ENUM ('pending', 'processing', 'running', 'completed', 'failed', 'cancelled');
CREATE TABLE job_queue (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), note_id uuid REFERENCES note (id) ON DELETE CASCADE, job_type text NOT NULL, status job_status NOT NULL DEFAULT 'pending',
	progress_percent int, progress_message text, error_message text, started_at timestamptz, completed_at timestamptz, retry_count int NOT NULL DEFAULT 0, max_retries int NOT NULL DEFAULT 3,
	heartbeat_at timestamptz)`

// rig is a database with an application and the hub's tables.
type rig struct {
	t   testing.TB
	app *sql.DB // as the application connects
	hub *sql.DB
	dsn string
}

func newRig(t testing.TB, schema string) *rig {
	t.Helper()
	return newRigOn(t, pgtest.Database(t), schema)
}

func newRigOn(t testing.TB, dsn, schema string) *rig {
	t.Helper()
	r := &rig{t: t, dsn: dsn}
	r.app = connect(t, r.dsn)
	r.exec(schema)
	migrate(t, r.dsn)
	r.hub = connect(t, withPath(r.dsn))
	return r
}

// migrate makes the hub's tables.
func migrate(t testing.TB, dsn string) {
	t.Helper()
	store, err := sqlstore.Open(context.Background(), dsn, &sqlstore.Options{SecretKeyFile: filepath.Join(t.TempDir(), "key")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.MigrateUp(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// withPath makes the hub's tables the first in the search_path.
func withPath(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	q := u.Query()
	q.Set("search_path", Schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func connect(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// exec runs statements of the application.
func (r *rig) exec(statement string, args ...any) {
	r.t.Helper()
	if _, err := r.app.ExecContext(r.t.Context(), statement, args...); err != nil {
		r.t.Fatalf("%s: %v", statement, err)
	}
}

// do runs statements of the application in one transaction.
func (r *rig) do(statements ...string) {
	r.t.Helper()
	tx, err := r.app.BeginTx(r.t.Context(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := tx.ExecContext(r.t.Context(), s); err != nil {
			r.t.Fatalf("%s: %v", s, err)
		}
	}
	if err := tx.Commit(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) attach(source string, settings ...string) {
	r.t.Helper()
	m, err := ParseMapping([]byte(source), settings...)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := Attach(r.t.Context(), r.hub, "default", m, nil); err != nil {
		r.t.Fatal(err)
	}
}

// events empties the outbox and returns what stood there in short form, in the order of a drain. Every record must be one
// that the hub accepts.
func (r *rig) events() (list []string) {
	r.t.Helper()
	rows, err := r.hub.QueryContext(r.t.Context(), `WITH gone AS (DELETE FROM outbox RETURNING *) SELECT kind, body FROM gone ORDER BY position`)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind, body string
		if err := rows.Scan(&kind, &body); err != nil {
			r.t.Fatal(err)
		}
		list = append(list, r.short(kind, body))
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return list
}

// short describes a record in one line: what happened, to whom, and what is told of it.
func (r *rig) short(kind, body string) string {
	r.t.Helper()
	if kind == "note" {
		e, err := domain.DecodeNoteEvent([]byte(body))
		if err != nil || !e.EventID.IsZero() || !e.OccurredAt.IsZero() { // which the outbox tells from the record
			r.t.Errorf("the hub refuses %s: %v", body, err)
		}
		n := e.Note
		s := strings.TrimSpace(fmt.Sprintf("%s %s %q %s", n.Operation, last(n.NoteID), n.Title, strings.Join(n.Tags, ",")))
		if n.UserID != "" {
			s += " by " + n.UserID
		}
		return s
	}
	e, err := domain.DecodeWorkerEvent([]byte(body))
	if err != nil || !e.EventID.IsZero() || !e.OccurredAt.IsZero() {
		r.t.Errorf("the hub refuses %s: %v", body, err)
	}
	s := fmt.Sprintf("%s %s %s", e.Kind, last(e.JobID), e.JobType)
	if !e.NoteID.IsZero() {
		s += " note " + last(e.NoteID)
	}
	if e.Percent != nil {
		s += fmt.Sprintf(" %d%%", *e.Percent)
	}
	if e.Priority != nil {
		s += fmt.Sprintf(" priority %d", *e.Priority)
	}
	if e.Message != "" {
		s += " " + e.Message
	}
	if e.DurationMS != nil {
		s += fmt.Sprintf(" in %dms", *e.DurationMS)
	}
	if e.Kind == domain.JobKind(domain.TypeJobFailed) {
		s += fmt.Sprintf(" %q", e.Error)
		if e.WillRetry {
			s += " again"
		}
	}
	return s
}

// last returns the last four digits of an identifier.
func last(id domain.UUID) string { return id.String()[32:] }

// id makes an identifier that ends in n.
func id(n int) string { return fmt.Sprintf("'00000000-0000-4000-8000-%012d'", n) }

// faults returns what the triggers recorded.
func (r *rig) faults() (list []string) {
	r.t.Helper()
	scan := func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		list = append(list, s)
		return err
	}
	if err := each(r.t.Context(), r.hub, scan, `SELECT source || ' ' || code || ' ' || message FROM capture_fault ORDER BY id`); err != nil {
		r.t.Fatal(err)
	}
	return list
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }
