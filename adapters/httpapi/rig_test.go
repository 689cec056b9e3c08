package httpapi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/matric/matric-events/adapters/httpapi"
	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/adapters/tokens"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var lastID atomic.Uint64

// newID makes identifiers that are unique within the test binary and rise.
func newID() (u domain.UUID) {
	binary.BigEndian.PutUint64(u[8:], lastID.Add(1))
	u[6], u[8] = 0x70, 0x80
	return u
}

// unknownID is an identifier of nothing.
const unknownID = "01930000-0000-7000-8000-00000000dead"

// quiet is an observer that does not care.
type quiet struct{}

func (quiet) ConnectionOpened(domain.Connection)         {}
func (quiet) ConnectionClosed(domain.Connection, string) {}
func (quiet) Refused(string, string)                     {}
func (quiet) Anomaly(string, error)                      {}

// receiver is a sender whose endpoints answer as told.
type receiver struct {
	status atomic.Int64 // zero blocks until the attempt is cut off
	hits   atomic.Int64
}

func (s *receiver) Send(ctx context.Context, _ webhook.Request) webhook.Outcome {
	s.hits.Add(1)
	o := webhook.Outcome{StartedAt: time.Now(), StatusCode: int(s.status.Load()), Body: "thanks"}
	if o.StatusCode == 0 {
		<-ctx.Done()
		o.Fault, o.Body = webhook.ClassInterrupted, ""
	}
	return o
}

// seen is a request as a handler behind the interface got it.
type seen struct {
	URL, RequestURI, User, Authorization string
}

// rig is the interface on real use cases and stores in memory.
type rig struct {
	handler  http.Handler
	services httpapi.Services
	store    *memory.Store
	hooks    *memory.WebhookStore
	log      *eventlog.Log
	receiver *receiver
	registry *app.Registry

	mu     sync.Mutex // guards all below
	faults []error
	last   seen
}

// open returns a rig whose services and options edit may change.
func open(t testing.TB, edit func(*httpapi.Services, *httpapi.Options)) *rig {
	t.Helper()
	r := &rig{store: memory.New(newID), hooks: memory.NewWebhookStore(), log: eventlog.New(newID(), eventlog.Options{}), receiver: &receiver{}}
	r.receiver.status.Store(http.StatusOK)
	monitor := app.NewQueueMonitor(r.log, newID, quiet{}, 0)
	bridge := app.NewBridge(r.log, newID, monitor, app.BridgeOptions{})
	monitor.Count(bridge)
	queue := r.store.Jobs(memory.JobOptions{})
	monitor.Count(queue)
	r.registry = app.NewRegistry(app.Limits{}, quiet{})
	r.services = httpapi.Services{
		Publisher: bridge, Queue: monitor, Registry: r.registry, Auth: tokenFile(t, "letmein ann\n"),
		Notes: app.NewNotes(r.store.Notes(), newID, nil), Jobs: app.NewJobs(queue, r.store.Notes(), newID, monitor, nil),
		Ready:     func(context.Context) error { return nil },
		WebSocket: r.stream("ws"), Events: r.stream("sse"), Poll: r.stream("poll"), Metrics: r.stream("metrics"),
	}
	r.openWebhooks(t)
	o := httpapi.Options{Version: "1.2.3", Commit: "abc", WebhookRules: webhook.Rules{}, Fault: r.fault}
	if edit != nil {
		edit(&r.services, &o)
	}
	r.handler = httpapi.New(r.services, o)
	return r
}

// openWebhooks runs the delivery to webhooks until the test ends.
func (r *rig) openWebhooks(t testing.TB) {
	t.Helper()
	store := r.hooks
	hooks, err := delivery.Load(t.Context(), store, newID)
	if err != nil {
		t.Fatal(err)
	}
	dispatcher := delivery.NewDispatcher(hooks, store, r.receiver, newID(), quiet{}, delivery.Options{Grace: time.Millisecond})
	recorder := delivery.NewRecorder(r.log, hooks, store, dispatcher, newID, quiet{})
	r.services.Webhooks, r.services.Deliveries = hooks, delivery.NewDesk(hooks, store, dispatcher, newID)
	for _, run := range []func(context.Context) error{dispatcher.Run, recorder.Run} { // ended the other way round
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = run(ctx)
		}()
		t.Cleanup(func() {
			cancel()
			<-ended
		})
	}
}

// stream stands for a handler that is given to the interface; it tells what it got.
func (r *rig) stream(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.last = seen{req.URL.String(), req.RequestURI, web.User(req.Context()), req.Header.Get("Authorization")}
		r.mu.Unlock()
		_, _ = io.WriteString(w, name)
	})
}

func (r *rig) passed() seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *rig) fault(_ *http.Request, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, err)
}

// told returns the faults that the interface has told of.
func (r *rig) told() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.faults
}

func tokenFile(t testing.TB, text string) *tokens.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := tokens.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// request is one call of the interface. A body is JSON unless a header says otherwise.
func request(method, target, body string, header ...string) *http.Request {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, target, reader)
	if method == http.MethodPost || method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
		if header[i] == "Content-Type" {
			req.Header["Content-Type"] = []string{header[i+1]}
		}
	}
	return req
}

// send makes a request.
func (r *rig) send(req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	return w
}

// call makes a request and fails unless it is answered with the status. The JSON of the answer goes to out unless nil.
func (r *rig) call(t testing.TB, method, target, body string, status int, out any) *httptest.ResponseRecorder {
	t.Helper()
	w := r.send(request(method, target, body))
	if w.Code != status {
		t.Fatalf("%s %s = %d, want %d: %s", method, target, w.Code, status, w.Body)
	}
	if out != nil {
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("%s %s: Content-Type %q", method, target, got)
		}
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, target, err, w.Body)
		}
	}
	return w
}

// object is any JSON object.
type object = map[string]any

// create posts a body and returns what was made.
func (r *rig) create(t testing.TB, path, body string) object {
	t.Helper()
	var out object
	w := r.call(t, "POST", path, body, http.StatusCreated, &out)
	if got, want := w.Header().Get("Location"), path+"/"+out["id"].(string); got != want {
		t.Errorf("Location = %q, want %q", got, want)
	}
	return out
}

// problem is a problem document as clients read it.
type problem struct {
	Type, Title, Detail, Error, Field string
	Status                            int
	Index                             *int
}

// mustProblem fails unless the answer is a well-formed problem of the status.
func mustProblem(t testing.TB, w *httptest.ResponseRecorder, status int) problem {
	t.Helper()
	var p problem
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		t.Fatalf("%d %v: %s", w.Code, err, w.Body)
	}
	if w.Code != status || p.Status != status {
		t.Errorf("status %d, in the problem %d, want %d: %s", w.Code, p.Status, status, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type = %q", got)
	}
	if p.Type != "about:blank" || p.Title != http.StatusText(w.Code) || p.Detail == "" || p.Error != p.Detail {
		t.Errorf("problem %+v", p)
	}
	for _, name := range []string{
		"domain.", "httpapi", "Go ", "struct", "int64", "json:", "wire", "*", "uint", "[]string", "sqlstore", "memory:", "delivery:",
	} {
		if strings.Contains(p.Detail, name) {
			t.Errorf("the detail tells of %q: %s", name, p.Detail)
		}
	}
	return p
}

// types returns the types of the events published, in order.
func (r *rig) types() (names []string) {
	entries, _, _ := r.log.Read(0, &domain.Filter{}, make([]domain.Entry, 0, 4096))
	for _, e := range entries {
		names = append(names, e.Type.String())
	}
	return names
}

var errSecret = errors.New("SELECT secret FROM cellar")
