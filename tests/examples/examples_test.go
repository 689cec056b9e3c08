// Package examples_test runs the programs of docs/examples, and the commands of the README and of docs/guide, against the
// real program, and compares what they print with what is printed there, so that none of them can rot.
package examples_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/tests/harness"
)

const (
	javascript = "../../docs/examples/javascript/"
	note       = "0194e6a0-0000-7000-8000-000000000001"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

// program is a running example.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   chan string // lines of standard output
	notes chan string // lines of standard error
	ended chan struct{}
	once  sync.Once
}

// run starts an example with more environment, and ends it with the test.
func run(t *testing.T, env []string, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(name, args...), out: make(chan string, 1000), notes: make(chan string, 1000), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	follow := func(r io.Reader, to chan<- string) {
		readers.Go(func() {
			defer close(to)
			for lines := bufio.NewScanner(r); lines.Scan(); {
				to <- lines.Text()
			}
		})
	}
	follow(out, p.out)
	follow(errs, p.notes)
	go func() {
		readers.Wait()
		_ = p.cmd.Wait() // who wants to know asks ProcessState
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *program) kill() {
	p.once.Do(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
}

// line returns the next line from a channel of the program.
func (p *program) line(from <-chan string) string {
	p.t.Helper()
	select {
	case text, ok := <-from:
		if !ok {
			p.t.Fatalf("%v ended", p.cmd.Args)
		}
		return text
	case <-time.After(harness.Patience):
		p.t.Fatalf("%v says nothing", p.cmd.Args)
		return ""
	}
}

// await returns the first line of standard error with a text in it.
func (p *program) await(text string) string {
	p.t.Helper()
	for {
		if line := p.line(p.notes); strings.Contains(line, text) {
			return line
		}
	}
}

// ids returns the event IDs of the next n lines.
func (p *program) ids(n int) (ids []string) {
	p.t.Helper()
	for len(ids) < n {
		line := p.line(p.out)
		var e struct {
			ID string `json:"event_id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			p.t.Fatalf("%q: %v", line, err)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

// publish publishes n note events and returns their IDs.
func publish(s *harness.Server, first, n int) (ids []string) {
	for i := first; i < first+n; i++ {
		id := fmt.Sprintf("01980000-0000-7000-8000-%012d", i)
		s.Call(202, "POST", "/api/v1/note-events", fmt.Sprintf(`{"event_id":%q,"operation":"updated","note_id":%q,"title":"Größe %d"}`, id, note, i))
		ids = append(ids, id)
	}
	return ids
}

// subscriber is an example that follows the hub at a URL, and keeps its cursor in a file.
type subscriber func(t *testing.T, url, query, cursor string) *program

var subscribers = map[string]subscriber{
	"javascript": func(t *testing.T, url, query, cursor string) *program {
		return run(t, nil, harness.Need(t, "node"), javascript+"subscribe.mjs", url, query, cursor)
	},
	"rust": func(t *testing.T, url, query, cursor string) *program {
		return run(t, nil, rust(t)+"/subscribe", url, query, cursor)
	},
}

// The subscribers resume through a cut connection, through their own end, and say so when they cannot.
func TestSubscribers(t *testing.T) {
	for name, subscribe := range subscribers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := "sqlite:" + filepath.Join(t.TempDir(), "hub.db")
			s := harness.Serve(t, "--database-url", database)
			proxy := harness.NewProxy(t, "tcp", strings.TrimPrefix(s.URL, "http://"))
			url, cursor := "http://"+proxy.Addr, filepath.Join(t.TempDir(), "cursor")

			p := subscribe(t, url, "types=note", cursor)
			p.await("connected")
			proxy.Cut() // before the first event
			want := publish(s, 0, 5)
			proxy.Restore()
			got := p.ids(5)
			want = append(want, publish(s, 5, 1)...)
			got = append(got, p.ids(1)...)
			p.kill()
			text, err := os.ReadFile(cursor)
			kept := slices.Index(want, string(text))
			if err != nil || kept < 4 {
				t.Fatalf("the cursor is %q, %v; want %s or the one before", text, err, want[5])
			}
			got = got[:kept+1]                        // it may have printed the last one and have died before it wrote that down
			want = append(want, publish(s, 6, 20)...) // it is not there
			p = subscribe(t, url, "types=note", cursor)
			got = append(got, p.ids(len(want)-len(got))...)
			want = append(want, publish(s, 26, 1)...)
			if got = append(got, p.ids(1)...); !cmp.Equal(got, want) {
				t.Error(cmp.Diff(want, got))
			}

			s.Kill()
			s = harness.Serve(t, "--database-url", database, "--listen", strings.TrimPrefix(s.URL, "http://"))
			p.await("read your state anew")
			want = publish(s, 27, 1)
			if got := p.ids(1); !cmp.Equal(got, want) {
				t.Errorf("after the restart %v; want %v", got, want)
			}
		})
	}
}

// A subscriber whose filter is refused gives up, and says why.
func TestSubscribersGiveUp(t *testing.T) {
	for name, subscribe := range subscribers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := subscribe(t, harness.Serve(t).URL, "types=nonsense", "")
			p.await("refused: 400")
			<-p.ended
			if code := p.cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
