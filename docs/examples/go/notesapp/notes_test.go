package notesapp_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/matric/matric-events/adapters/client"
	"github.com/matric/matric-events/docs/examples/go/notesapp"
	"github.com/matric/matric-events/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

// database returns the application's, which is empty.
func database(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(notesapp.Schema); err != nil {
		t.Fatal(err)
	}
	return db
}

// start runs the application against a hub at an address, as its main would.
func start(t *testing.T, hub string) *notesapp.App {
	t.Helper()
	connected := make(chan struct{}, 100)
	c, err := client.New(hub, &client.Options{RetryInitial: 10 * time.Millisecond, RetryFor: -1, OnConnect: func() { connected <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	app := notesapp.New(database(t), c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- app.Send(ctx) }()
	go func() { ended <- app.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	<-connected
	return app
}

// write has the application store a note and returns the note's ID.
func write(t *testing.T, app *notesapp.App, title string) string {
	t.Helper()
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/notes", strings.NewReader(fmt.Sprintf(`{"title":%q}`, title))))
	var note struct{ ID string }
	if err := json.Unmarshal(w.Body.Bytes(), &note); err != nil || w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return note.ID
}

// A note that is stored while the hub is away is told of when it is back; one that is not stored never.
func TestNothingIsForgotten(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, "--no-host")
	proxy := harness.NewProxy(t, "tcp", strings.TrimPrefix(s.URL, "http://"))
	app := start(t, "http://"+proxy.Addr)
	stream := s.Events("?types=note", "")
	first := write(t, app, "Hello")
	if e, _ := stream.Next(); e.Data["note_id"] != first || e.Data["title"] != "Hello" {
		t.Errorf("%s; want the note %s", e.Raw, first)
	}
	proxy.Cut()
	var want []string
	for i := range 5 { // the user does not wait for the hub
		want = append(want, write(t, app, fmt.Sprint("Note ", i)))
	}
	if _, err := app.DB.Exec(`CREATE TRIGGER full BEFORE INSERT ON unsent BEGIN SELECT RAISE(ABORT, 'disk full'); END`); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/notes", strings.NewReader(`{"title":"never"}`)))
	var notes int
	if err := app.DB.QueryRow(`SELECT count(*) FROM note WHERE title = 'never'`).Scan(&notes); err != nil || w.Code != 500 || notes != 0 {
		t.Errorf("a note without its event: %d, %d, %v", w.Code, notes, err)
	}
	proxy.Restore()
	for _, id := range want {
		if e, _ := stream.Next(); e.Data["note_id"] != id {
			t.Errorf("%s; want the note %s", e.Raw, id)
		}
	}
}

// The application cannot note down that the hub has an event, and sends it again in its next life: nobody sees it twice.
func TestNothingIsToldTwice(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, "--no-host")
	c, err := client.New(s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	app := notesapp.New(database(t), c)
	stream := s.Events("?types=note", "")
	first := write(t, app, "first")
	if _, err := app.DB.Exec(`CREATE TRIGGER full BEFORE DELETE ON unsent BEGIN SELECT RAISE(ABORT, 'disk full'); END`); err != nil {
		t.Fatal(err)
	}
	if err := app.Send(t.Context()); err == nil {
		t.Error("the failure is not reported")
	}
	if _, err := app.DB.Exec(`DROP TRIGGER full`); err != nil {
		t.Fatal(err)
	}
	second := write(t, app, "second")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- app.Send(ctx) }()
	for _, id := range []string{first, second} {
		if e, _ := stream.Next(); e.Data["note_id"] != id {
			t.Errorf("%s; want the note %s", e.Raw, id)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What a worker says of a note's job reaches the application's table.
func TestJobsReachTheApplication(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, "--no-host")
	app := start(t, s.URL)
	good, bad := write(t, app, "good"), write(t, app, "bad")
	s.Call(202, "POST", "/api/v1/worker-events", fmt.Sprintf(`[{"type":"JobStarted","job_id":"0198f3a0-0000-7000-8000-000000000001","job_type":"Embedding","note_id":%q},
		{"type":"JobCompleted","job_id":"0198f3a0-0000-7000-8000-000000000001"},
		{"type":"JobFailed","job_id":"0198f3a0-0000-7000-8000-000000000002","job_type":"Embedding","note_id":%q,"error":"no model"}]`, good, bad))
	awaitStates(t, app, "failed,done")
}

// awaitStates waits until the states of all notes, in the order of their titles, are these.
func awaitStates(t *testing.T, app *notesapp.App, want string) {
	t.Helper()
	for over := time.Now().Add(harness.Patience); ; time.Sleep(5 * time.Millisecond) { // the table does not announce it
		var states string
		if err := app.DB.QueryRow(`SELECT group_concat(state) FROM (SELECT state FROM note ORDER BY title)`).Scan(&states); err != nil {
			t.Fatal(err)
		}
		if states == want {
			return
		}
		if time.Now().After(over) {
			t.Fatalf("states %s; want %s", states, want)
		}
	}
}

// What happened while the application was away for longer than the hub remembers, it does not pretend to know.
func TestWhatWasMissedIsUnknown(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, "--no-host", "--bus-capacity", "4")
	proxy := harness.NewProxy(t, "tcp", strings.TrimPrefix(s.URL, "http://"))
	app := start(t, "http://"+proxy.Addr)
	stream := s.Events("?types=note", "")
	seen := write(t, app, "1")
	write(t, app, "2")
	for range 2 { // both are known to the hub
		stream.Next()
	}
	report := func(job int, more string) {
		s.Call(202, "POST", "/api/v1/worker-events", fmt.Sprintf(`{"type":"JobFailed","job_id":"0198f3a0-0000-7000-8000-%012d","error":"no model"%s}`, job, more))
	}
	report(1, fmt.Sprintf(`,"note_id":%q`, seen))
	awaitStates(t, app, "failed,new")
	proxy.Cut()
	for i := range 9 {
		report(2+i, `,"will_retry":true`)
	}
	proxy.Restore()
	awaitStates(t, app, "failed,unknown")
}

func TestWhatIsNoNote(t *testing.T) {
	w := httptest.NewRecorder()
	notesapp.New(nil, nil).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/notes", strings.NewReader("title=x")))
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `want {"title": …}`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
