package browser_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matric/matric-events/tests/harness"
)

func worker(s *harness.Server, body string) { s.Call(202, "POST", "/api/v1/worker-events", body) }

const (
	embedding  = "0198f3a0-0000-7000-8000-000000000001"
	revision   = "0198f3a0-0000-7000-8000-000000000002"
	extraction = "0198f3a0-0000-7000-8000-000000000003"
	waiting    = "0198f3a0-0000-7000-8000-000000000004"
)

// TestBoard uses the page as a person does: it shows what there was before, moves its bars, and knows how jobs end.
// SCREENSHOTS=folder keeps pictures of it.
func TestBoard(t *testing.T) {
	t.Parallel()
	b, origin := chromium(t), site(t)
	s := harness.Serve(t, "--allowed-origins", origin)
	s.Call(201, "POST", "/api/v1/notes", `{"title":"Before the page","content":"See [[World]]","tags":["early"]}`)
	s.Call(201, "POST", "/api/v1/notes", `{"title":"<img src=x onerror=alert(1)> & friends","tags":["a<b"]}`)
	page := b.openSized(t, origin+"/index.html?hub="+s.URL, 1180, 720, false)
	page.await(`document.querySelector("#state").className === "live"`)
	page.await(`document.querySelector("#notes").textContent.includes("Before the page")`)
	page.await(`document.querySelector("#jobs .completed .more").textContent.includes("Before the page")`)
	page.await(`!document.querySelector("main img")`)

	worker(s, fmt.Sprintf(`[{"type":"JobStarted","job_id":%q,"job_type":"Embedding"},{"type":"JobProgress","job_id":%[1]q,"percent":65,"message":"1300 of 2000 chunks"},
		{"type":"JobStarted","job_id":%q,"job_type":"ai_revision"},{"type":"JobProgress","job_id":%[2]q,"percent":20},
		{"type":"JobStarted","job_id":%q,"job_type":"ConceptExtraction"},{"type":"JobFailed","job_id":%[3]q,"error":"the model does not answer","will_retry":true},
		{"type":"JobQueued","job_id":%q,"job_type":"TitleGeneration"}]`, embedding, revision, extraction, waiting))
	job := func(id string) string { return fmt.Sprintf(`document.querySelector('[data-id="%s"]')`, id) }
	page.await(job(embedding) + `?.querySelector("[role=progressbar]").getAttribute("aria-valuenow") === "65"`)
	page.await(job(embedding) + `.textContent.includes("1300 of 2000 chunks")`)
	page.await(job(revision) + `?.querySelector("strong").textContent === "AI revision"`)
	page.await(job(extraction) + `?.textContent.includes("will be tried again")`)
	page.await(`document.querySelector("#running").textContent === "2"`)
	page.await(`[...document.querySelectorAll("#jobs li")].map((li) => li.className.trim().split(" ")[0]).join().startsWith("running,running,queued,failed")`)
	// the bar has moved as far as it says
	page.await(fmt.Sprintf(`(() => { const bar = %s.querySelector(".bar"); return Math.abs(bar.firstElementChild.offsetWidth / bar.offsetWidth - .65) < .02; })()`, job(embedding)))
	s.Call(201, "POST", "/api/v1/notes", `{"title":"While the page is open","tags":["garden","reading list"]}`)
	page.await(`document.querySelector("#notes li strong").textContent === "While the page is open"`)
	page.picture("board.png")

	worker(s, `{"type":"JobCompleted","job_id":"`+embedding+`","duration_ms":1500}`)
	page.await(job(embedding) + `.textContent.includes("done in 1.5 s")`)
	page.evaluate(`onNotice({ type: "EventsLagged", dropped_count: 12 })`, nil)
	page.await(`document.querySelector("#notice:not([hidden])").textContent.includes("12 events")`)
	page.picture("lagged.png")
}

// A page that was opened as a file has the origin null, which only a hub for any page allows.
func TestBoardFromAFile(t *testing.T) {
	t.Parallel()
	b := chromium(t)
	s := harness.Serve(t, "--allowed-origins", "*")
	file, err := filepath.Abs(example + "/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, transport := range []string{"sse", "ws"} {
		page := b.open(t, "file://"+file+"?transport="+transport+"&hub="+s.URL)
		page.await(`document.querySelector("#state").className === "live"`)
		s.Call(201, "POST", "/api/v1/notes", `{"title":"By `+transport+`"}`)
		page.await(`document.querySelector("#notes").textContent.includes("By ` + transport + `")`)
	}
}

