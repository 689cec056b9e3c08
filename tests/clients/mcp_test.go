package clients_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
)

// agent is the stock client of the Model Context Protocol, in a process of its own.
type agent struct {
	t        *testing.T
	commands io.Writer
	answers  chan object
	updated  chan string
}

type object = map[string]any

// newAgent starts a client, connected to a URL or to a command's standard input and output.
func newAgent(t *testing.T, target ...string) *agent {
	t.Helper()
	cmd := node(t, "mcp.mjs", target...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	a := &agent{t, in, make(chan object, 64), make(chan string, 1024)}
	go a.follow(bufio.NewScanner(out))
	if got := a.do("connect"); !strings.Contains(fmt.Sprint(got["instructions"]), "wait_for_event") {
		t.Fatalf("connected: %v", got)
	}
	return a
}

func (a *agent) follow(lines *bufio.Scanner) {
	defer close(a.answers)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o object
		if json.Unmarshal(lines.Bytes(), &o) != nil {
			continue // a warning
		}
		if uri, ok := o["updated"].(string); ok {
			a.updated <- uri
		} else if o["progress"] == nil {
			a.answers <- o
		}
	}
}

// send gives a command, whose answer comes later.
func (a *agent) send(command ...any) {
	a.t.Helper()
	if err := json.NewEncoder(a.commands).Encode(command); err != nil {
		a.t.Fatal(err)
	}
}

// answer returns the next answer.
func (a *agent) answer() object {
	a.t.Helper()
	select {
	case o, ok := <-a.answers:
		if !ok {
			a.t.Fatal("the client has ended")
		}
		return o
	case <-time.After(2 * harness.Patience):
		a.t.Fatal("the client does not answer")
	}
	return nil
}

// do gives a command that must succeed, and returns what it answers.
func (a *agent) do(command ...any) object {
	a.t.Helper()
	a.send(command...)
	return a.good(command)
}

func (a *agent) good(command any) object {
	a.t.Helper()
	return a.goodOf(command, a.answer())
}

func (a *agent) goodOf(command any, o object) object {
	a.t.Helper()
	if o["error"] != nil {
		a.t.Fatalf("%v: %v", command, o["error"])
	}
	switch ok := o["ok"].(type) {
	case object:
		return ok
	case []any:
		return object{"list": ok}
	}
	return nil
}

// tool calls a tool that must succeed.
func (a *agent) tool(name string, arguments object) object {
	a.t.Helper()
	a.send("call", name, arguments)
	return a.result(name)
}

func (a *agent) result(name string) object {
	a.t.Helper()
	return a.resultOf(name, a.answer())
}

func (a *agent) resultOf(name string, o object) object {
	a.t.Helper()
	got := a.goodOf(name, o)
	if got["isError"] == true {
		a.t.Fatalf("%s: %v", name, got["content"])
	}
	return got["structuredContent"].(object)
}

// awaitUpdate waits until the client is told that a resource has changed.
func (a *agent) awaitUpdate(want string) {
	a.t.Helper()
	for {
		select {
		case uri := <-a.updated:
			if uri == want {
				return
			}
		case <-time.After(harness.Patience):
			a.t.Fatalf("not told of %s", want)
		}
	}
}

func events(page object) (list []string) {
	for _, e := range page["events"].([]any) {
		list = append(list, e.(object)["type"].(string))
	}
	return list
}

// TestStockAgent lives the life of an agent over HTTP and over standard input and output: it lists, calls, waits for what
// another process causes, is told of changes, and goes on after a restart of the server.
func TestStockAgent(t *testing.T) {
	for name, target := range map[string]func(t *testing.T, url string) []string{
		"HTTP":  func(_ *testing.T, url string) []string { return []string{url + "/mcp"} },
		"stdio": func(t *testing.T, url string) []string { return []string{harness.Binary(t), "mcp", "--url", url} },
	} {
		t.Run(name, func(t *testing.T) {
			flags := []string{"--database-url", "sqlite:" + filepath.Join(t.TempDir(), "hub.db")}
			s := harness.Serve(t, flags...)
			a := newAgent(t, target(t, s.URL)...)
			if tools := a.do("tools")["list"].([]any); len(tools) != 12 {
				t.Errorf("tools: %v", tools)
			}
			if resources := a.do("resources")["list"].([]any); len(resources) != 3 {
				t.Errorf("resources: %v", resources)
			}
			note := lifeOfANote(t, a, s)
			subscribed(t, a, s, note)
			restarted(t, a, s, flags)
			if name == "stdio" { // what a subprocess stands for outlives the server: it subscribes anew, and says so
				a.awaitUpdate("note://" + note)
			}
		})
	}
}

