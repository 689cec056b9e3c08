package delivery_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/retry"
	"github.com/matric/matric-events/domain/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errStore = errors.New("the store is broken")

var lastID atomic.Uint64

func newID() (u domain.UUID) {
	binary.BigEndian.PutUint64(u[8:], lastID.Add(1))
	u[6], u[8] = 0x70, 0x80
	return u
}

// anomalies is an observer that counts what it is told.
type anomalies struct {
	mu    sync.Mutex
	kinds map[string]int
}

func (*anomalies) ConnectionOpened(domain.Connection)         {}
func (*anomalies) ConnectionClosed(domain.Connection, string) {}
func (*anomalies) Refused(string, string)                     {}

func (a *anomalies) Anomaly(kind string, _ error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kinds == nil {
		a.kinds = map[string]int{}
	}
	a.kinds[kind]++
}

func (a *anomalies) count(kind string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kinds[kind]
}

// calls counts the calls of the store, and lets them go well.
type calls struct{ n atomic.Int64 }

func (c *calls) fault(string) (bool, error) {
	c.n.Add(1)
	return true, nil
}

// fails returns a fault of the calls named, which is stored nevertheless or not.
func fails(apply bool, names ...string) memory.Fault {
	return func(call string) (bool, error) {
		for _, name := range names {
			if call == name {
				return apply, errStore
			}
		}
		return true, nil
	}
}

// tester is what *testing.T, *testing.B and *rapid.T have in common.
type tester interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// hub is one process: everything between the log and the sender.
type hub struct {
	t          tester
	store      *memory.WebhookStore
	sender     *sender
	log        *eventlog.Log
	hooks      *delivery.Webhooks
	dispatcher *delivery.Dispatcher
	recorder   *delivery.Recorder
	desk       *delivery.Desk
	anomalies  *anomalies

	recording, dispatching       context.CancelFunc
	recorderEnded, dispatchEnded chan struct{}
}

var quick = delivery.Options{Policy: retry.Policy{Initial: time.Second, Max: time.Minute}}

// open starts a process on the store, and ends it with the test.
func open(t tester, store *memory.WebhookStore, s *sender, o delivery.Options) *hub {
	h := launch(t, store, s, o)
	t.Cleanup(h.stop)
	return h
}

// start is open with a fresh store and a sender to endpoints that are well.
func start(t tester, o delivery.Options) *hub {
	return open(t, memory.NewWebhookStore(), newSender(), o)
}

func launch(t tester, store *memory.WebhookStore, s *sender, o delivery.Options) *hub {
	h := prepare(t, store, s, o)
	h.record()
	return h
}

// prepare is launch without the recorder, which begins with record.
func prepare(t tester, store *memory.WebhookStore, s *sender, o delivery.Options) *hub {
	if o.Ahead == 0 {
		o.Ahead = 2 // small enough for the tests' numbers to reach
	}
	h := &hub{t: t, store: store, sender: s, log: eventlog.New(newID(), eventlog.Options{}), anomalies: &anomalies{}}
	var err error
	if h.hooks, err = delivery.Load(context.Background(), store, newID); err != nil {
		t.Fatal(err)
	}
	h.dispatcher = delivery.NewDispatcher(h.hooks, store, s, newID(), h.anomalies, o)
	h.desk = delivery.NewDesk(h.hooks, store, h.dispatcher, newID)
	h.recorder = delivery.NewRecorder(h.log, h.hooks, store, h.dispatcher, newID, h.anomalies)
	h.dispatching, h.dispatchEnded = run(t, h.dispatcher.Run)
	return h
}

func (h *hub) record() { h.recording, h.recorderEnded = run(h.t, h.recorder.Run) }

func run(t tester, f func(context.Context) error) (context.CancelFunc, chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := f(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return cancel, ended
}

// stop ends the process in good order.
func (h *hub) stop() {
	h.recording()
	<-h.recorderEnded
	h.dispatching()
	<-h.dispatchEnded
}

// crash ends the process with nothing stored from now on.
func (h *hub) crash() {
	h.store.Break(func(string) (bool, error) { return false, errStore })
	h.sender.cut()
	h.stop()
	h.sender.forgive()
	h.store.Break(nil)
}

// create makes a webhook whose URL is that of the endpoint named.
func (h *hub) create(name string, more string) domain.UUID {
	h.t.Helper()
	c, err := webhook.DecodeCreate([]byte(fmt.Sprintf(`{"url":%q%s}`, urlOf(name), more)), webhook.Rules{})
	if err != nil {
		h.t.Fatal(err)
	}
	w, err := h.hooks.Create(context.Background(), c)
	if err != nil {
		h.t.Fatal(err)
	}
	return w.ID
}

func urlOf(name string) string { return "https://" + name + ".example/" }

func (h *hub) patch(id domain.UUID, body string) {
	h.t.Helper()
	p, err := webhook.DecodePatch([]byte(body), webhook.Rules{})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.hooks.Update(context.Background(), id, p); err != nil {
		h.t.Fatal(err)
	}
}

func status() domain.Event {
	return domain.Event{ID: newID(), OccurredAt: time.Now(), Payload: domain.JobStarted{JobRef: domain.JobRef{JobID: newID(), JobType: "Embedding"}}}
}

// publish publishes n events and returns when they are acknowledged.
func (h *hub) publish(n int) {
	h.t.Helper()
	for range n {
		if err := h.log.Publish(context.Background(), status()); err != nil {
			h.t.Fatal(err)
		}
	}
}

// all returns a webhook's deliveries, the newest first.
func (h *hub) all(id domain.UUID, statuses ...webhook.Status) []webhook.Delivery {
	h.t.Helper()
	list, _, err := h.store.Deliveries(context.Background(), webhook.Query{Webhook: id, Statuses: statuses, Limit: 1 << 20})
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

// expect fails when the webhook does not have as many deliveries of each status: pending, in flight, delivered, dead, canceled.
func (h *hub) expect(why string, id domain.UUID, want ...int) {
	h.t.Helper()
	synctest.Wait()
	got := make([]int, 5)
	for _, d := range h.all(id) {
		got[d.Progress.Status()]++
	}
	for i := range want {
		if got[i] != want[i] {
			h.t.Fatalf("%s: pending, in flight, delivered, dead, canceled: %v; want %v", why, got, want)
		}
	}
}
