package fault_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver postgres

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/pgtest"
)

// auditing has the database keep a book of its own, in the transactions of the changes: what happened to whom, which is
// one event each.
const auditing = `
CREATE TABLE public.book (subject text NOT NULL, what text NOT NULL);

CREATE FUNCTION public.book_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.book VALUES (coalesce(NEW.id, OLD.id), CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'updated' ELSE 'deleted' END);
	RETURN NULL; END $$;
CREATE TRIGGER book AFTER INSERT OR UPDATE OR DELETE ON matric_events.note FOR EACH ROW EXECUTE FUNCTION public.book_note();

CREATE FUNCTION public.book_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF TG_OP = 'INSERT' THEN
		INSERT INTO public.book VALUES (NEW.args ->> 'job_id', 'JobQueued');
	ELSIF NEW.state = OLD.state THEN
		IF NEW.metadata -> 'progress' IS DISTINCT FROM OLD.metadata -> 'progress' THEN
			INSERT INTO public.book VALUES (NEW.args ->> 'job_id', 'JobProgress');
		END IF;
	ELSIF NEW.state = 'running' THEN
		INSERT INTO public.book VALUES (NEW.args ->> 'job_id', 'JobStarted');
	ELSIF NEW.state = 'completed' THEN
		INSERT INTO public.book VALUES (NEW.args ->> 'job_id', 'JobCompleted');
	ELSIF OLD.state = 'running' OR NEW.state IN ('discarded', 'cancelled') THEN
		INSERT INTO public.book VALUES (NEW.args ->> 'job_id', 'JobFailed');
	END IF;
	RETURN NULL; END $$;
CREATE TRIGGER book AFTER INSERT OR UPDATE ON matric_events.river_job FOR EACH ROW EXECUTE FUNCTION public.book_job();`

// TestHostOnPostgres writes notes, and has their jobs run, while something goes wrong again and again. In the end the events
// that a webhook got must be exactly what the database's own book holds: each committed change once, and nothing else.
func TestHostOnPostgres(t *testing.T) {
	const blows = 4
	for name, blow := range map[string]func(r *rig){
		"the hub is killed":                 func(r *rig) { r.restartHub() },
		"connections are cut in bursts":     func(r *rig) { r.cut(); r.cut(); r.cut() },
		"the database restarts immediately": func(r *rig) { r.server.Restart() },
		"all of it":                         func(r *rig) { r.cut(); r.server.Restart(); r.restartHub() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			stop := make(chan struct{})
			var load sync.WaitGroup
			for range 4 {
				load.Go(func() { r.write(stop) })
			}
			for range blows {
				before := r.acknowledged.Load()
				waitFor(t, func() bool { return r.acknowledged.Load() >= before+40 })
				blow(r)
			}
			before := r.acknowledged.Load()
			waitFor(t, func() bool { return r.acknowledged.Load() >= before+20 })
			close(stop)
			load.Wait()
			r.settle()
			t.Logf("%d writes acknowledged, %d entries in the book", r.acknowledged.Load(), r.compare())
		})
	}
}

// rig is a hub on a PostgreSQL server of its own, and a receiver of all events.
type rig struct {
	t            *testing.T
	server       *pgtest.Server
	db           *sql.DB
	hub          *harness.Server
	url          string // of the hub, which stays
	flags        []string
	rc           *harness.Receiver
	acknowledged atomic.Int64
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, server: pgtest.Start(t), rc: harness.NewReceiver(t, nil)}
	dsn := r.server.Database()
	var err error
	if r.db, err = sql.Open("postgres", dsn+"&application_name=test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.db.Close() })
	r.flags = append([]string{
		"--listen", harness.FreePort(t), "--database-url", dsn, "--secret-key-file", filepath.Join(t.TempDir(), "key"),
	}, loopbackWebhooks...)
	r.hub = harness.Serve(t, r.flags...)
	r.url = r.hub.URL
	subscribe(r.hub, r.rc, `"note","job"`)
	if _, err := r.db.ExecContext(t.Context(), auditing); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) restartHub() {
	r.hub.Kill()
	r.hub = harness.Serve(r.t, r.flags...)
}

