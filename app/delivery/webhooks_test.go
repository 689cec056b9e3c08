package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
	"github.com/matric/matric-events/domain/webhook"
)

// What waits for a disabled webhook is held until it is enabled again, and sent then.
func TestADisabledWebhookHoldsItsDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{PerEndpoint: 2})
		h.sender.plays("slow", script{takes: time.Minute})
		id := h.create("slow", "")
		h.publish(10)
		synctest.Wait()
		h.patch(id, `{"is_active":false}`)
		time.Sleep(100 * time.Hour)
		h.expect("what was under way went through, the rest is held", id, 8, 0, 2, 0)
		h.publish(5)
		h.expect("nothing is stored for what it does not want now", id, 8, 0, 2, 0)
		h.patch(id, `{"is_active":true}`)
		time.Sleep(10 * time.Minute)
		h.expect("enabled", id, 0, 0, 10, 0)
	})
}

func TestGoneDisables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{PerEndpoint: 1})
		h.sender.plays("gone", script{status: webhook.StatusGone, takes: time.Second})
		id := h.create("gone", "")
		h.store.Break(fails(false, "Settle")) // so that the webhook cannot be told in the store
		h.publish(3)
		time.Sleep(time.Minute)
		if n := len(h.sender.to("gone")); n != 1 {
			t.Errorf("%d attempts; want none after the farewell", n)
		}
		h.patch(id, `{"description":"changed before the store knew"}`)
		h.store.Break(nil)
		time.Sleep(time.Minute)
		h.expect("dead, and held", id, 2, 0, 0, 1)
		stored, err := h.store.Webhooks(t.Context())
		if err != nil || stored[0].Activation != webhook.Gone {
			t.Errorf("%+v, %v", stored, err)
		}
		h.sender.plays("gone", script{})
		h.patch(id, `{"is_active":true}`)
		h.expect("back again", id, 0, 0, 2, 1)
	})
}

func TestAChangeAppliesToWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("old", script{status: 500})
		id := h.create("old", "")
		h.publish(2)
		synctest.Wait()
		h.patch(id, fmt.Sprintf(`{"url":%q,"max_retries":0}`, urlOf("new")))
		time.Sleep(time.Hour)
		h.expect("sent to the new place", id, 0, 0, 2, 0)
		if n := len(h.sender.to("new")); n != 2 {
			t.Errorf("%d", n)
		}
	})
}

func TestADeletedWebhookIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{PerEndpoint: 2})
		h.sender.plays("hangs", script{hangs: true})
		for range 5 {
			id := h.create("hangs", "")
			h.publish(10)
			synctest.Wait()
			if err := h.hooks.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if got := h.dispatcher.Stats(); got != (delivery.Stats{}) {
			t.Errorf("%+v is left of deleted webhooks", got)
		}
		if n := len(h.sender.to("hangs")); n != 10 {
			t.Errorf("%d attempts; want those that were under way only", n)
		}
		c := &calls{}
		h.store.Break(c.fault)
		time.Sleep(time.Hour)
		if n := c.n.Load(); n != 0 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestUnknownWebhooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, none, ctx := start(t, quick), newID(), t.Context()
		for name, call := range map[string]func() error{
			"get":        func() error { _, err := h.hooks.Webhook(none); return err },
			"update":     func() error { _, err := h.hooks.Update(ctx, none, webhook.Patch{}); return err },
			"rotate":     func() error { _, err := h.hooks.Rotate(ctx, none, 0); return err },
			"delete":     func() error { return h.hooks.Delete(ctx, none) },
			"test":       func() error { _, err := h.desk.Test(ctx, none); return err },
			"list":       func() error { _, _, err := h.desk.Deliveries(ctx, webhook.Query{Webhook: none}); return err },
			"delivery":   func() error { _, _, err := h.desk.Delivery(ctx, none); return err },
			"redeliver":  func() error { _, err := h.desk.Redeliver(ctx, none); return err },
			"redeliver+": func() error { _, err := h.desk.RedeliverAll(ctx, none, webhook.Redelivery{}); return err },
		} {
			if err := call(); !errors.Is(err, domain.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		id := h.create("a", "")
		before, _ := h.hooks.Webhook(id)
		for range signing.MaxRetired {
			if _, err := h.hooks.Rotate(t.Context(), id, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.hooks.Rotate(t.Context(), id, time.Hour); !errors.Is(err, domain.ErrConflict) {
			t.Errorf("one too many: %v", err)
		}
		after, _ := h.hooks.Webhook(id)
		if after.Keys.Current().Equal(before.Keys.Current()) || len(after.Keys.Retired()) != signing.MaxRetired {
			t.Errorf("%+v", after)
		}
		h.publish(1)
		synctest.Wait()
		if !h.sender.to("a")[0].Keys.Equal(after.Keys) {
			t.Error("sent with other keys")
		}
	})
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		a, b := h.create("a", ""), h.create("b", "")
		list := h.hooks.List()
		if len(list) != 2 || list[0].ID != a || list[1].ID != b {
			t.Fatalf("%+v", list)
		}
		h.patch(a, `{"description":"changed"}`)
		if list[0].Description != "" {
			t.Error("a list that was given out has changed")
		}
	})
}

func TestLoadFails(t *testing.T) {
	store := memory.NewWebhookStore()
	store.Break(fails(false, "Webhooks"))
	if _, err := delivery.Load(t.Context(), store, newID); !errors.Is(err, errStore) {
		t.Error(err)
	}
}