// The page says when it is offline, that it came back, and that it may have missed something; the lists are right after that.
func TestBoardTellsOfARestart(t *testing.T) {
	t.Parallel()
	b, origin := chromium(t), site(t)
	flags := []string{"--allowed-origins", origin, "--database-url", "sqlite:" + filepath.Join(t.TempDir(), "hub.db")}
	s := harness.Serve(t, flags...)
	page := b.openSized(t, origin+"/index.html?transport=ws&hub="+s.URL, 420, 760, true)
	page.await(`document.querySelector("#state").className === "live"`)
	s.Kill()
	page.await(`document.querySelector("#state").textContent.startsWith("Offline")`)
	page.picture("offline.png")
	s = harness.Serve(t, append(flags, "--listen", strings.TrimPrefix(s.URL, "http://"))...)
	s.Call(201, "POST", "/api/v1/notes", `{"title":"While nobody looked","content":"text"}`)
	page.await(`document.querySelector("#state").className === "live"`)
	page.await(`!document.querySelector("#notice").hidden && document.querySelector("#notes").textContent.includes("While nobody looked")`)
	page.picture("restarted.png")
	page.await(`(document.querySelector("#notice button").click(), document.querySelector("#notice").hidden)`)
}

// A hub behind a token, in front of an application that has its own notes and jobs: there are no lists to read.
func TestBoardWithTokenAndWithoutHost(t *testing.T) {
	t.Parallel()
	b, origin := chromium(t), site(t)
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("secret-of-ann ann\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Serve(t, "--allowed-origins", origin, "--require-auth", "--auth-tokens-file", tokens, "--no-host")
	for _, transport := range []string{"sse", "ws"} {
		page := b.open(t, origin+"/index.html?token=secret-of-ann&transport="+transport+"&hub="+s.URL)
		page.await(`document.querySelector("#state").className === "live"`)
	}
}

// TestOlderPage runs a page of the older kind, as it is: it follows jobs, never sees an object that it would misread as an
// empty queue, and comes back after a restart.
func TestOlderPage(t *testing.T) {
	t.Parallel()
	b := chromium(t)
	// The application's own server hands out the page; its users' browsers name that as origin.
	server := httptest.NewServer(http.FileServer(http.Dir("testdata")))
	defer server.Close()
	flags := []string{"--no-host", "--allowed-origins", server.URL, "--bus-capacity", "64", "--database-url", "sqlite:" + filepath.Join(t.TempDir(), "hub.db")}
	s := harness.Serve(t, flags...)
	page := b.open(t, server.URL+"/older.html?hub="+s.URL)
	page.await(`opened === 1 && log.filter((type) => type === "QueueStatus").length >= 2`) // of the connection, and of refresh
	worker(s, fmt.Sprintf(`[{"type":"JobQueued","job_id":%q,"job_type":"Embedding"},{"type":"JobStarted","job_id":%[1]q},{"type":"JobProgress","job_id":%[1]q,"percent":40,"message":"half way"}]`, embedding))
	page.await(`jobs["` + embedding + `"]?.progress === 40 && jobs["` + embedding + `"].message === "half way" && queue.running === 1`)
	worker(s, `{"type":"JobCompleted","job_id":"`+embedding+`"}`)
	page.await(`jobs["` + embedding + `"].state === "done" && queue.total === 0`)
	s.Call(202, "POST", "/api/v1/note-events", `{"operation":"updated","note_id":"`+revision+`"}`)
	page.await(`notes === 1`)

	if code := s.Stop(); code != 0 { // announced to those who understand, and not to this page
		t.Errorf("exit code %d", code)
	}
	s = harness.Serve(t, append(flags, "--listen", strings.TrimPrefix(s.URL, "http://"))...)
	page.await(`opened === 2`)
	worker(s, fmt.Sprintf(`[{"type":"JobStarted","job_id":%q,"job_type":"Embedding"},{"type":"JobFailed","job_id":%[1]q,"error":"no"}]`, extraction))
	page.await(`jobs["` + extraction + `"]?.state === "failed"`)
	var got struct {
		Misread int
		Log     []string
	}
	page.evaluate(`({misread, log})`, &got)
	if got.Misread != 0 {
		t.Errorf("%d objects were taken for an empty queue: %v", got.Misread, got.Log)
	}
}

// picture keeps a picture of the page for people to look at.
func (p *page) picture(name string) {
	p.t.Helper()
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		p.evaluate(`Promise.all(document.getAnimations().map((a) => a.finished)).then(() => null)`, nil)
		p.do("screenshot", map[string]any{"path": filepath.Join(dir, name)}, nil)
	}
}

// The page of the guide does what it says.
func TestSmallestPage(t *testing.T) {
	t.Parallel()
	b := chromium(t)
	s := harness.Serve(t, "--no-host", "--allowed-origins", "*")
	text, err := os.ReadFile(example + "/smallest.html")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.ReplaceAll(string(text), "http://127.0.0.1:8080", s.URL))
	}))
	defer server.Close()
	page := b.open(t, server.URL)
	s.AwaitConnections(1)
	worker(s, fmt.Sprintf(`[{"type":"JobProgress","job_id":%q,"job_type":"Embedding","percent":10},{"type":"JobProgress","job_id":%[1]q,"percent":40}]`, embedding))
	page.await(`document.querySelector("#jobs").textContent === "Embedding: 40 %"`)
}
