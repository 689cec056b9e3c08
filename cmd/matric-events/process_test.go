package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram in the environment makes the test binary the program, for what only a process of its own can show: signals,
// exit codes and standard streams that nobody reads.
const asProgram = "MATRIC_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// patience bounds every wait for another process. Nothing here takes long unless it hangs.
const patience = 60 * time.Second

// program returns a command that is killed when the test ends or takes too long.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// served is a hub in a process of its own.
type served struct {
	*exec.Cmd
	url string
}

// serve starts a hub whose standard error is stderr. It answers.
func serve(t *testing.T, stderr *os.File, args ...string) *served {
	t.Helper()
	cmd := program(t, append([]string{
		"serve", "--no-host", "--listen", "127.0.0.1:0", "--database-url", "sqlite:" + filepath.Join(t.TempDir(), "hub.db"),
	}, args...)...)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "Metrics "); ok {
			h := &served{cmd, strings.TrimSuffix(strings.TrimSpace(url), "/metrics")}
			resp, err := http.Get(h.url + "/livez") // is answered once it serves
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			return h
		}
	}
	t.Fatal("the hub did not say where it is")
	return nil
}

// post sends worker events, and wants them accepted.
func (h *served) post(t *testing.T, header http.Header, events ...string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, h.url+"/api/v1/worker-events", strings.NewReader(strings.Join(events, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header.Clone()
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("POST worker events = %s", resp.Status)
	}
}

func queued(n int) string {
	return fmt.Sprintf(`{"type":"JobQueued","job_id":"0198f3a0-0000-7000-8000-%012d","job_type":"Embedding"}`, n)
}

// stop sends SIGTERM, and returns the exit code.
func (h *served) stop(t *testing.T) int {
	t.Helper()
	if err := h.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return exitOf(t, h.Wait())
}

func exitOf(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	failed, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatal(err)
	}
	return failed.ExitCode()
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	return r, w
}

// Whoever reads the logs may go away; the hub does not go with them.
func TestServeOutlivesTheReaderOfItsLogs(t *testing.T) {
	t.Parallel()
	r, w := pipe(t)
	h := serve(t, w)
	_, _ = w.Close(), r.Close()
	for n := range 3 { // each is a line
		h.post(t, nil, queued(n))
	}
	if code := h.stop(t); code != 0 {
		t.Errorf("exit code = %d; want 0", code)
	}
}

// Nobody need read the logs: a full pipe costs lines, and does not keep the hub from ending.
func TestServeEndsWhileNobodyReadsItsLogs(t *testing.T) {
	t.Parallel()
	_, w := pipe(t)
	h := serve(t, w, "--shutdown-timeout", "20s")
	for batch := range 3 { // the lines of 1000 events are more than a pipe takes
		events := make([]string, 1000)
		for i := range events {
			events[i] = queued(1000*batch + i)
		}
		h.post(t, nil, events...)
	}
	if code := h.stop(t); code != 0 {
		t.Errorf("exit code = %d; want 0", code)
	}
}
