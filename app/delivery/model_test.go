package delivery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// model is what is known of a hub from the outside.
type model struct {
	*hub
	opts     delivery.Options
	hooks    []*modelHook // those deleted too
	acked    []acked
	restarts int
}

type modelHook struct {
	id          domain.UUID
	name        string
	retries     int
	deleted     bool
	redelivered int // how often
}

// acked is an event whose publication was acknowledged.
type acked struct {
	event domain.UUID
	hooks []*modelHook // active before and after
}

// The invariants: whatever events, clients, endpoints, the store and crashes do, in the end each acknowledged event is
// delivered or dead at each webhook that was active; no delivery has more attempts than its retries and the crashes allow;
// and no endpoint, nor all together, ever had more attempts under way than it has places.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bubble(t, func() {
			m := &model{opts: delivery.Options{
				MaxInFlight: rapid.IntRange(1, 12).Draw(rt, "max in flight"),
				PerEndpoint: rapid.IntRange(1, 4).Draw(rt, "per endpoint"),
				Policy:      quick.Policy,
				Grace:       time.Second,
			}}
			m.hub = launch(rt, memory.NewWebhookStore(), newSender(), m.opts)
			defer func() {
				m.store.Break(nil)
				m.stop()
			}()
			rt.Repeat(map[string]func(*rapid.T){
				"publish":   m.publishSome,
				"publish2":  m.publishSome,
				"wait":      m.wait,
				"wait2":     m.wait,
				"create":    m.createOne,
				"endpoint":  m.script,
				"endpoint2": m.script,
				"enable":    m.enable,
				"delete":    m.remove,
				"redeliver": m.redeliver,
				"fault":     m.breakStore,
				"repair":    func(*rapid.T) { m.store.Break(nil) },
				"restart":   m.restart,
			})
			m.finish(rt)
		})
	})
}

// bubble runs f in a synctest bubble, and has a panic of f's, by which rapid ends a run, come out of it.
func bubble(t *testing.T, f func()) {
	var panicked any
	synctest.Test(t, func(*testing.T) {
		defer func() { panicked = recover() }()
		f()
	})
	if panicked != nil {
		panic(panicked)
	}
}

func (m *model) active() (list []*modelHook) {
	for _, h := range m.hooks {
		if w, err := m.hub.hooks.Webhook(h.id); err == nil && w.Activation == webhook.Active {
			list = append(list, h)
		}
	}
	return list
}

func (m *model) publishSome(t *rapid.T) {
	events := make([]domain.Event, rapid.IntRange(1, 12).Draw(t, "events"))
	for i := range events {
		events[i] = status()
	}
	before := m.active()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := m.log.Publish(ctx, events...); err != nil {
		return // some may be stored, and will be delivered then
	}
	after := m.active()
	still := slices.DeleteFunc(before, func(h *modelHook) bool { return !slices.Contains(after, h) })
	for _, e := range events {
		m.acked = append(m.acked, acked{e.ID, still})
	}
}

func (m *model) wait(t *rapid.T) {
	time.Sleep(time.Duration(rapid.Int64Range(0, int64(rapid.SampledFrom([]time.Duration{
		0, time.Millisecond, time.Second, 20 * time.Second, time.Hour,
	}).Draw(t, "scale"))).Draw(t, "time")))
}

func (m *model) createOne(t *rapid.T) {
	if len(m.hooks) > 6 {
		t.Skip("enough")
	}
	h := &modelHook{name: fmt.Sprint("endpoint", len(m.hooks)), retries: rapid.IntRange(0, 4).Draw(t, "retries")}
	h.id = m.create(h.name, fmt.Sprintf(`,"max_retries":%d`, h.retries))
	m.hooks = append(m.hooks, h)
}

func (m *model) pick(t *rapid.T) *modelHook {
	if len(m.hooks) == 0 {
		t.Skip("no webhook")
	}
	h := rapid.SampledFrom(m.hooks).Draw(t, "webhook")
	if h.deleted {
		t.Skip("deleted")
	}
	return h
}

func (m *model) script(t *rapid.T) {
	m.sender.plays(m.pick(t).name, rapid.SampledFrom([]script{
		{},
		{},
		{takes: 100 * time.Millisecond},
		{takes: 5 * time.Second},
		{hangs: true},
		{status: 500},
		{status: 500, failures: 3},
		{status: 429, failures: 2, retryAfter: 10 * time.Second},
		{status: webhook.StatusGone, failures: 1},
		{status: 301, takes: time.Second},
	}).Draw(t, "script"))
}

