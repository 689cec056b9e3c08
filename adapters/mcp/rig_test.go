package mcp_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/matric/matric-events/adapters/httpapi"
	"github.com/matric/matric-events/adapters/mcp"
	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/adapters/tokens"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take before the test has failed; it is never waited for when all is well.
const patience = 20 * time.Second

// Protocol revisions: the newest with sessions, and the first without.
const (
	withSessions    = "2025-11-25"
	withoutSessions = "2026-07-28"
)

var lastID atomic.Uint64

func newID() (u domain.UUID) {
	binary.BigEndian.PutUint64(u[8:], lastID.Add(1))
	u[6], u[8] = 0x70, 0x80
	return u
}

// watcher tells a test of connections that open and close.
type watcher struct{ opened, closed chan domain.Connection }

func (w *watcher) ConnectionOpened(c domain.Connection)           { w.opened <- c }
func (w *watcher) ConnectionClosed(c domain.Connection, _ string) { w.closed <- c }
func (w *watcher) Refused(string, string)                         {}
func (w *watcher) Anomaly(string, error)                          {}

// deaf is a sender whose endpoints are gone.
type deaf struct{}

func (deaf) Send(context.Context, webhook.Request) webhook.Outcome {
	return webhook.Outcome{StartedAt: time.Now(), StatusCode: http.StatusGone, Body: "secret answer"}
}

// setup is what a rig may be told.
type setup struct {
	noHost   bool
	limits   app.Limits
	options  mcp.Options
	auth     bool
	require  bool
	capacity int
	http2    bool // for clients that know beforehand
	around   func(agents http.Handler) http.Handler
}

// rig is the whole interface on stores in memory, behind a real HTTP server.
type rig struct {
	t         testing.TB
	url       string
	log       *eventlog.Log
	store     *memory.Store
	registry  *app.Registry
	hooks     *delivery.Webhooks
	dead      *deadLog
	watcher   *watcher
	transport *http.Transport // of clients

	mu     sync.Mutex // guards faults
	faults []error
}

func newRig(t testing.TB, s setup) *rig {
	t.Helper()
	r := &rig{
		t: t, log: eventlog.New(newID(), eventlog.Options{Capacity: s.capacity}), store: memory.New(newID),
		watcher: &watcher{make(chan domain.Connection, 4096), make(chan domain.Connection, 4096)},
	}
	r.registry = app.NewRegistry(s.limits, r.watcher)
	monitor := app.NewQueueMonitor(r.log, newID, r.watcher, 0)
	bridge := app.NewBridge(r.log, newID, monitor, app.BridgeOptions{})
	queue := r.store.Jobs(memory.JobOptions{})
	monitor.Count(queue)
	r.run(app.NewDrain(r.store.Outbox(), bridge, r.watcher, nil).Run)
	deliveries := r.openWebhooks()
	services := mcp.Services{Feed: r.log, Registry: r.registry, Queue: monitor, Webhooks: r.hooks, Deliveries: deliveries}
	if !s.noHost {
		services.Notes = app.NewNotes(r.store.Notes(), newID, nil)
		services.Jobs = app.NewJobs(queue, r.store.Notes(), newID, monitor, nil)
	}
	s.options.NewID, s.options.Version = newID, "1.2.3"
	s.options.Fault = func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.faults = append(r.faults, err)
	}
	agents := mcp.New(services, s.options)
	r.run(agents.Run)
	if s.around == nil {
		s.around = func(agents http.Handler) http.Handler { return agents }
	}
	r.serve(s, s.around(agents), monitor)
	return r
}

func (r *rig) serve(s setup, agents http.Handler, monitor *app.QueueMonitor) {
	options := httpapi.Options{RequireAuth: s.require, Fault: func(_ *http.Request, err error) { r.t.Error(err) }}
	services := httpapi.Services{Registry: r.registry, Queue: monitor, MCP: agents}
	if s.auth {
		path := filepath.Join(r.t.TempDir(), "tokens")
		if err := os.WriteFile(path, []byte("for-ana ana\nfor-bob bob\n"), 0o600); err != nil {
			r.t.Fatal(err)
		}
		set, err := tokens.Open(path)
		if err != nil {
			r.t.Fatal(err)
		}
		services.Auth = set
	}
	server := httptest.NewUnstartedServer(httpapi.New(services, options))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	r.url, r.transport = server.URL+"/mcp", new(http.Transport)
	if s.http2 {
		r.transport.Protocols = new(http.Protocols)
		r.transport.Protocols.SetUnencryptedHTTP2(true)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.registry.Drain(ctx); err != nil {
			r.t.Errorf("connections that did not end: %v", err)
		}
		server.Close()
	})
}

