package examples_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
)

// indented returns the pieces of a document that are set off by four spaces.
func indented(t *testing.T, file string) (pieces []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var piece strings.Builder
	for line := range strings.Lines(string(text) + "\nend\n") {
		code, ok := strings.CutPrefix(line, "    ")
		switch {
		case ok:
			piece.WriteString(code)
		case strings.TrimSpace(line) == "" && piece.Len() > 0:
			piece.WriteString("\n")
		case piece.Len() > 0:
			pieces = append(pieces, strings.TrimSpace(piece.String()))
			piece.Reset()
		}
	}
	return pieces
}

// TestReadme takes the README's tour as it is printed: its two commands first, then each command after it. One that is added
// there must be added here.
func TestReadme(t *testing.T) {
	pieces := indented(t, "../../README.md")
	if len(pieces) < 2 || pieces[0] != "go run ./cmd/matric-events serve" || pieces[1] != "make test" {
		t.Fatalf("the README begins with %q; want the two commands", pieces[:min(2, len(pieces))])
	}
	var printed []step
	for _, p := range pieces {
		printed = append(printed, steps(block{text: p})...)
	}
	tour := &tour{t: t, url: firstCommand(t, pieces[0]), printed: printed}
	tour.follow()
	tour.wait()
	tour.webhooks()
	// a database with an application's tables is tests/e2e's to bring
	tour.skip("export DATABASE_URL=postgres://…")
	tour.skip("matric-events capture attach --preset matric && matric-events serve --no-host")
	for _, s := range tour.printed {
		t.Errorf("nothing runs $ %s", s.command)
	}
}

// firstCommand runs the command that starts a hub, on a free port, and returns its URL.
func firstCommand(t *testing.T, command string) string {
	t.Helper()
	// go run ends without its child; the shell sees to it that both end with the test, whatever ends that.
	cmd := exec.Command(harness.Need(t, "bash"), "-c", "trap 'trap - TERM; kill 0' TERM; "+command+" & wait")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "MATRIC_LISTEN=127.0.0.1:0", "MATRIC_DATABASE_URL=sqlite:"+filepath.Join(t.TempDir(), "hub.db"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, errs) // until the hub, too, has ended
		_ = cmd.Wait()                   // by the signal
	})
	for lines := bufio.NewScanner(errs); lines.Scan(); {
		if _, url, ok := strings.Cut(lines.Text(), "listening on "); ok {
			go func() { _, _ = io.Copy(io.Discard, errs) }() // or the hub would wait for whom nobody reads
			return url
		}
	}
	t.Fatal("the first command ended before it listened")
	return ""
}

// tour takes the printed commands one after the other.
type tour struct {
	t       *testing.T
	url     string
	printed []step
}

// take removes the printed command that begins so, and returns what is to be compared with its output.
func (r *tour) take(prefix string) step {
	r.t.Helper()
	i := slices.IndexFunc(r.printed, func(s step) bool { return strings.HasPrefix(s.command, prefix) })
	if i < 0 {
		r.t.Fatalf("the README has no $ %s", prefix)
	}
	s := r.printed[i]
	r.printed = slices.Delete(r.printed, i, i+1)
	return s
}

func (r *tour) skip(command string) { r.take(command) }

// run starts a command.
func (r *tour) run(url, command string) *program {
	command = strings.NewReplacer("go run ./cmd/matric-events", "matric-events", "http://127.0.0.1:8080", url).Replace(command)
	return run(r.t, []string{"MATRIC_URL=" + url, "PATH=" + filepath.Dir(harness.Binary(r.t)) + ":" + os.Getenv("PATH")}, "bash", "-c", "exec "+command)
}

// prints wants the printed lines among those of the program, in their order.
func (r *tour) prints(p *program, printed string) (last string) {
	r.t.Helper()
	for line := range strings.Lines(printed) {
		want := plain(strings.TrimSpace(line))
		if want == "" || want == "…" {
			continue
		}
		for !like(plain(last), want) {
			last = strings.TrimSpace(p.line(p.out))
		}
	}
	return last
}

