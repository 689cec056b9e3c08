package e2e_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
)

// listening is a running webhook listen.
type listening struct {
	t        *testing.T
	cmd      *exec.Cmd
	url      string
	out, err chan string // lines
}

// listen starts webhook listen and returns once it receives.
func listen(t *testing.T, flags ...string) *listening {
	t.Helper()
	l := &listening{t: t, cmd: exec.Command(harness.Binary(t), append([]string{"webhook", "listen"}, flags...)...), out: make(chan string, 100), err: make(chan string, 100)}
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := l.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.cmd.Process.Kill() }) // it may be gone
	for lines, pipe := range map[chan string]*bufio.Scanner{l.out: bufio.NewScanner(out), l.err: bufio.NewScanner(errs)} {
		go func() {
			defer close(lines)
			for pipe.Scan() {
				lines <- pipe.Text()
			}
		}()
	}
	for l.url == "" {
		line := l.next(l.err)
		if l.url, _ = strings.CutPrefix(line, "receiving on "); l.url == line { // registered webhook …
			l.url = ""
		}
	}
	return l
}

// next returns the next line.
func (l *listening) next(from chan string) string {
	l.t.Helper()
	select {
	case line, more := <-from:
		if !more {
			l.t.Fatal("webhook listen says no more")
		}
		return line
	case <-time.After(harness.Patience):
		l.t.Fatal("webhook listen says nothing")
	}
	return ""
}

// end interrupts it, and wants exit code 0.
func (l *listening) end() {
	l.t.Helper()
	if err := l.cmd.Process.Signal(syscall.SIGINT); err != nil {
		l.t.Fatal(err)
	}
	for range l.out { // to its end, which Wait must not come before
	}
	for range l.err {
	}
	if err := l.cmd.Wait(); err != nil {
		l.t.Errorf("webhook listen: %v", err)
	}
}

const aFailure = `{"type":"JobFailed","job_id":"0198f3a0-0000-7000-8000-000000000001","error":"out of memory"}`

// A receiver that registers itself gets what it asked for, tells good signatures from others, and leaves nothing behind.
func TestWebhookListen(t *testing.T) {
	for _, tc := range []struct {
		why   string
		flags []string
	}{
		{"a secret that the hub makes up", nil},
		{"a secret of one's own", []string{"--secret", "a secret of my own"}},
	} {
		t.Run(tc.why, func(t *testing.T) {
			hub := harness.Serve(t, "--webhook-allow-http", "--webhook-allow-cidr", "127.0.0.0/8")
			l := listen(t, append([]string{"--register", "--url", hub.URL, "--events", "job.failed"}, tc.flags...)...)
			if hooks := hub.List("/api/v1/webhooks"); len(hooks) != 1 || hooks[0]["url"] != l.url {
				t.Errorf("registered: %v; want %s", hooks, l.url)
			}
			hub.Call(http.StatusAccepted, "POST", "/api/v1/worker-events", aFailure)
			if line := l.next(l.out); !strings.Contains(line, "  JobFailed  attempt 1  delivery ") || !strings.HasSuffix(line, "  signature good") {
				t.Error(line)
			}
			if line := l.next(l.out); !strings.Contains(line, `"error":"out of memory"`) {
				t.Error(line)
			}
			resp, err := http.Post(l.url, "application/json", strings.NewReader(`{"forged":true}`)) //nolint:noctx // of a process that the test ends
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if line := l.next(l.out); resp.StatusCode != http.StatusUnauthorized || strings.HasSuffix(line, "signature good") {
				t.Errorf("forged: %s, %s", resp.Status, line)
			}
			l.end()
			if hooks := hub.List("/api/v1/webhooks"); len(hooks) != 0 {
				t.Errorf("left behind: %v", hooks)
			}
		})
	}
}

// Without a secret nothing is checked; bodies are printed as they came, and answered as wished.
func TestWebhookListenByItself(t *testing.T) {
	l := listen(t, "--jsonl", "--status", "503")
	for i := range 2 {
		body := fmt.Sprintf(`{"n":%d}`, i)
		resp, err := http.Post(l.url, "application/json", strings.NewReader(body)) //nolint:noctx // of a process that the test ends
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if line := l.next(l.out); line != body || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s, %s; want 503, %s", resp.Status, line, body)
		}
	}
	l.end()
}
