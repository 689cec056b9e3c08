package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// patience is how long tests wait for what must happen. It is never used up by a test that passes.
const patience = 20 * time.Second

var (
	origin = domain.UUID{0: 0xFF, 15: 0xFF}
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

// setup says how a rig differs from the defaults.
type setup struct {
	log     eventlog.Options
	limits  app.Limits
	options Options
	tls     bool // with HTTP/2
	wrap    func(http.Handler) http.Handler
	feed    func(*eventlog.Log) Log
	newID   func(r *rig, otherwise func() domain.UUID) domain.UUID // called for each new connection
}

// rig is an engine on a real server. It ends with its test, which fails if anything is left over.
type rig struct {
	t        testing.TB
	log      *eventlog.Log
	registry *app.Registry
	counts   *counts
	watcher  *watcher
	engine   *Engine
	server   *httptest.Server
	stop     func() // the engine; returns when Run has
}

func newRig(t testing.TB, s setup) *rig {
	t.Helper()
	r := &rig{t: t, log: eventlog.New(origin, s.log), counts: &counts{}, watcher: newWatcher()}
	r.registry = app.NewRegistry(s.limits, r.watcher)
	s.options.NewID = numbered()
	s.options.Goroutines = s.options.Goroutines || onGoroutines(t)
	if s.newID != nil {
		otherwise := s.options.NewID
		s.options.NewID = func() domain.UUID { return s.newID(r, otherwise) }
	}
	feed := Log(r.log)
	if s.feed != nil {
		feed = s.feed(r.log)
	}
	r.engine = New(feed, r.registry, r.counts, s.options)
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", r.engine.ServeWebSocket)
	mux.HandleFunc("/events", r.engine.ServeEvents)
	mux.HandleFunc("/poll", r.engine.ServePoll)
	handler := http.Handler(mux)
	if s.wrap != nil {
		handler = s.wrap(handler)
	}
	r.server = httptest.NewUnstartedServer(handler)
	r.server.Listener = smallBuffers{r.server.Listener}
	if s.wrap == nil && !s.tls && !behindServer(t) {
		r.server.Listener = r.engine.Listen(r.server.Listener, Paths{"/ws", "/events"})
	}
	if s.tls {
		r.server.EnableHTTP2 = true
		r.server.StartTLS()
	} else {
		r.server.Config.Protocols = new(http.Protocols)
		r.server.Config.Protocols.SetHTTP1(true)
		r.server.Config.Protocols.SetUnencryptedHTTP2(true)
		r.server.Start()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.engine.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		r.stop()
		r.server.CloseClientConnections()
		r.server.Close()
		r.mustBeEmpty()
	})
	return r
}

// mustBeEmpty fails unless every connection has given its place back, once.
func (r *rig) mustBeEmpty() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.registry.Drain(ctx); err != nil {
		r.t.Errorf("places are still taken: %v", err)
	}
	r.watcher.mu.Lock()
	defer r.watcher.mu.Unlock()
	for id, n := range r.watcher.open {
		if n != 0 {
			r.t.Errorf("connection %s: opened and closed differ by %d", id, n)
		}
	}
}

// numbered returns identifiers that count up.
func numbered() func() domain.UUID {
	var n atomic.Int64
	return func() domain.UUID { return id(1_000_000 + int(n.Add(1))) }
}

// id returns the identifier numbered n, which is not zero for any n from 0.
func id(n int) domain.UUID {
	var u domain.UUID
	binary.BigEndian.PutUint64(u[8:], uint64(n)+1)
	return u
}

// smallBuffers makes server sockets whose buffers are soon full.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(16 << 10)
	}
	return nc, err
}

// counts is a Snapshots that counts its calls in Pending, so that each snapshot is another one.
type counts struct {
	calls atomic.Int64
	hold  atomic.Pointer[chan struct{}] // when set, snapshots wait until it is closed
}