// variable is what differs from run to run.
var variable = map[string]*regexp.Regexp{
	"ID":       regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`),
	"TIME":     regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`),
	"CLOCK":    regexp.MustCompile(`\b\d\d:\d\d:\d\d\.\d{3}\b`),
	"SHORT":    regexp.MustCompile(`\b[0-9a-f]{8}\b`),
	"DURATION": regexp.MustCompile(`\bin [0-9.]+m?s\b`),
	"RETRY":    regexp.MustCompile(`retry: \d+`),
}

func plain(line string) string {
	for _, name := range []string{"ID", "TIME", "CLOCK", "SHORT", "DURATION", "RETRY"} {
		line = variable[name].ReplaceAllString(line, name)
	}
	return line
}

// connected waits until so many are connected to a hub.
func (r *tour) connected(url string, n int) {
	r.t.Helper()
	for deadline := time.Now().Add(harness.Patience); ; time.Sleep(10 * time.Millisecond) { // nobody announces it
		p := r.run(url, "curl -s "+url+"/api/v1/connections")
		var list []any
		if err := json.Unmarshal([]byte(p.line(p.out)), &list); err != nil {
			r.t.Fatal(err)
		}
		if len(list) == n {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d are connected, want %d", len(list), n)
		}
	}
}

// follow is the tour's first half: a stream and tail see what comes of a note.
func (r *tour) follow() {
	watch, note, tail := r.take("curl -N "), r.take("curl --json '{\"title\""), r.take("go run ./cmd/matric-events tail")
	stream, people := r.run(r.url, watch.command), r.run(r.url, tail.command)
	r.prints(stream, watch.want)
	r.connected(r.url, 2)
	created := r.run(r.url, note.command)
	r.prints(created, note.want)
	pieces := indented(r.t, "../../README.md")
	i := slices.IndexFunc(pieces, func(p string) bool { return strings.HasPrefix(p, "event: NoteUpdated") })
	if i < 0 {
		r.t.Fatal("the README shows no event")
	}
	r.prints(stream, pieces[i])
	r.prints(people, tail.want)
	stream.kill()
	people.kill()
}

// wait is the tour's part for scripts: a job that a producer reports is waited for.
func (r *tour) wait() {
	until, report := r.take("go run ./cmd/matric-events tail --jsonl --until"), r.take("curl --json '{\"type\":\"JobStarted\"")
	job := variable["ID"].FindString(report.command)
	r.connected(r.url, 0)
	waits := r.run(r.url, strings.Replace(until.command, " JOB ", " "+job+" ", 1))
	r.connected(r.url, 1)
	r.prints(r.run(r.url, report.command), `{"accepted":1}`)
	r.prints(waits, `{"type":"JobStarted",…}`)
	r.prints(r.run(r.url, strings.Replace(report.command, "JobStarted", "JobCompleted", 1)), `{"accepted":1}`)
	r.prints(waits, `{"type":"JobCompleted",…}`)
	<-waits.ended
	if code := waits.cmd.ProcessState.ExitCode(); code != 0 {
		r.t.Errorf("the exit code of $ %s is %d", until.command, code)
	}
}

// webhooks is the tour's end.
func (r *tour) webhooks() {
	_, flags, _ := strings.Cut(r.take("go run ./cmd/matric-events serve --webhook").command, " serve ")
	s := harness.Serve(r.t, strings.Fields(flags)...)
	listen := r.run(s.URL, r.take("go run ./cmd/matric-events webhook listen").command)
	for status, hooks := 0, []byte(nil); ; time.Sleep(10 * time.Millisecond) { // until it has registered
		if status, hooks = s.Do("GET", "/api/v1/webhooks", ""); status == 200 && len(hooks) > len("[]\n") {
			break
		}
		select {
		case <-listen.ended:
			r.t.Fatal("listen ended")
		default:
		}
	}
	s.Call(201, "POST", "/api/v1/notes", fmt.Sprintf(`{"title":%q}`, "A note"))
	for !strings.Contains(listen.line(listen.out), "NoteUpdated") {
		continue
	}
}
