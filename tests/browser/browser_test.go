// Package browser_test runs the example page, and a page as there were before this hub, in a real Chromium against the real
// program: native EventSource and WebSocket, across lost connections and restarts of the server.
package browser_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
)

const example = "../../docs/examples/javascript"

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.quit()
	}
	harness.CleanUp()
	os.Exit(code)
}

// browser is a Chromium behind driver.mjs.
type browser struct {
	cmd   *exec.Cmd
	input io.WriteCloser

	mu      sync.Mutex // guards all below
	pages   int
	calls   int
	waiting map[int]chan answer
	gone    bool
}

type answer struct {
	ID    int
	Value json.RawMessage
	Error string
}

var (
	shared  *browser // one for all tests: starting it takes longer than most of them
	starter sync.Once
)

// chromium returns the browser, which the first call starts. Without it the test is skipped.
func chromium(t *testing.T) *browser {
	t.Helper()
	node := harness.Need(t, "node")
	program := harness.Need(t, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
	if _, err := os.Stat("../clients/node_modules/playwright-core"); errors.Is(err, os.ErrNotExist) {
		harness.Missing(t, "the npm packages are not installed: make test does that")
	}
	starter.Do(func() { shared = start(t, node, program) })
	if shared == nil {
		t.Fatal("the browser did not start")
	}
	return shared
}

func start(t *testing.T, node, program string) *browser {
	cmd := exec.Command(node, "driver.mjs", program)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // the browser then goes by itself: its pipe ends
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &browser{cmd: cmd, input: input, waiting: map[int]chan answer{}}
	go b.listen(bufio.NewReader(output))
	return b
}

func (b *browser) listen(output *bufio.Reader) {
	lines := json.NewDecoder(output)
	for {
		var a answer
		if err := lines.Decode(&a); err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.gone = true
			for _, c := range b.waiting {
				close(c)
			}
			return
		}
		b.mu.Lock()
		b.waiting[a.ID] <- a // has room for it
		delete(b.waiting, a.ID)
		b.mu.Unlock()
	}
}

// quit ends the browser.
func (b *browser) quit() {
	_ = b.input.Close()
	over := time.AfterFunc(harness.Patience, func() { _ = b.cmd.Process.Kill() })
	defer over.Stop()
	_ = b.cmd.Wait() // it was told to end
}

// page is one page of the browser.
type page struct {
	t    *testing.T
	b    *browser
	name string
}

// open opens a page, which is closed at the end of the test.
func (b *browser) open(t *testing.T, url string) *page { return b.openSized(t, url, 1280, 800, false) }

func (b *browser) openSized(t *testing.T, url string, width, height int, dark bool) *page {
	t.Helper()
	b.mu.Lock()
	b.pages++
	p := &page{t, b, fmt.Sprintf("page %d", b.pages)}
	b.mu.Unlock()
	p.do("open", map[string]any{"url": url, "width": width, "height": height, "dark": dark}, nil)
	t.Cleanup(func() { p.do("close", nil, nil) })
	return p
}

// do has the driver do something, and reads what it answers into value unless that is nil.
func (p *page) do(op string, args map[string]any, value any) {
	p.t.Helper()
	order := map[string]any{"page": p.name, "op": op}
	for k, v := range args {
		order[k] = v
	}
	p.b.mu.Lock()
	p.b.calls++
	order["id"] = p.b.calls
	reply := make(chan answer, 1)
	p.b.waiting[p.b.calls] = reply
	err := json.NewEncoder(p.b.input).Encode(order)
	gone := p.b.gone
	p.b.mu.Unlock()
	if err != nil || gone {
		p.t.Fatalf("%s: the browser is gone: %v", op, err)
	}
	select {
	case a, ok := <-reply:
		if !ok || a.Error != "" {
			p.t.Fatalf("%s %v: %s", op, args, a.Error)
		}
		if value == nil {
			return
		}
		if err := json.Unmarshal(a.Value, value); err != nil {
			p.t.Fatalf("%s: %v in %s", op, err, a.Value)
		}
	case <-time.After(2 * harness.Patience):
		p.t.Fatalf("%s %v: no answer", op, args)
	}
}

// await waits until a script's value is true.
func (p *page) await(script string) {
	p.t.Helper()
	p.do("await", map[string]any{"script": script, "timeout": harness.Patience.Milliseconds()}, nil)
}

// evaluate reads a script's value.
func (p *page) evaluate(script string, value any) {
	p.t.Helper()
	p.do("evaluate", map[string]any{"script": script}, value)
}

// site serves the example's files and those of testdata, as an application's own server would.
func site(t *testing.T) string {
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(example)))
	mux.Handle("/test/", http.StripPrefix("/test/", http.FileServer(http.Dir("testdata"))))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}
