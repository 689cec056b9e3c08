// Package operations_test runs the examples for operators, in docs/examples/operations, with the programs that they are for.
package operations_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/matric/matric-events/tests/harness"
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
	program, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI is set, and nginx is not installed")
		}
		t.Skip("SKIPPED: nginx is not installed; make test installs it where it can")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // started by root, the workers are somebody else
		t.Fatal(err)
	}
	addr := freePort(t)
	site := example(t, "nginx-site.conf")
	site = strings.ReplaceAll(site, "server 127.0.0.1:8080;", "server "+strings.TrimPrefix(s.URL, "http://")+";")
	site = strings.ReplaceAll(site, "listen 80;", "listen "+addr+";")
	site = strings.ReplaceAll(site, "events.example.com", "localhost")
	conf := fmt.Sprintf("daemon off;\npid %[1]s/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\nclient_body_temp_path %[1]s/a;\nproxy_temp_path %[1]s/b;\nfastcgi_temp_path %[1]s/c;\nuwsgi_temp_path %[1]s/d;\nscgi_temp_path %[1]s/e;\n%[2]s\n}\n", dir, site)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-p", dir, "-c", file)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it was told to end
		if t.Failed() {
			t.Logf("nginx: %s", log.String())
		}
	})
	for over := time.Now().Add(harness.Patience); ; time.Sleep(10 * time.Millisecond) { // nothing announces it
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr
		}
		if time.Now().After(over) {
			t.Fatalf("nginx does not answer: %v", err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Events come through at once although the site has buffering on.
func TestEventStreamBehindNginx(t *testing.T) {
	s := harness.Serve(t, "--no-host")
	addr := nginx(t, s)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /api/v1/events?types=job HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(conn); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	awaitLine(t, lines, "retry:")
	for n := range 3 { // each comes before the next is made
		id := fmt.Sprintf("0198f3a0-0000-7000-8000-00000000000%d", n)
		s.Call(202, "POST", "/api/v1/worker-events", `{"type":"JobQueued","job_id":"`+id+`","job_type":"X"}`)
		awaitLine(t, lines, id)
	}
}

func awaitLine(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	late := time.After(harness.Patience)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("the stream ended before %q came", text)
			}
			if strings.Contains(line, text) {
				return
			}
		case <-late:
			t.Fatalf("no %q in %v", text, harness.Patience)
		}
	}
}

func TestWebSocketBehindNginx(t *testing.T) {
	s := harness.Serve(t, "--no-host")
	addr := nginx(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	dialer := ws.Dialer{NetDial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	conn, early, _, err := dialer.Dial(ctx, "ws://localhost/api/v1/ws")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if early == nil {
		early = bufio.NewReader(conn)
	}
	stream := readWriter{early, conn}
	next := func() (kind string) {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
			t.Fatal(err)
		}
		text, err := wsutil.ReadServerText(stream)
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ Type string }
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		return e.Type
	}
	if got := next(); got != "QueueStatus" {
		t.Errorf("first frame %s; want QueueStatus", got)
	}
	s.Call(202, "POST", "/api/v1/worker-events", `{"type":"JobQueued","job_id":"0198f3a0-0000-7000-8000-000000000001","job_type":"X"}`)
	for got := next(); got != "JobQueued"; got = next() {
		if got != "QueueStatus" {
			t.Errorf("%s; want JobQueued", got)
		}
	}
	if err := wsutil.WriteClientText(conn, []byte(`{"type":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	for got := next(); got != "pong"; got = next() {
		if got != "QueueStatus" {
			t.Errorf("%s; want pong", got)
		}
	}
	if err := ws.WriteHeader(conn, ws.Header{Fin: true, OpCode: ws.OpClose, Masked: true}); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// readWriter reads what came behind the handshake first.
type readWriter struct {
	*bufio.Reader
	w net.Conn
}

func (r readWriter) Write(p []byte) (int, error) { return r.w.Write(p) }
