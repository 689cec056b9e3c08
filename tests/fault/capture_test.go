package fault_test

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/pgtest"
)

// application is somebody's schema, and a book that its transactions keep: what each change must be told as. The number of
// an entry is drawn while the row is locked, so that the entries of a row are in the order of its changes.
const application = `
CREATE TABLE note (id uuid PRIMARY KEY, title text, deleted_at timestamptz, archived boolean NOT NULL DEFAULT false, owner_id uuid);
CREATE TABLE note_tag (note_id uuid NOT NULL REFERENCES note (id) ON DELETE CASCADE, tag_name text NOT NULL, PRIMARY KEY (note_id, tag_name));
CREATE TABLE job_queue (id uuid PRIMARY KEY, note_id uuid, job_type text NOT NULL, status text NOT NULL, progress_percent int, progress_message text,
	error_message text, started_at timestamptz, completed_at timestamptz, retry_count int NOT NULL DEFAULT 0, max_retries int NOT NULL DEFAULT 3);
CREATE TABLE book (place bigint GENERATED ALWAYS AS IDENTITY, subject text NOT NULL, what text NOT NULL)`

// TestCapture has four writers change the tables of an application, with rollbacks and savepoints, while something goes
// wrong again and again. In the end the events that a webhook got are exactly what was committed; and a client of the
// event stream has seen them in the order of the changes of each row.
func TestCapture(t *testing.T) {
	for name, blow := range map[string]func(r *rig){
		"nothing goes wrong":                nil,
		"the hub is killed":                 func(r *rig) { r.restartHub() },
		"connections are cut in bursts":     func(r *rig) { r.cut(); r.cut(); r.cut() },
		"the database restarts immediately": func(r *rig) { r.server.Restart() },
		"all of it":                         func(r *rig) { r.cut(); r.server.Restart(); r.restartHub() },
	} {
		t.Run(name, func(t *testing.T) { captureUnder(t, blow) })
	}
}

