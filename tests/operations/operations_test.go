// Package operations_test runs the examples for operators, in docs/examples/operations, with the programs that they are
// written for: nginx serves the site in front of a real hub, and systemd's own checker reads the unit.
package operations_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/harness/socket"
)

const examples = "../../docs/examples/operations/"

func TestMain(m *testing.M) {
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(examples + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestUnit lets the program read the flags of the unit's command, and systemd its syntax where it is installed.
func TestUnit(t *testing.T) {
	unit := example(t, "matric-events.service")
	var flags []string
	for line := range strings.Lines(unit) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=/usr/local/bin/matric-events serve "); ok {
			flags = strings.Fields(command)
		}
	}
	out, errs, code := harness.Run(t, append([]string{"config"}, flags...)...)
	if code != 0 || !strings.Contains(out, "--no-host") {
		t.Errorf("config %v: %d %s", flags, code, errs)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not installed: the unit's syntax was not checked")
		return
	}
	here := filepath.Join(t.TempDir(), "matric-events.service") // with a program that is there
	unit = strings.ReplaceAll(unit, "/usr/local/bin/matric-events", harness.Binary(t))
	if err := os.WriteFile(here, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", here).CombinedOutput()
	for line := range strings.Lines(string(report)) {
		if strings.Contains(line, "matric-events.service") {
			t.Errorf("systemd-analyze: %s (%v)", line, err)
		}
	}
}

// nginx runs the example site in front of a hub and returns its address.
func nginx(t *testing.T, s *harness.Server) string {
	t.Helper()
	return harness.Nginx(t, s, example(t, "nginx-site.conf"), "")
}

// A page that is served under the same name and port as the hub may change things, whatever the port.
func TestPagesBehindNginx(t *testing.T) {
	at := "http://" + nginx(t, harness.Serve(t))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at+"/api/v1/notes", strings.NewReader(`{"title":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", at)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("POST with Origin %s = %s", at, resp.Status)
	}
}

// Events come through at once although the site has buffering on.
func TestEventStreamBehindNginx(t *testing.T) {
	s := harness.Serve(t, "--no-host")
	resp, err := http.Get("http://" + nginx(t, s) + "/api/v1/events?types=job")
	if err != nil {
		t.Fatal(err)
	}
	stream := harness.Follow(t, resp.Body)
	defer stream.Close()
	for n := range 3 { // each comes before the next is made
		id := fmt.Sprintf("0198f3a0-0000-7000-8000-00000000000%d", n)
		s.Call(202, "POST", "/api/v1/worker-events", `{"type":"JobQueued","job_id":"`+id+`","job_type":"X"}`)
		if e, _ := stream.Next(); e.Data["job_id"] != id {
			t.Errorf("%s; want the job %s", e.Raw, id)
		}
	}
}

func TestWebSocketBehindNginx(t *testing.T) {
	s := harness.Serve(t, "--no-host")
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	conn, err := socket.Dial(ctx, "ws://"+nginx(t, s)+"/api/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	until := func(want string) { // QueueStatus may come in between
		t.Helper()
		for {
			text, err := conn.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(text, `{"type":"`+want+`"`) {
				return
			}
			if !strings.HasPrefix(text, `{"type":"QueueStatus"`) {
				t.Errorf("%s; want %s", text, want)
			}
		}
	}
	until("QueueStatus")
	s.Call(202, "POST", "/api/v1/worker-events", `{"type":"JobQueued","job_id":"0198f3a0-0000-7000-8000-000000000001","job_type":"X"}`)
	until("JobQueued")
	if err := conn.Send(`{"type":"ping"}`); err != nil {
		t.Fatal(err)
	}
	until("pong")
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
