package mcp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// everyWay runs a test on revisions with and without sessions, on HTTP/1.1, where calls are held, and on HTTP/2, where they
// wait in place.
func everyWay(t *testing.T, f func(t *testing.T, version string, s setup)) {
	onBoth(t, func(t *testing.T, version string) {
		t.Run("HTTP1", func(t *testing.T) { f(t, version, setup{}) })
		t.Run("HTTP2", func(t *testing.T) { f(t, version, setup{http2: true}) })
	})
}

// onBoth runs a test on revisions with and without sessions.
func onBoth(t *testing.T, f func(t *testing.T, version string)) {
	for _, version := range []string{withSessions, withoutSessions} {
		t.Run(version, func(t *testing.T) { f(t, version) })
	}
}

// waiting calls wait_for_event in the background, and returns once the server lists it.
func (r *rig) waiting(ctx context.Context, session *sdk.ClientSession, arguments object) (<-chan *sdk.CallToolResult, domain.Connection) {
	r.t.Helper()
	answer := make(chan *sdk.CallToolResult, 1)
	go func() {
		result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: "wait_for_event", Arguments: arguments})
		if err != nil && ctx.Err() == nil {
			r.t.Errorf("wait_for_event: %v", err)
		}
		answer <- result
	}()
	return answer, await(r.t, "waiting call", r.watcher.opened)
}

func TestWait(t *testing.T) {
	everyWay(t, func(t *testing.T, version string, s setup) {
		r := newRig(t, s)
		session := r.connect(version, "", nil)
		mine, other := newID(), newID()
		start := call[page](t, session, "poll_events", nil)
		first := r.progress(mine, 1)
		r.progress(other, 2)

		// What has happened since the cursor is answered at once.
		got := call[page](t, session, "wait_for_event", object{"cursor": start.Cursor, "job_id": mine.String()})
		if len(got.Events) != 1 || got.Events[0].EventID != first.String() || got.Truncated || got.HasMore {
			t.Fatalf("got %+v", got)
		}
		// What happens later is waited for, and what others do does not end the wait.
		answer, about := r.waiting(t.Context(), session, object{"cursor": got.Cursor, "job_id": mine.String(), "types": []string{"job.progress"}})
		if about.Transport != "mcp" || len(about.Filter.Jobs) != 1 || !about.Filter.Types.Has(domain.TypeJobProgress) || !strings.HasPrefix(about.Remote, "127.0.0.1:") {
			t.Errorf("listed as %+v", about)
		}
		r.progress(other, 3)
		want := r.progress(mine, 4)
		if got := text(await(t, "answer", answer)); !strings.Contains(got, want.String()) || strings.Contains(got, other.String()) {
			t.Errorf("got %s", got)
		}
	})
}

// TestWaitEnds wants a wait to end with its time, at a cursor that nobody knows, and when an operator closes it.
func TestWaitEnds(t *testing.T) {
	everyWay(t, func(t *testing.T, version string, s setup) {
		r := newRig(t, s)
		session := r.connect(version, "", nil)
		got := call[page](t, session, "wait_for_event", object{"timeout_s": 0})
		if len(got.Events) != 0 || got.Cursor == "" {
			t.Errorf("after its time: %+v", got)
		}
		id := r.progress(newID(), 1)
		got = call[page](t, session, "wait_for_event", object{"cursor": newID().String()})
		if !got.Truncated || len(got.Events) != 1 || got.Cursor != id.String() {
			t.Errorf("at nobody's cursor: %+v", got)
		}
		answer, _ := r.waiting(t.Context(), session, object{"timeout_s": 1})
		if got := text(await(t, "answer", answer)); !strings.Contains(got, `"events":[],"cursor":"`+id.String()) {
			t.Errorf("after a second: %s", got)
		}
		answer, about := r.waiting(t.Context(), session, nil)
		if err := r.registry.Kick(about.ID); err != nil {
			t.Fatal(err)
		}
		if got := text(await(t, "answer", answer)); !strings.Contains(got, `"events":[],"cursor":"`+id.String()) {
			t.Errorf("closed: %s", got)
		}
	})
}

// TestClientGone wants a wait to end when its client has gone.
func TestClientGone(t *testing.T) {
	everyWay(t, func(t *testing.T, version string, s setup) {
		r := newRig(t, s)
		session := r.connect(version, "", nil)
		ctx, cancel := context.WithCancel(t.Context())
		_, about := r.waiting(ctx, session, object{"timeout_s": 50})
		cancel()
		for about.ID != await(t, "end of the wait", r.watcher.closed).ID {
			continue
		}
	})
}