func captureUnder(t *testing.T, blow func(r *rig)) {
	r := newCaptureRig(t)
	first := r.hub
	stream := r.hub.Events("?types=job,note", "")
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() { (&writer{rig: r}).run(stop) })
	}
	for range 3 {
		before := r.acknowledged.Load()
		waitFor(t, func() bool { return r.acknowledged.Load() >= before+100 })
		if blow != nil {
			blow(r)
		}
	}
	before := r.acknowledged.Load()
	waitFor(t, func() bool { return r.acknowledged.Load() >= before+50 })
	close(stop)
	load.Wait()
	waitFor(t, func() bool {
		var left int
		err := r.db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM matric_events.outbox) + (SELECT count(*) FROM matric_events.delivery WHERE status <> 'delivered')`).Scan(&left)
		return err == nil && left == 0
	})
	t.Logf("%d transactions acknowledged, %d entries in the book", r.acknowledged.Load(), r.compare())
	if first == r.hub {
		r.compareOrder(stream)
	}
	var faults int
	if err := r.db.QueryRowContext(t.Context(), `SELECT count(*) FROM matric_events.capture_fault`).Scan(&faults); err != nil || faults > 0 {
		t.Errorf("%d faults, %v", faults, err)
	}
	r.compareCounts()
}

func newCaptureRig(t *testing.T) *rig {
	r := &rig{t: t, server: pgtest.Start(t), rc: harness.NewReceiver(t, nil)}
	dsn := r.server.Database()
	var err error
	if r.db, err = sql.Open("postgres", dsn+"&application_name=test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.db.Close() })
	if _, err := r.db.ExecContext(t.Context(), application); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if out, errs, code := harness.Run(t, "capture", "attach", "--preset", "matric", "--database-url", dsn, "--secret-key-file", key); code != 0 {
		t.Fatalf("attach: %d %s %s", code, out, errs)
	}
	r.flags = append([]string{"--listen", harness.FreePort(t), "--no-host", "--database-url", dsn, "--secret-key-file", key}, loopbackWebhooks...)
	r.hub = harness.Serve(t, r.flags...)
	subscribe(r.hub, r.rc, `"note","job"`)
	return r
}

// writer is a part of the application.
type writer struct {
	*rig
	tx *sql.Tx
}

// pool is how many jobs and notes there are: few, so that writers meet.
const pool = 12

func (w *writer) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if err := w.transaction(); err == nil {
			w.acknowledged.Add(1)
		} else {
			<-time.After(5 * time.Millisecond) // the database is away, or two writers have met; do not spin
		}
	}
}

// transaction makes some changes, of which a part may be taken back, and commits them, or not.
func (w *writer) transaction() (err error) {
	if w.tx, err = w.db.BeginTx(context.Background(), nil); err != nil {
		return err
	}
	defer w.tx.Rollback()
	rows := make([]int, 1+rand.IntN(3))
	for i := range rows {
		rows[i] = rand.IntN(2 * pool)
	}
	slices.Sort(rows) // whoever locks in this order meets no deadlock
	for _, row := range rows {
		if err = w.exec(`SAVEPOINT s`); err == nil {
			err = w.change(row)
		}
		if err == nil && rand.IntN(4) == 0 {
			err = w.exec(`ROLLBACK TO s`)
		}
		if err != nil {
			return err
		}
	}
	if rand.IntN(6) == 0 {
		return w.tx.Rollback()
	}
	return w.tx.Commit()
}

func (w *writer) exec(statement string, args ...any) error {
	_, err := w.tx.ExecContext(context.Background(), statement, args...)
	return err
}

func (w *writer) book(subject string, what ...string) error {
	for _, s := range what {
		if err := w.exec(`INSERT INTO book (subject, what) VALUES ($1, $2)`, subject, s); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) change(row int) error {
	id := uuid.NewSHA1(uuid.Nil, []byte{byte(row)}).String()
	if row%3 == 0 {
		return w.changeNote(id)
	}
	return w.changeJob(id)
}

// lock locks a row and returns one of its columns; there is an advisory lock for a row that is not there.
func (w *writer) lock(query, id string) (value string, found bool, err error) {
	if err = w.exec(`SELECT pg_advisory_xact_lock(hashtext($1))`, query+id); err != nil {
		return "", false, err
	}
	err = w.tx.QueryRowContext(context.Background(), query, id).Scan(&value)
	if err == sql.ErrNoRows { //nolint:errorlint // it comes as it is
		return "", false, nil
	}
	return value, err == nil, err
}

func (w *writer) changeJob(id string) error {
	status, found, err := w.lock(`SELECT status FROM job_queue WHERE id = $1 FOR UPDATE`, id)
	if err != nil {
		return err
	}
	set := func(values string, what ...string) error {
		if err := w.exec(`UPDATE job_queue SET `+values+` WHERE id = $1`, id); err != nil {
			return err
		}
		return w.book(id, what...)
	}
	switch {
	case !found:
		if err := w.exec(`INSERT INTO job_queue (id, job_type, status) VALUES ($1, 'ai_revision', 'pending')`, id); err != nil {
			return err
		}
		return w.book(id, "JobQueued")
	case status == "pending":
		return set(`status = 'running', progress_percent = 0`, "JobStarted")
	case status == "running":
		switch rand.IntN(6) {
		case 0:
			return set(`status = 'completed', progress_percent = progress_percent % 100 + 1`, "JobProgress", "JobCompleted")
		case 1:
			return set(`status = 'pending', error_message = 'e'`, "JobFailed")
		default:
			return set(`progress_percent = progress_percent % 100 + 1`, "JobProgress")
		}
	case rand.IntN(2) == 0:
		return set(`status = 'pending'`, "JobQueued")
	}
	return w.exec(`DELETE FROM job_queue WHERE id = $1`, id) // it was over
}

func (w *writer) changeNote(id string) error {
	title, found, err := w.lock(`SELECT title FROM note WHERE id = $1 FOR UPDATE`, id)
	if err != nil {
		return err
	}
	switch {
	case !found:
		err = w.exec(`INSERT INTO note (id, title) VALUES ($1, 'x')`, id)
		if err == nil {
			err = w.exec(`INSERT INTO note_tag VALUES ($1, 'a'), ($1, 'b')`, id)
		}
		if err == nil {
			err = w.book(id, "created")
		}
	case rand.IntN(4) == 0:
		if err = w.exec(`DELETE FROM note WHERE id = $1`, id); err == nil {
			err = w.book(id, "deleted")
		}
	default:
		if err = w.exec(`UPDATE note SET title = $2 WHERE id = $1`, id, title[:len(title)%40]+"y"); err == nil {
			err = w.book(id, "updated")
		}
	}
	return err
}

// compareOrder reads the stream until it has as many events as the book has entries.
func (r *rig) compareOrder(stream *harness.Stream) {
	r.t.Helper()
	want, total := map[string][]string{}, 0
	rows, err := r.db.QueryContext(r.t.Context(), `SELECT subject, what FROM book ORDER BY place`)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.subject, &e.what); err != nil {
			r.t.Fatal(err)
		}
		want[e.subject], total = append(want[e.subject], e.what), total+1
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	got := map[string][]string{}
	for range total {
		e, ok := stream.Next()
		if !ok {
			r.t.Fatal("the stream ended")
		}
		if e.Name == "NoteUpdated" {
			id := e.Data["note_id"].(string)
			got[id] = append(got[id], e.Data["operation"].(string))
		} else {
			id := e.Data["job_id"].(string)
			got[id] = append(got[id], e.Name)
		}
	}
	for subject, list := range want {
		if !slices.Equal(list, got[subject]) {
			r.t.Errorf("%s: events %v; want %v", subject, got[subject], list)
		}
	}
}

// compareCounts waits until the hub counts what the table holds.
func (r *rig) compareCounts() {
	r.t.Helper()
	var pending, running int
	if err := r.db.QueryRowContext(r.t.Context(), `SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'running') FROM job_queue`).Scan(&pending, &running); err != nil {
		r.t.Fatal(err)
	}
	waitFor(r.t, func() bool {
		q := r.hub.Call(200, "GET", "/api/v1/queue", "")
		return q["pending"] == float64(pending) && q["running"] == float64(running)
	})
}