// lifeOfANote makes a note and waits for the end of its job; then for what another process does.
func lifeOfANote(t *testing.T, a *agent, s *harness.Server) (note string) {
	t.Helper()
	made := a.tool("create_note", object{"title": "Plan", "content": "See [[World]]."})
	note = made["id"].(string)
	got := a.tool("wait_for_event", object{"cursor": made["cursor"], "note_id": note, "types": []string{"JobCompleted"}, "timeout_s": 20})
	if names := events(got); len(names) != 1 || got["truncated"] != false {
		t.Fatalf("the job's end: %v", got)
	}
	if full := a.tool("get_note", object{"id": note}); full["has_links"] != true {
		t.Errorf("the note after its job: %v", full)
	}
	a.send("call", "wait_for_event", object{"types": []string{"note"}, "timeout_s": 50})
	s.AwaitConnections(1)
	for _, c := range s.List("/api/v1/connections") {
		if c["transport"] != "mcp" {
			t.Errorf("connection %v", c)
		}
	}
	stdout, stderr, code := harness.Run(t, "emit", "--url", s.URL, "note-updated", "--note-id", note, "--operation", "updated", "--title", "By another")
	if code != 0 {
		t.Fatalf("emit: %s%s", stdout, stderr)
	}
	if e := a.result("wait_for_event")["events"].([]any); len(e) == 0 || e[0].(object)["title"] != "By another" {
		t.Errorf("another process's event: %v", e)
	}
	a.send("call", "wait_for_event", object{"timeout_s": 51})
	if got := a.good("wait_for_event"); got["isError"] != true || !strings.Contains(fmt.Sprint(got["content"]), "timeout_s: must be a whole number from 0 to 50") {
		t.Errorf("a timeout that is too long: %v", got)
	}
	return note
}

// subscribed wants the client to be told of a note that another process changes.
func subscribed(t *testing.T, a *agent, s *harness.Server, note string) {
	t.Helper()
	a.do("subscribe", "note://"+note)
	s.AwaitConnections(1) // its stream
	s.Call(200, "PATCH", "/api/v1/notes/"+note, `{"title":"Changed"}`)
	a.awaitUpdate("note://" + note)
	for len(a.updated) > 0 {
		<-a.updated
	}
	if got := fmt.Sprint(a.do("read", "note://"+note)); !strings.Contains(got, "Changed") {
		t.Errorf("the note: %s", got)
	}
}

// restarted restarts the server at the same address, and goes on from the cursor of before.
func restarted(t *testing.T, a *agent, s *harness.Server, flags []string) {
	t.Helper()
	before := a.tool("poll_events", object{})["cursor"]
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	again := harness.Serve(t, append(flags, "--listen", strings.TrimPrefix(s.URL, "http://"))...)
	again.Call(202, "POST", "/api/v1/worker-events", `{"type":"WorkerStarted"}`)
	wait := []any{"call", "wait_for_event", object{"cursor": before, "timeout_s": 20}}
	a.send(wait...)
	o := a.answer()
	if o["error"] != nil { // a session of before the restart: clients open another
		a.do("connect")
		a.send(wait...)
		o = a.answer()
	}
	if got := a.resultOf("wait_for_event", o); got["truncated"] != true {
		t.Errorf("after the restart: %v", got)
	}
}

// TestInspector has the command line of the MCP Inspector look at the server.
func TestInspector(t *testing.T) {
	s := harness.Serve(t)
	inspect := func(args ...string) string {
		t.Helper()
		cmd := node(t, "index.js", append([]string{s.URL + "/mcp"}, args...)...)
		cmd.Dir = "node_modules/@modelcontextprotocol/inspector-cli/build" // where it looks for its own version
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return string(out)
	}
	if got := inspect("--method", "tools/list"); strings.Count(got, `"inputSchema"`) != 12 {
		t.Errorf("tools: %s", got)
	}
	if got := inspect("--method", "tools/call", "--tool-name", "create_note", "--tool-arg", "title=Hello"); !strings.Contains(got, `"title": "Hello"`) {
		t.Errorf("create_note: %s", got)
	}
	if got := inspect("--method", "resources/read", "--uri", "event://recent"); !strings.Contains(got, "NoteUpdated") {
		t.Errorf("event://recent: %s", got)
	}
	if got := inspect("--method", "resources/templates/list"); !strings.Contains(got, "job://{id}") || !strings.Contains(got, "note://{id}") {
		t.Errorf("templates: %s", got)
	}
}
