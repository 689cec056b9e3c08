package mcp_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// waiters is how many agents wait at the same time.
const waiters = 500

// What each may cost: the wait, and beside it the session that the SDK keeps on revisions that have them.
const (
	maxWaitCost    = 10 << 10
	maxSessionCost = 12 << 10
	maxStreamCost  = 20 << 10
)

// TestWaitingCost reports what a waiting agent costs the server: heap and stacks of the whole way from the connection to
// the log, with nothing of the client but its socket.
func TestWaitingCost(t *testing.T) {
	if !alone(t) {
		return
	}
	onBoth(t, func(t *testing.T, version string) {
		r := newRig(t, setup{})
		first := r.rawWait(version) // for what is made once
		await(t, "waiting call", r.watcher.opened)
		defer first.leave()
		before := footprint()
		var agents []*rawAgent
		for range waiters {
			agents = append(agents, r.rawWait(version))
			await(t, "waiting call", r.watcher.opened)
		}
		cost := float64(footprint()-before) / waiters
		limit := maxWaitCost
		if version == withSessions {
			limit += maxSessionCost
		}
		if cost > float64(limit) {
			t.Errorf("more than %d bytes", limit)
		}
		t.Logf("%s: %.0f bytes for each of %d waiting agents", version, cost, waiters)
		for _, a := range agents {
			a.leave()
		}
	})
}

// TestStreamCost reports what a session with an open stream of notifications costs.
func TestStreamCost(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRig(t, setup{})
	open := func() *rawAgent {
		id := r.session()
		a := r.dial()
		if _, err := fmt.Fprintf(a, "GET /mcp HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n%s\r\n\r\n", a.RemoteAddr(), id); err != nil {
			t.Fatal(err)
		}
		await(t, "stream", r.watcher.opened)
		return a
	}
	defer open().leave() // for what is made once
	before := footprint()
	for range waiters {
		defer open().leave()
	}
	r.transport.CloseIdleConnections()
	cost := float64(footprint()-before) / waiters
	if cost > maxSessionCost+maxStreamCost {
		t.Errorf("more than %d bytes", maxSessionCost+maxStreamCost)
	}
	t.Logf("%.0f bytes for each of %d sessions with a stream", cost, waiters)
}

// alone reports whether the test has the process to itself. If not, it is run in another one: what other tests have left
// behind goes away at any time.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv("MEASURE_ALONE") != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "MEASURE_ALONE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, " bytes for each of ") {
			t.Log(strings.TrimSpace(line))
		}
	}
	return false
}

func footprint() uint64 {
	for range 5 { // stacks shrink by half each time
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// rawAgent is a client that is nothing but a connection.
type rawAgent struct{ net.Conn }

func (a *rawAgent) leave() { _ = a.Close() }

func (r *rig) dial() *rawAgent {
	r.t.Helper()
	u, err := url.Parse(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		r.t.Fatal(err)
	}
	return &rawAgent{conn}
}

// rawWait has a new agent wait for an event.
func (r *rig) rawWait(version string) *rawAgent {
	r.t.Helper()
	a := r.dial()
	meta, headers := "", ""
	if version == withSessions {
		a.post(r.t, strings.Replace(initialize, "2025-06-18", version, 1), "")
		res, err := http.ReadResponse(bufio.NewReaderSize(a, 16), nil)
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			r.t.Fatal(err)
		}
		headers = fmt.Sprintf("Mcp-Session-Id: %s\r\nMcp-Protocol-Version: %s\r\n", res.Header.Get("Mcp-Session-Id"), version)
	} else {
		meta = `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}}`
		headers = "Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: wait_for_event\r\n"
	}
	a.post(r.t, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"wait_for_event","arguments":{"timeout_s":50}`+meta+`}}`, headers)
	return a
}

func (a *rawAgent) post(t testing.TB, body, headers string) {
	t.Helper()
	_, err := fmt.Fprintf(a, "POST /mcp HTTP/1.1\r\nHost: %s\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
		a.RemoteAddr(), len(body), headers, body)
	if err != nil {
		t.Fatal(err)
	}
}
