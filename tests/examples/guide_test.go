package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
)

// block is one fenced piece of a guide.
type block struct {
	line       int
	kind, text string
}

func blocks(t *testing.T, file string) (found []block) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var open *block
	line := 0
	for l := range strings.Lines(string(text)) {
		line++
		kind, fence := strings.CutPrefix(l, "```")
		switch {
		case fence && open == nil:
			open = &block{line: line, kind: strings.TrimSpace(kind)}
		case fence:
			found, open = append(found, *open), nil
		case open != nil:
			open.text += l
		}
	}
	return found
}

// step is a command of a guide and the output that is printed below it.
type step struct{ command, want string }

func steps(b block) (found []step) {
	for l := range strings.Lines(b.text) {
		command, ok := strings.CutPrefix(l, "$ ")
		switch last := len(found) - 1; {
		case ok:
			found = append(found, step{command: strings.TrimSpace(command)})
		case last < 0:
		case strings.HasSuffix(found[last].command, "\\"): // goes on
			found[last].command += "\n" + strings.TrimSpace(l)
		default:
			found[last].want += l
		}
	}
	return found
}

// TestGuides runs every command of the guides in order, in one shell for each guide and against a hub with the flags that the
// guide names, and compares what they print; … stands for anything. Every other piece must be in an example that is run.
func TestGuides(t *testing.T) {
	sources := examples(t)
	files, err := filepath.Glob("../../docs/guide/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no guides: %v", err)
	}
	for _, guide := range files {
		t.Run(filepath.Base(guide), func(t *testing.T) {
			t.Parallel()
			sh := &shell{t: t, dir: t.TempDir()}
			for _, b := range blocks(t, guide) {
				if b.kind == "sh" {
					for _, s := range steps(b) {
						sh.add(s)
					}
					continue
				}
				if !strings.Contains(sources, b.text) {
					t.Errorf("%s:%d: this %s is in no example:\n%s", guide, b.line, b.kind, b.text)
				}
			}
			sh.run()
		})
	}
}

// examples returns the text of all examples.
func examples(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("../../docs/examples", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// shell is what a guide's reader types.
type shell struct {
	t      *testing.T
	dir    string
	hub    *harness.Server
	steps  []step
	script strings.Builder
}

const marker = "--- end of step"

// Whoever reads along sees that a program in the background is ready; the script looks at its port.
const untilReady = `for i in $(seq 400); do (exec 3<>/dev/tcp/127.0.0.1/%s) 2>/dev/null && break; sleep 0.05; done`

var port = regexp.MustCompile(`\b9000\b`)

func (sh *shell) add(s step) {
	if flags, ok := strings.CutPrefix(s.command, "matric-events serve"); ok {
		sh.hub = harness.Serve(sh.t, strings.Fields(flags)...)
		return
	}
	if strings.Contains(s.command, "node ") {
		harness.Need(sh.t, "node")
	}
	sh.steps = append(sh.steps, s)
	fmt.Fprintln(&sh.script, s.command)
	if strings.HasSuffix(s.command, "&") {
		fmt.Fprintf(&sh.script, untilReady+"\n", "9000")
	}
	fmt.Fprintf(&sh.script, "echo; echo '%s'\n", marker)
}

func (sh *shell) run() {
	t := sh.t
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port
	if err != nil {
		t.Fatal(err)
	}
	_, free, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	docs, err := filepath.Abs("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(docs, filepath.Join(sh.dir, "docs")); err != nil {
		t.Fatal(err)
	}
	there := strings.NewReplacer("http://127.0.0.1:8080", sh.hub.URL)
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Need(t, "bash"), "-c", "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n"+port.ReplaceAllString(there.Replace(sh.script.String()), free))
	cmd.Dir = sh.dir
	cmd.Env = append(os.Environ(), "MATRIC_URL="+sh.hub.URL, "PATH="+filepath.Dir(harness.Binary(t))+":"+os.Getenv("PATH"))
	cmd.WaitDelay = time.Second
	harness.Need(t, "curl")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v\n%s", err, errs.String())
	}
	outputs := strings.Split(string(out), marker+"\n")
	for i, s := range sh.steps {
		if i >= len(outputs)-1 {
			t.Fatalf("the shell ended before $ %s\n%s", s.command, errs.String())
		}
		got := strings.TrimSpace(outputs[i])
		if want := port.ReplaceAllString(there.Replace(strings.TrimSpace(s.want)), free); s.want != "" && !like(got, want) {
			t.Errorf("$ %s\nprints  %s\nand not %s\n%s", s.command, got, want, errs.String())
		}
	}
}

// like compares with a text in which … stands for anything.
func like(got, want string) bool {
	parts := strings.Split(want, "…")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*") + `$`).MatchString(got)
}