func (m *model) enable(t *rapid.T) {
	m.patch(m.pick(t).id, fmt.Sprintf(`{"is_active":%v}`, rapid.Bool().Draw(t, "enabled")))
}

func (m *model) remove(t *rapid.T) {
	h := m.pick(t)
	if rapid.IntRange(0, 3).Draw(t, "keep") > 0 {
		t.Skip("kept")
	}
	if err := m.hub.hooks.Delete(context.Background(), h.id); err != nil {
		t.Fatal(err)
	}
	h.deleted = true
}

func (m *model) redeliver(t *rapid.T) {
	h := m.pick(t)
	h.redelivered++
	_, _ = m.desk.RedeliverAll(context.Background(), h.id, webhook.Redelivery{
		Status: rapid.SampledFrom([]webhook.Status{webhook.Dead, webhook.Delivered}).Draw(t, "status"),
	}) // fails while the store does, and may be done nevertheless
}

// breakStore has calls of the store fail, stored or not. Those that clients make of webhooks are left alone, so that the
// model knows what became of them.
func (m *model) breakStore(t *rapid.T) {
	share := rapid.SampledFrom([]float64{0.1, 0.5, 1}).Draw(t, "share")
	applied := rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "applied")
	calls := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"Record", "Claim", "Settle", "Redeliver"}), 1, 4, rapid.ID).Draw(t, "calls")
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	m.store.Break(func(call string) (bool, error) {
		if slices.Contains(calls, call) && random.Float64() < share {
			return random.Float64() < applied, errStore
		}
		return true, nil
	})
}

func (m *model) restart(t *rapid.T) {
	m.restarts++
	if rapid.Bool().Draw(t, "crash") {
		m.crash()
	} else {
		m.stop()
		m.store.Break(nil)
	}
	m.hub = launch(t, m.store, m.sender, m.opts)
}

// finish has everything go well from now on, and looks at the result.
func (m *model) finish(t *rapid.T) {
	m.store.Break(nil)
	for _, h := range m.hooks {
		m.sender.plays(h.name, script{})
	}
	time.Sleep(time.Minute) // a last farewell may be under way
	for _, h := range m.hooks {
		if w, err := m.hub.hooks.Webhook(h.id); err == nil && w.Activation != webhook.Active {
			m.patch(h.id, `{"is_active":true}`)
		}
	}
	time.Sleep(2 * time.Hour)
	synctest.Wait()
	for _, h := range m.hooks {
		events := map[domain.UUID]bool{}
		for _, d := range m.all(h.id) {
			events[d.Event] = true
			m.check(t, h, &d)
		}
		for _, a := range m.acked {
			if slices.Contains(a.hooks, h) && !h.deleted && !events[a.event] {
				t.Fatalf("event %s was acknowledged, and is not stored for %s", a.event, h.name)
			}
		}
		if n := m.sender.atOnce(h.name); n > m.opts.PerEndpoint {
			t.Fatalf("%d attempts at once at %s", n, h.name)
		}
	}
	if n := m.sender.most[""]; n > m.opts.MaxInFlight {
		t.Fatalf("%d attempts at once", n)
	}
	if s := m.dispatcher.Stats(); s.Sending+s.Waiting+s.Unsettled+s.Pending > 0 {
		t.Fatalf("%+v is left", s)
	}
}

func (m *model) check(t *rapid.T, h *modelHook, d *webhook.Delivery) {
	status, attempts, well := d.Progress.Status(), m.sender.attempts[d.ID], m.sender.success[d.ID]
	if status != webhook.Delivered && status != webhook.Dead {
		t.Fatalf("%s to %s ends %s: %+v", d.ID, h.name, status, d.Progress.Record())
	}
	if most := (1+h.retries)*(1+h.redelivered) + m.restarts; attempts > most {
		t.Fatalf("%s to %s was attempted %d times; want %d at most", d.ID, h.name, attempts, most)
	}
	if status == webhook.Delivered && well == 0 || well > 1+h.redelivered+m.restarts {
		t.Fatalf("%s to %s was received %d times", d.ID, h.name, well)
	}
}
