package e2e_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/lib/pq" // the driver postgres

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/pgtest"
)

// TestCaptureByCommand goes the way of docs/capture.md.
func TestCaptureByCommand(t *testing.T) {
	dsn, key := pgtest.Database(t), filepath.Join(t.TempDir(), "key")
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	exec(`CREATE TABLE task (id int PRIMARY KEY, kind text, state text, percent int)`)
	exec(`INSERT INTO task SELECT n, 'old', 'new' FROM generate_series(1, 10) AS n`)
	file := filepath.Join(t.TempDir(), "mapping.yaml")
	if err := os.WriteFile(file, []byte("jobs: {table: task, id: id, type: kind, status: state, states: {queued: new, running: busy, completed: done}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	capture := func(want int, args ...string) string {
		t.Helper()
		out, errs, code := harness.Run(t, append([]string{"capture"}, args...)...)
		if code != want {
			t.Fatalf("capture %v = %d, %s%s; want %d", args, code, out, errs, want)
		}
		return out + errs
	}
	says := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	at := []string{"--database-url", dsn}
	mapped := append([]string{"--mapping", file}, at...)

	says(capture(0, "plan", "--offline", "--preset", "river"), `CREATE TRIGGER "00_matric_events_job_update"`)
	says(capture(0, append([]string{"plan", "--set", "jobs.progress=percent"}, mapped...)...), `ON "public"."task"`)
	says(capture(1, append([]string{"plan", "--set", "jobs.progress=kind"}, mapped...)...), "jobs.progress: column kind of public.task is text")
	says(capture(1, append([]string{"status"}, at...)...), "migrate up")
	says(capture(1, "attach"), "--database-url")
	says(capture(1, append([]string{"attach"}, at...)...), "nothing says what to capture")

	attach := append([]string{"attach", "--set", "jobs.progress=percent", "--secret-key-file", key}, mapped...)
	says(capture(0, attach...), "default is attached")
	says(capture(0, attach...), "nothing to do")
	status := capture(0, append([]string{"status"}, at...)...)
	says(status, "all there and enabled")
	says(status, "10 waiting, 0 running")
	says(status, "table: public.task")

	s := harness.Serve(t, "--no-host", "--database-url", dsn, "--secret-key-file", key, "--queue-status-interval", "10ms")
	stream := s.Events("", "")
	if first, _ := stream.Next(); first.Data["pending"] != 10.0 {
		t.Errorf("the first QueueStatus is %s; want the ten that wait", first.Raw)
	}
	exec(`UPDATE task SET state = 'busy', percent = 20 WHERE id = 3`)
	seen := stream.Until(harness.Named("JobProgress"))
	says(strings.Join(harness.Names(seen), " "), "JobStarted")
	if last := seen[len(seen)-1].Data; last["job_type"] != "Old" || last["progress"] != 20.0 {
		t.Errorf("the event is %v", last)
	}
	stream.Until(func(e harness.Event) bool {
		return e.Name == "QueueStatus" && e.Data["pending"] == 9.0 && e.Data["running"] == 1.0
	})
	exec(`BEGIN; UPDATE task SET state = 'done'; ROLLBACK`)
	exec(`UPDATE task SET state = 'done' WHERE id = 3`)
	if e, _ := stream.Next(); e.Name != "JobCompleted" {
		t.Errorf("after a rollback and a change: %s; want JobCompleted alone", e.Raw)
	}

	exec(`ALTER TABLE task DISABLE TRIGGER "00_matric_events_job_update"`)
	says(capture(1, append([]string{"status"}, at...)...), "is disabled")
	says(capture(0, append([]string{"detach"}, at...)...), "default is detached")
	says(capture(1, append([]string{"detach"}, at...)...), "nothing is attached")
	says(capture(0, append([]string{"status", "--json"}, at...)...), `"captures":[]`)
	var triggers int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_trigger WHERE tgrelid = 'task'::regclass`).Scan(&triggers); err != nil || triggers != 0 {
		t.Errorf("%d triggers are left, %v", triggers, err)
	}
}