func (c *counts) Snapshot(ctx context.Context) (domain.Event, error) {
	e := domain.Event{OccurredAt: noon, Payload: domain.QueueStatus{Running: 1, Pending: int(c.calls.Add(1))}}
	if hold := c.hold.Load(); hold != nil {
		select {
		case <-*hold:
		case <-ctx.Done():
			return e, ctx.Err()
		}
	}
	return e, nil
}

// watcher is an Observer that lets tests wait for connections to open and close.
type watcher struct {
	opened  chan domain.Connection
	closed  chan string // the reasons
	refused chan string

	mu   sync.Mutex // guards open
	open map[domain.UUID]int
}

func newWatcher() *watcher {
	return &watcher{
		opened: make(chan domain.Connection, 4096), closed: make(chan string, 4096), refused: make(chan string, 4096),
		open: map[domain.UUID]int{},
	}
}

func (w *watcher) count(c domain.Connection, by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[c.ID] += by
}

func (w *watcher) ConnectionOpened(c domain.Connection) { w.count(c, 1); w.opened <- c }
func (w *watcher) ConnectionClosed(c domain.Connection, why string) {
	w.count(c, -1)
	w.closed <- why
}
func (w *watcher) Refused(_, reason string)     { w.refused <- reason }
func (w *watcher) Anomaly(kind string, _ error) { panic("anomaly " + kind) }

// await returns what comes from the channel.
func await[T any](t testing.TB, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatalf("%s: nothing came", what)
	}
	return v
}

// mustClose waits for a connection to end and fails unless the reason starts so.
func (r *rig) mustClose(reason string) {
	r.t.Helper()
	if got := await(r.t, "connection closed", r.watcher.closed); !strings.HasPrefix(got, reason) {
		r.t.Errorf("connection closed because of %q, want %q", got, reason)
	}
}

func (r *rig) publish(events ...domain.Event) {
	r.t.Helper()
	if err := r.log.Publish(context.Background(), events...); err != nil {
		r.t.Fatal(err)
	}
}

// dial returns a connection to the server with a deadline.
func (r *rig) dial() *net.TCPConn {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc.(*net.TCPConn)
}

// The events of the tests are known by number: n is the identifier, jobs and notes repeat.

// progress is about job 2000+n%4 and note 3000+n%3.
func progress(n int) domain.Event { return sized(n, 10) }

// sized is a progress with a message of the length given.
func sized(n, length int) domain.Event {
	return domain.Event{ID: id(n), OccurredAt: noon, Payload: domain.JobProgress{
		JobRef: domain.JobRef{JobID: id(2000 + n%4), JobType: "Embedding", NoteID: id(3000 + n%3)}, Percent: n % 101, Message: strings.Repeat("m", length),
	}}
}

func completed(n int) domain.Event {
	return domain.Event{ID: id(n), OccurredAt: noon, Payload: domain.JobCompleted{JobRef: domain.JobRef{JobID: id(2000 + n%4), JobType: "Embedding"}}}
}

func updated(n int) domain.Event {
	return domain.Event{ID: id(n), OccurredAt: noon, Payload: domain.NoteUpdated{NoteID: id(3000 + n%3), Operation: domain.Updated, Title: "<é&\u2028>"}}
}

func status(n int) domain.Event {
	return domain.Event{ID: id(n), OccurredAt: noon, Payload: domain.QueueStatus{Pending: n}}
}

func jsonOf(e domain.Event) string { return string(e.AppendJSON(nil)) }

// snapshotJSON is the nth snapshot that a counts makes.
func snapshotJSON(n int) string {
	return jsonOf(domain.Event{OccurredAt: noon, Payload: domain.QueueStatus{Running: 1, Pending: n}})
}

// logOf returns the options of a log that keeps that many events.
func logOf(capacity int) eventlog.Options { return eventlog.Options{Capacity: capacity} }

func resync(reason, last string, oldest int) string {
	s := fmt.Sprintf(`{"type":"ResyncRequired","reason":%q,"last_event_id":%q`, reason, last)
	if oldest >= 0 {
		s += fmt.Sprintf(`,"oldest_event_id":%q`, id(oldest))
	}
	return s + "}"
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