// TestClientGoneBeforeTheWait has the SDK give a request up while its tool is still on the way to waiting: nothing may be left of
// a call that nobody is there to hold.
func TestClientGoneBeforeTheWait(t *testing.T) {
	over := make(chan struct{}, 16)
	r := newRig(t, setup{around: func(agents http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			defer func() { over <- struct{}{} }()
			agents.ServeHTTP(w, req)
		})
	}})
	r.watcher.opened = make(chan domain.Connection) // which holds the tool up until we look
	session := r.connect(withSessions, "", nil)
	for range 2 { // initialize and what follows
		await(t, "end of a request", over)
	}
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/mcp"))
	if err != nil {
		t.Fatal(err)
	}
	body := `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"wait_for_event"}}`
	if _, err := fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"+
		"Mcp-Session-Id: %s\r\nContent-Length: %d\r\n\r\n%s", session.ID(), len(body), body); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	await(t, "end of the request", over)
	await(t, "waiting call", r.watcher.opened)
	await(t, "end of the waiting call", r.watcher.closed)
}

func TestWaitIsLimited(t *testing.T) {
	r := newRig(t, setup{limits: app.Limits{Connections: 1}})
	session := r.connect(withoutSessions, "", nil)
	answer, about := r.waiting(t.Context(), session, nil)
	result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "wait_for_event"})
	if err != nil || !result.IsError || text(result) != "too many connections (limit connections); try again soon; wait 5s before that" {
		t.Errorf("a second wait: %+v, %v", result, err)
	}
	if err := errors.Join(r.registry.Kick(about.ID)); err != nil {
		t.Error(err)
	}
	await(t, "answer", answer)
}

// TestPages reads a log part by part.
func TestPages(t *testing.T) {
	r := newRig(t, setup{})
	session := r.connect(withoutSessions, "", nil)
	cursor, job := call[page](t, session, "poll_events", nil).Cursor, newID()
	for i := range 5 {
		r.progress(job, i)
	}
	var got []string
	for more := true; more; {
		p := call[page](t, session, "poll_events", object{"cursor": cursor, "limit": 2})
		for _, e := range p.Events {
			got = append(got, fmt.Sprint(e.Progress))
		}
		cursor, more = p.Cursor, p.HasMore
	}
	if strings.Join(got, " ") != "0 1 2 3 4" {
		t.Errorf("got %v", got)
	}
	p := call[page](t, session, "list_recent_events", object{"limit": 2})
	if p.types() != "JobProgress JobProgress" || p.Events[0].Progress != 3 || !p.HasMore || p.Cursor != cursor {
		t.Errorf("recent: %+v", p)
	}
}

// TestProgress wants a client that asks for it to be told that it still waits, and the answer after that.
func TestProgress(t *testing.T) {
	everyWay(t, func(t *testing.T, version string, s setup) {
		s.options.ProgressEvery = 10 * time.Millisecond
		r := newRig(t, s)
		told := make(chan *sdk.ProgressNotificationParams, 4096)
		session := r.connect(version, "", &sdk.ClientOptions{
			ProgressNotificationHandler: func(_ context.Context, req *sdk.ProgressNotificationClientRequest) { told <- req.Params },
		})
		params := &sdk.CallToolParams{Name: "wait_for_event", Arguments: object{"types": []string{"note"}, "timeout_s": 20}}
		params.SetProgressToken("token")
		answer := make(chan *sdk.CallToolResult, 1)
		go func() {
			result, err := session.CallTool(t.Context(), params)
			if err != nil {
				t.Errorf("wait_for_event: %v", err)
			}
			answer <- result
		}()
		first, second := await(t, "progress", told), await(t, "progress", told)
		if first.ProgressToken != "token" || first.Total != 20 || first.Progress != 0.01 || second.Progress <= first.Progress ||
			first.Message != "no matching event yet; waiting for another 20 s" {
			t.Errorf("told %+v, then %+v", first, second)
		}
		id := newID()
		if err := r.log.Publish(t.Context(), domain.Event{ID: id, Payload: domain.NoteUpdated{NoteID: newID(), Operation: domain.Created}}); err != nil {
			t.Fatal(err)
		}
		if result := await(t, "answer", answer); result == nil || !strings.Contains(text(result), id.String()) {
			t.Errorf("answer %+v", result)
		}
	})
}

// TestOvertaken wants a wait that the log has overtaken to be told so at once: it cannot know what it has missed.
func TestOvertaken(t *testing.T) {
	everyWay(t, func(t *testing.T, version string, s setup) {
		s.capacity = 8
		r := newRig(t, s)
		session := r.connect(version, "", nil)
		answer, _ := r.waiting(t.Context(), session, object{"types": []string{"note"}, "timeout_s": 50})
		// However fast the reader of held calls is: it cannot be as fast as every one of these.
		for job := newID(); len(answer) == 0 && !t.Failed(); {
			for range 1000 {
				r.progress(job, 1)
			}
		}
		if got := text(await(t, "answer", answer)); !strings.Contains(got, `"truncated":true`) {
			t.Errorf("got %s", got)
		}
	})
}
