// Package clients_test runs stock client libraries, as other people ship them and without a change, against the real program:
// verifiers of both families of signatures, readers of event streams, WebSockets and agents, in Go and from npm. What works
// with them here works for users who never heard of this project.
package clients_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/tmaxmax/go-sse"

	"github.com/matric/matric-events/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

// node returns a command that runs a script of this folder. Without Node.js or the packages the test is skipped, or fails
// where everything must be there.
func node(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	harness.Need(t, "node")
	if _, err := os.Stat("node_modules/svix"); errors.Is(err, os.ErrNotExist) {
		harness.Missing(t, "the npm packages are not installed: make test does that")
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{script}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

var loopbackWebhooks = []string{"--webhook-allow-http", "--webhook-allow-cidr", "127.0.0.0/8"}

// delivered makes a webhook, has one event of each of two kinds delivered to it, and returns what arrived and the secret.
func delivered(t *testing.T, order string) (secret string, got []harness.Delivery) {
	s, rc := harness.Serve(t, loopbackWebhooks...), harness.NewReceiver(t, nil)
	hook := s.Call(201, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"url":%q,"events":["note","job.completed"]%s}`, rc.URL, order))
	s.Call(201, "POST", "/api/v1/notes", `{"title":"Grüße „aus“ 東京 \u0007","content":"[[x]]"}`)
	got = rc.Await(t, "two notes and a job", func(got []harness.Delivery) bool { return len(got) >= 3 })
	return hook["secret"].(string), got
}

func TestStockVerifiersAcceptRealDeliveries(t *testing.T) {
	secret, got := delivered(t, "")
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range got {
		if err := verifier.Verify(d.Body, d.Header); err != nil {
			t.Errorf("the Go library refuses %s: %v", d.Body, err)
		}
		forged := bytes.Replace(d.Body, []byte("note_id"), []byte("n0te_id"), 1)
		if err := verifier.Verify(forged, d.Header); err == nil {
			t.Error("the Go library accepts a forged body")
		}
	}
	for i, verdict := range npmVerdicts(t, secret, got) {
		if diff := cmp.Diff(map[string]bool{"standardwebhooks": true, "svix": true, "octokit": true}, verdict); diff != "" {
			t.Errorf("%s: %s", got[i].Body, diff)
		}
	}
}

func TestStockVerifiersRefuseAnotherSecret(t *testing.T) {
	_, got := delivered(t, "")
	for _, verdict := range npmVerdicts(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", got) {
		if diff := cmp.Diff(map[string]bool{"standardwebhooks": false, "svix": false, "octokit": false}, verdict); diff != "" {
			t.Error(diff)
		}
	}
}

func npmVerdicts(t *testing.T, secret string, got []harness.Delivery) (verdicts []map[string]bool) {
	t.Helper()
	var in bytes.Buffer
	for _, d := range got {
		headers := map[string]string{}
		for name := range d.Header {
			headers[strings.ToLower(name)] = d.Header.Get(name)
		}
		if err := json.NewEncoder(&in).Encode(map[string]any{"secret": secret, "headers": headers, "body": string(d.Body)}); err != nil {
			t.Fatal(err)
		}
	}
	cmd := node(t, "verify.mjs")
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var v map[string]bool
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		verdicts = append(verdicts, v)
	}
	if len(verdicts) != len(got) {
		t.Fatalf("%d verdicts on %d deliveries", len(verdicts), len(got))
	}
	return verdicts
}

// TestNodeClientsSeeTheSame wants the ws and the eventsource packages to deliver the same events in the same order.
func TestNodeClientsSeeTheSame(t *testing.T) {
	s := harness.Serve(t)
	cmd := node(t, "streams.mjs", s.URL)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	seen := map[string][]string{}
	ready, updates := 0, map[string]int{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var line struct {
			Ready, Client, Type string
			EventID             string `json:"event_id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Ready != "" {
			if ready++; ready == 2 {
				s.Call(201, "POST", "/api/v1/notes", `{"title":"Hello","content":"[[link]]"}`)
			}
			continue
		}
		seen[line.Client] = append(seen[line.Client], line.Type+" "+line.EventID)
		if line.Type == "NoteUpdated" {
			if updates[line.Client]++; updates["ws"] >= 2 && updates["eventsource"] >= 2 {
				break
			}
		}
	}
	if diff := cmp.Diff(seen["ws"], seen["eventsource"]); diff != "" || len(seen["ws"]) < 6 {
		t.Errorf("ws saw %v, eventsource differs: %s", seen["ws"], diff)
	}
}

// TestGoSSEClient follows the hub with a Go client library.
func TestGoSSEClient(t *testing.T) {
	s := harness.Serve(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v1/events?types=note", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 16)
	conn := sse.NewConnection(req)
	conn.SubscribeToAll(func(e sse.Event) {
		if e.Type != "" { // this library passes on a retry field by itself, as an event without a type
			got <- e.Type
		}
	})
	go func() { _ = conn.Connect() }() // ends with the test's context
	s.AwaitConnections(1)
	s.Call(201, "POST", "/api/v1/notes", `{"title":"Hello"}`)
	if name := <-got; name != "NoteUpdated" {
		t.Errorf("the first event is %s; want NoteUpdated", name)
	}
}

// TestCurl follows the hub with curl, as the README does.
func TestCurl(t *testing.T) {
	s := harness.Serve(t)
	cmd := exec.CommandContext(t.Context(), harness.Need(t, "curl"), "-sN", s.URL+"/api/v1/events")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	s.AwaitConnections(1)
	s.Call(201, "POST", "/api/v1/notes", `{"title":"Hello","content":"See [[World]]"}`)
	if seen := harness.Names(harness.Follow(t, out).Until(harness.Named("JobCompleted"))); !slices.Contains(seen, "NoteUpdated") {
		t.Errorf("curl saw %v", seen)
	}
}