func (r *rig) openWebhooks() *delivery.Desk {
	store := memory.NewWebhookStore()
	hooks, err := delivery.Load(r.t.Context(), store, newID)
	if err != nil {
		r.t.Fatal(err)
	}
	r.hooks, r.dead = hooks, &deadLog{WebhookStore: store}
	dispatcher := delivery.NewDispatcher(hooks, store, deaf{}, newID(), r.watcher, delivery.Options{Grace: time.Millisecond})
	r.run(dispatcher.Run)
	r.run(delivery.NewRecorder(r.log, hooks, store, dispatcher, newID, r.watcher).Run)
	return delivery.NewDesk(hooks, r.dead, dispatcher, newID)
}

// deadLog calls listing, if there is one, before each list.
type deadLog struct {
	*memory.WebhookStore
	listing func(q webhook.Query)
}

func (l *deadLog) Deliveries(ctx context.Context, q webhook.Query) ([]webhook.Delivery, bool, error) {
	if l.listing != nil {
		l.listing(q)
	}
	return l.WebhookStore.Deliveries(ctx, q)
}

// run runs a part until the test ends; those begun last end first.
func (r *rig) run(part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("a part failed: %v", err)
		}
	})
}

// await receives, or fails the test.
func await[T any](t testing.TB, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
	}
	return v
}

// bearer sends a token with each request.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	if b.token != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(req)
}

// connect opens a client of a protocol revision.
func (r *rig) connect(version, token string, o *sdk.ClientOptions) *sdk.ClientSession {
	r.t.Helper()
	client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, o)
	session, err := client.Connect(r.t.Context(), &sdk.StreamableClientTransport{
		Endpoint: r.url, HTTPClient: &http.Client{Transport: bearer{token, r.transport}}, DisableStandaloneSSE: o == nil,
	}, &sdk.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		r.t.Fatal(err)
	}
	if got := session.InitializeResult(); got.ProtocolVersion != version && version == withSessions {
		r.t.Fatalf("the server speaks %s", got.ProtocolVersion)
	}
	r.t.Cleanup(func() {
		_ = session.Close()
		r.transport.CloseIdleConnections()
	})
	return session
}

type object = map[string]any

// call calls a tool that must succeed, and reads its result.
func call[Out any](t testing.TB, session *sdk.ClientSession, name string, arguments any) (out Out) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s %v: %v", name, arguments, err)
	}
	if result.IsError {
		t.Fatalf("%s %v: %s", name, arguments, text(result))
	}
	if err := json.Unmarshal([]byte(text(result)), &out); err != nil {
		t.Fatalf("%s: %v in %s", name, err, text(result))
	}
	return out
}

func text(result *sdk.CallToolResult) string {
	if len(result.Content) != 1 {
		return ""
	}
	return result.Content[0].(*sdk.TextContent).Text
}

// page is an answer of the tools for events.
type page struct {
	Events []struct {
		Type     string
		EventID  string `json:"event_id"`
		JobID    string `json:"job_id"`
		NoteID   string `json:"note_id"`
		Progress int
	}
	Cursor    string
	Truncated bool
	HasMore   bool `json:"has_more"`
}

func (p page) types() string {
	var names []string
	for _, e := range p.Events {
		names = append(names, e.Type)
	}
	return strings.Join(names, " ")
}

// progress publishes that a job is on its way, and returns the event's identifier.
func (r *rig) progress(job domain.UUID, percent int) domain.UUID {
	r.t.Helper()
	e := domain.Event{ID: newID(), OccurredAt: time.Now(), Payload: domain.JobProgress{JobRef: domain.JobRef{JobID: job}, Percent: percent}}
	if err := r.log.Publish(context.Background(), e); err != nil {
		r.t.Fatal(err)
	}
	return e.ID
}