// A change that failed may have been stored: memory follows what the store says.
func TestAChangeThatFails(t *testing.T) {
	for _, apply := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, quick)
			id, other := h.create("a", ""), h.create("b", "")
			p, _ := webhook.DecodePatch([]byte(`{"is_active":false}`), webhook.Rules{})
			h.store.Break(fails(apply, "Change"))
			if _, err := h.hooks.Update(t.Context(), id, p); !errors.Is(err, errStore) {
				t.Errorf("Update: %v", err)
			}
			if err := h.hooks.Delete(t.Context(), other); !errors.Is(err, errStore) {
				t.Errorf("Delete: %v", err)
			}
			h.store.Break(nil)
			w, err := h.hooks.Webhook(id)
			if err != nil || (w.Activation == webhook.Paused) != apply {
				t.Errorf("stored %v: %v, %v", apply, w.Activation, err)
			}
			if _, err := h.hooks.Webhook(other); (err != nil) != apply {
				t.Errorf("stored %v: deleted: %v", apply, err)
			}
		})
	}
}

// While not even that can be read, the next write sees to it: here the outcome of an attempt, there another change.
func TestAChangeThatFailsAltogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		id := h.create("a", "")
		h.sender.plays("a", script{takes: time.Second})
		h.publish(1)
		p, _ := webhook.DecodePatch([]byte(`{"is_active":false}`), webhook.Rules{})
		broken := fails(true, "Change")
		h.store.Break(func(call string) (bool, error) {
			if call == "Webhooks" {
				return false, errStore
			}
			return broken(call)
		})
		for range 2 {
			if _, err := h.hooks.Update(t.Context(), id, p); !errors.Is(err, errStore) {
				t.Errorf("Update: %v", err)
			}
		}
		time.Sleep(2 * time.Second)
		h.expect("not settled yet", id, 0, 1, 0, 0)
		h.store.Break(nil)
		time.Sleep(time.Minute)
		h.expect("settled", id, 0, 0, 1, 0)
		if w, _ := h.hooks.Webhook(id); w.Activation != webhook.Paused || w.Health.LastTriggeredAt.IsZero() {
			t.Errorf("%+v; want it as it is stored, and what the attempt has told", w)
		}
	})
}

// A 410 that came while nobody knew what is stored, and before it could be stored itself, still disables the webhook; unless
// what a client did after it is stored.
func TestAGoneReceiverAndAChangeThatFails(t *testing.T) {
	for _, tc := range []struct {
		why    string
		stored bool
		at     time.Duration // of the change; the 410 comes after a second
		body   string
		want   webhook.Activation
	}{
		{"lost before", false, 0, `{"description":"new"}`, webhook.Gone},
		{"stored before", true, 0, `{"description":"new"}`, webhook.Gone},
		{"lost after", false, 2 * time.Second, `{"is_active":true}`, webhook.Gone},
		{"stored after", true, 2 * time.Second, `{"is_active":true}`, webhook.Active},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, quick)
			id := h.create("a", "")
			h.sender.plays("a", script{takes: time.Second, status: webhook.StatusGone})
			h.publish(1)
			h.store.Break(func(call string) (bool, error) { return tc.stored && call == "Change", errStore })
			time.Sleep(tc.at)
			p, _ := webhook.DecodePatch([]byte(tc.body), webhook.Rules{})
			if _, err := h.hooks.Update(t.Context(), id, p); !errors.Is(err, errStore) {
				t.Errorf("%s: Update: %v", tc.why, err)
			}
			time.Sleep(time.Minute)
			h.sender.plays("a", script{})
			h.store.Break(nil)
			time.Sleep(time.Minute)
			w, _ := h.hooks.Webhook(id)
			stored, err := h.store.Webhooks(t.Context())
			if err != nil || stored[0].Activation != tc.want || w.Activation != tc.want {
				t.Errorf("%s: stored %v, in memory %v, %v; want %v", tc.why, stored[0].Activation, w.Activation, err, tc.want)
			}
		})
	}
}

// Clients and attempts change the same webhooks at the same time: the store ends up with what is in memory.
func TestStoreAndMemoryStayInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("a", script{status: webhook.StatusGone, takes: 10 * time.Millisecond})
		id := h.create("a", "")
		var clients sync.WaitGroup
		for n := range 4 {
			clients.Go(func() {
				for i := range 100 {
					p, _ := webhook.DecodePatch([]byte(fmt.Sprintf(`{"is_active":%v}`, i%3 < 2)), webhook.Rules{})
					if _, err := h.hooks.Update(context.Background(), id, p); err != nil {
						t.Error(err)
					}
					h.publish(1)
					time.Sleep(time.Duration(n+1) * time.Millisecond)
				}
			})
		}
		clients.Wait()
		time.Sleep(time.Minute)
		stored, err := h.store.Webhooks(t.Context())
		known, _ := h.hooks.Webhook(id)
		if err != nil || stored[0].State() != known.State() {
			t.Errorf("stored %+v, in memory %+v, %v", stored[0].State(), known.State(), err)
		}
	})
}

// Events that the last change has made wanted are gated, however many changes come at once.
func TestWantedFollowsTheLastChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		var wanted domain.TypeSet
		h.hooks.OnChange(func() { wanted = h.hooks.Wanted() })
		var clients sync.WaitGroup
		for n, name := range []string{"JobQueued", "JobStarted", "JobFailed", "NoteUpdated"} {
			clients.Go(func() {
				h.create(fmt.Sprint("a", n), fmt.Sprintf(`,"events":[%q]`, name))
			})
		}
		clients.Wait()
		if wanted.Len() != 4 || wanted != h.hooks.Wanted() {
			t.Errorf("%v", wanted.Names())
		}
	})
}