// cut ends every connection of the hub.
func (r *rig) cut() {
	if _, err := r.db.ExecContext(r.t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name LIKE 'matric-events%'`); err != nil {
		r.t.Error(err)
	}
}

// write makes, changes and deletes notes, whether it is answered or not.
func (r *rig) write(stop <-chan struct{}) {
	client := &harness.Server{URL: r.url}
	var mine []string
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		method, path, body := "POST", "/api/v1/notes", fmt.Sprintf(`{"title":"%d","content":"See [[%d]]. %s"}`, n, n%7, strings.Repeat("word ", n%50))
		if len(mine) > 3 {
			switch i := rand.IntN(len(mine)); rand.IntN(5) {
			case 0:
				method, path, body = "PATCH", path+"/"+mine[i], fmt.Sprintf(`{"content":"now [[%d]]"}`, n)
			case 1:
				method, path, body = "DELETE", path+"/"+mine[i], ""
			case 2:
				method, path, body = "POST", "/api/v1/jobs", fmt.Sprintf(`{"job_type":"NoteAnalysis","note_id":%q}`, mine[i])
			}
		}
		status, answer := client.TryDo(method, path, body)
		switch {
		case status == 0:
			<-time.After(5 * time.Millisecond) // the hub is away; do not spin
		case status < 300:
			r.acknowledged.Add(1)
		}
		var made struct{ ID, Title string }
		if status == 201 && json.Unmarshal(answer, &made) == nil && made.Title != "" {
			mine = append(mine, made.ID)
		}
	}
}

// settle waits until nothing is left to do.
func (r *rig) settle() {
	r.t.Helper()
	waitFor(r.t, func() bool {
		var left int
		err := r.db.QueryRowContext(r.t.Context(), `SELECT (SELECT count(*) FROM matric_events.outbox)
			+ (SELECT count(*) FROM matric_events.river_job WHERE finalized_at IS NULL)
			+ (SELECT count(*) FROM matric_events.delivery WHERE status <> 'delivered')`).Scan(&left)
		return err == nil && left == 0
	})
}

// entry is a line of the book: what happened to whom.
type entry struct{ subject, what string }

// compare returns the number of entries in the book, which must be those of the events that were received.
func (r *rig) compare() (total int) {
	r.t.Helper()
	booked, got := r.book(), r.received()
	for e, n := range booked {
		total += n
		if got[e] != n {
			r.t.Errorf("%s %s: %d times in the database, %d events", e.subject, e.what, n, got[e])
		}
	}
	maps.DeleteFunc(got, func(e entry, _ int) bool { return booked[e] > 0 })
	if len(got) > 0 {
		r.t.Errorf("events of what never was: %v", got)
	}
	return total
}

func (r *rig) book() map[entry]int {
	rows, err := r.db.QueryContext(context.WithoutCancel(r.t.Context()), `SELECT subject, what, count(*) FROM public.book GROUP BY 1, 2`)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	book := map[entry]int{}
	for rows.Next() {
		var e entry
		var n int
		if err := rows.Scan(&e.subject, &e.what, &n); err != nil {
			r.t.Fatal(err)
		}
		book[e] = n
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return book
}

// received counts the events, each once, however often it was delivered.
func (r *rig) received() map[entry]int {
	seen, got := map[string]bool{}, map[entry]int{}
	for _, d := range r.rc.Got() {
		if seen[d.ID()] {
			continue
		}
		seen[d.ID()] = true
		var e struct{ Type, JobID, NoteID, Operation string }
		if err := json.Unmarshal([]byte(strings.NewReplacer(`"job_id"`, `"jobid"`, `"note_id"`, `"noteid"`).Replace(string(d.Body))), &e); err != nil {
			r.t.Fatal(err)
		}
		if e.Type == "NoteUpdated" {
			got[entry{e.NoteID, e.Operation}]++
		} else {
			got[entry{e.JobID, e.Type}]++
		}
	}
	return got
}
