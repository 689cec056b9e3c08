package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/adapters/httpapi"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/docs"
	"github.com/matric/matric-events/domain"
)

// onlyReady is the interface with nothing but a check of readiness.
func onlyReady(check func(context.Context) error, faults *atomic.Int64) *rig {
	return &rig{handler: httpapi.New(httpapi.Services{Ready: check}, httpapi.Options{Fault: func(*http.Request, error) { faults.Add(1) }})}
}

func TestReady(t *testing.T) {
	for _, tc := range []struct {
		why    string
		err    error
		status int
		want   object
	}{
		{"ready", nil, 200, object{"status": "ready"}},
		{"the store fails", fmt.Errorf("store: %w", errSecret), 503, object{"status": "not ready", "failed": "store"}},
		{"the hub fails", fmt.Errorf("hub: no canary: %w", context.DeadlineExceeded), 503, object{"status": "not ready", "failed": "hub"}},
		{"no part is named", errSecret, 503, object{"status": "not ready", "failed": "unknown"}},
		{"what is before the colon is no name", errors.New("dial 10.0.0.1: refused"), 503, object{"status": "not ready", "failed": "unknown"}},
	} {
		t.Run(tc.why, func(t *testing.T) {
			var faults atomic.Int64
			r := onlyReady(func(context.Context) error { return tc.err }, &faults)
			for range 3 { // the result stands for a second
				var got object
				r.call(t, "GET", "/readyz", "", tc.status, &got)
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			if n := faults.Load(); n > 1 || (n == 1) != (tc.err != nil) {
				t.Errorf("told %d faults", n)
			}
		})
	}
}

func TestReadyIsSharedAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks, faults atomic.Int64
		var hang atomic.Bool
		r := onlyReady(func(ctx context.Context) error {
			checks.Add(1)
			if hang.Load() {
				<-ctx.Done()
				return fmt.Errorf("store: %w", ctx.Err())
			}
			time.Sleep(100 * time.Millisecond)
			return nil
		}, &faults)
		ask := func(status int) {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if w := r.send(request("GET", "/readyz", "")); w.Code != status {
						t.Errorf("readyz = %d, want %d", w.Code, status)
					}
				})
			}
			all.Wait()
		}
		ask(http.StatusOK)
		if checks.Load() != 1 {
			t.Errorf("%d checks for 20 callers at once", checks.Load())
		}
		time.Sleep(time.Second + time.Millisecond)
		hang.Store(true)
		ask(http.StatusServiceUnavailable) // though the store never answers
		if checks.Load() != 2 || faults.Load() != 1 {
			t.Errorf("%d checks, %d faults; want one more, told once", checks.Load(), faults.Load())
		}
	})
}

// A server that only a new start helps says so, with the part at fault, to those who start it anew; the words are for the log.
func TestWedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes, so the result stands
		var r rig
		r.handler = httpapi.New(httpapi.Services{
			Ready: func(context.Context) error { return nil },
			Live:  func(context.Context) error { return errors.New("log: no event came through for 30s") },
		}, httpapi.Options{Fault: r.fault})
		for range 2 {
			var got map[string]string
			r.call(t, "GET", "/livez", "", http.StatusServiceUnavailable, &got)
			if diff := cmp.Diff(map[string]string{"status": "wedged", "failed": "log"}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		if told := r.told(); len(told) != 1 || told[0].Error() != "wedged: log: no event came through for 30s" {
			t.Errorf("told %v; want it once", told)
		}
	})
}

func TestSystem(t *testing.T) {
	r := open(t, nil)
	var got map[string]string
	r.call(t, "GET", "/livez", "", http.StatusOK, &got)
	if got["status"] != "ok" {
		t.Errorf("livez: %v", got)
	}
	r.call(t, "GET", "/version", "", http.StatusOK, &got)
	if got["version"] != "1.2.3" || got["commit"] != "abc" || got["name"] != "matric-events" || !strings.HasPrefix(got["go"], "go") {
		t.Errorf("version: %v", got)
	}
	var index struct {
		Name, Try string
		Endpoints map[string]string
	}
	r.call(t, "GET", "/", "", http.StatusOK, &index)
	if !strings.Contains(index.Try, "http://example.com/api/v1/events") {
		t.Errorf("try: %s", index.Try)
	}
	for name, path := range index.Endpoints {
		if w := r.send(request("OPTIONS", path, "")); w.Code != http.StatusNoContent {
			t.Errorf("the index lists %s at %s, where there is nothing", name, path)
		}
	}
	if index.Endpoints["notes"] != notesPath || index.Endpoints["jobs"] != jobsPath {
		t.Errorf("the index lists %v", index.Endpoints)
	}
	for path, want := range map[string][]byte{"/openapi.yaml": docs.OpenAPI, "/asyncapi.yaml": docs.AsyncAPI} {
		w := r.call(t, "GET", path, "", http.StatusOK, nil)
		if w.Body.String() != string(want) || w.Header().Get("Content-Type") != "application/yaml" {
			t.Errorf("%s: %d bytes as %s", path, w.Body.Len(), w.Header().Get("Content-Type"))
		}
	}
	for path, want := range map[string]string{"/metrics": "metrics", "/api/v1/ws": "ws", "/api/v1/events": "sse", "/api/v1/events/poll": "poll"} {
		if got := r.call(t, "GET", path, "", http.StatusOK, nil).Body.String(); got != want {
			t.Errorf("%s leads to %s", path, got)
		}
	}
}

// member is a connection.
type member struct {
	domain.Connection
	closed []app.CloseReason
}

func (m *member) Describe() domain.Connection  { return m.Connection }
func (m *member) Announce(time.Duration)       {}
func (m *member) Close(reason app.CloseReason) { m.closed = append(m.closed, reason) }

func TestConnectionsAreSelectedAndSorted(t *testing.T) {
	r := open(t, nil)
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for n, c := range []domain.Connection{
		{Transport: "sse", Lag: 1, Delivered: 9},
		{Transport: "websocket", User: "ada", Lag: 3, Delivered: 7},
		{Transport: "sse", User: "ada", Lag: 2, Delivered: 8},
		{Transport: "poll", Lag: 3},
		{Transport: "mcp", User: "bob"},
	} {
		c.ID, c.Since = domain.UUID{6: 0x70, 15: byte(n)}, noon.Add(time.Duration(n)*time.Second)
		place, err := r.registry.Admit(c.Transport, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		place.Occupy(&member{Connection: c})
	}
	for query, want := range map[string]string{
		"": "01234", "?sort=since": "01234", "?sort=lag": "13204", "?sort=delivered": "02134", "?sort=lag&limit=2": "13", "?limit=9": "01234",
		"?transport=sse": "02", "?transport=mcp": "4", "?transport=sse&sort=lag&limit=1": "2", "?user=ada": "12", "?user=": "03", "?user=eve": "",
	} {
		var list []struct{ ID string }
		r.call(t, "GET", "/api/v1/connections"+query, "", http.StatusOK, &list)
		got := ""
		for _, c := range list {
			got += c.ID[len(c.ID)-1:]
		}
		if got != want {
			t.Errorf("%s: %s; want %s", query, got, want)
		}
	}
}

func TestConnections(t *testing.T) {
	r := open(t, nil)
	if w := r.call(t, "GET", "/api/v1/connections", "", http.StatusOK, nil); strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("no connections are %s", w.Body)
	}
	since := time.Date(2026, 11, 23, 13, 41, 48, 123e6, time.FixedZone("", 3600))
	job := newID()
	members := []*member{
		{Connection: domain.Connection{ID: newID(), Transport: "sse", Remote: "[::1]:9", User: "ann", Since: since, Delivered: 3, Lag: 2, Filter: domain.Filter{
			Types: domain.Set(domain.TypeJobQueued), Jobs: []domain.UUID{job},
		}}},
		{Connection: domain.Connection{ID: newID(), Transport: "websocket", Remote: "127.0.0.1:9", Since: since.Add(time.Second)}},
	}
	for _, m := range members {
		place, err := r.registry.Admit(m.Transport, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		place.Occupy(m)
		defer place.Leave("test")
	}
	var got []object
	r.call(t, "GET", "/api/v1/connections", "", http.StatusOK, &got)
	want := []object{
		{
			"id": members[0].ID.String(), "transport": "sse", "remote": "[::1]:9", "user": "ann", "since": "2026-11-23T12:41:48.123Z",
			"filter": object{"types": []any{"JobQueued"}, "job_ids": []any{job.String()}}, "delivered": 3.0, "lag": 2.0,
		},
		{
			"id": members[1].ID.String(), "transport": "websocket", "remote": "127.0.0.1:9", "since": "2026-11-23T12:41:49.123Z",
			"filter": object{}, "delivered": 0.0, "lag": 0.0,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("connections (-want +got):\n%s", diff)
	}
	r.call(t, "DELETE", "/api/v1/connections/"+members[1].ID.String(), "", http.StatusNoContent, nil)
	if len(members[0].closed) != 0 || len(members[1].closed) != 1 || members[1].closed[0] != app.CloseKicked {
		t.Errorf("closed %v and %v", members[0].closed, members[1].closed)
	}
}
