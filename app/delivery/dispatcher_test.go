package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/app/delivery"
)

func TestAnEventReachesTheWebhooksThatWantIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		wants, other := h.create("wants", `,"events":["JobStarted"]`), h.create("other", `,"events":["note"]`)
		h.publish(3)
		h.expect("wanted", wants, 0, 0, 3, 0)
		h.expect("not wanted", other, 0, 0, 0, 0)
		got := h.sender.to("wants")[0]
		stored, attempts, err := h.desk.Delivery(t.Context(), got.Delivery)
		if err != nil || len(attempts) != 1 || attempts[0].Number != 1 || string(stored.Payload) != string(got.Body) ||
			stored.Event != got.Event || got.Attempt != 1 || got.Type != stored.Type {
			t.Errorf("sent %+v, stored %+v, %+v, %v", got, stored, attempts, err)
		}
		if w, _ := h.hooks.Webhook(wants); !w.Health.LastTriggeredAt.Equal(got.at) {
			t.Errorf("last triggered at %v", w.Health.LastTriggeredAt)
		}
	})
}

func TestAFailureIsTriedAgainUntilTheRetriesAreUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("flaky", script{status: 503, failures: 2})
		h.sender.plays("broken", script{status: 500})
		flaky, broken := h.create("flaky", ""), h.create("broken", `,"max_retries":3`)
		h.publish(1)
		h.expect("failed once", flaky, 1, 0, 0, 0)
		time.Sleep(time.Hour)
		h.expect("recovered", flaky, 0, 0, 1, 0)
		h.expect("out of retries", broken, 0, 0, 0, 1)
		if n := len(h.sender.to("broken")); n != 4 {
			t.Errorf("%d attempts; want 1 and 3 retries", n)
		}
		if w, _ := h.hooks.Webhook(broken); w.Health.FailureCount != 4 {
			t.Errorf("failure count %d", w.Health.FailureCount)
		}
		wait := []time.Duration{time.Second, 4 * time.Second, 16 * time.Second}
		for i, a := range h.sender.to("broken")[1:] {
			since := a.at.Sub(h.sender.to("broken")[i].at)
			if since < wait[i]*4/5 || since > wait[i]*6/5 {
				t.Errorf("attempt %d came after %s; want %s, give or take a fifth", i+2, since, wait[i])
			}
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("busy", script{status: 429, failures: 1, retryAfter: 3 * time.Hour})
		id := h.create("busy", "")
		h.publish(1)
		time.Sleep(3*time.Hour - 1)
		h.expect("too soon", id, 1, 0, 0, 0)
		time.Sleep(time.Nanosecond)
		h.expect("to the nanosecond", id, 0, 0, 1, 0)
	})
}

func TestAnIdleDispatcherAsksTheStoreNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("paused", script{status: 500})
		paused := h.create("paused", `,"max_retries":20`)
		h.create("well", "")
		h.publish(20)
		synctest.Wait()
		h.patch(paused, `{"is_active":false}`)
		time.Sleep(time.Minute)
		c := &calls{}
		h.store.Break(c.fault)
		time.Sleep(time.Hour)
		if n := c.n.Load(); n != 0 {
			t.Errorf("%d calls in an hour in which nothing was due", n)
		}
		h.store.Break(nil)
	})
}

func TestNothingIsAskedBeforeARetryIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("busy", script{status: 429, failures: 1, retryAfter: 2 * time.Hour})
		id := h.create("busy", "")
		h.publish(1)
		synctest.Wait()
		c := &calls{}
		h.store.Break(c.fault)
		time.Sleep(2*time.Hour - 1)
		if n := c.n.Load(); n != 0 {
			t.Errorf("%d calls", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := c.n.Load(); n != 2 {
			t.Errorf("%d calls; want a claim and a settlement", n)
		}
		h.expect("sent", id, 0, 0, 1, 0)
	})
}

func TestTheNextProcessGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, s := memory.NewWebhookStore(), newSender()
		first := launch(t, store, s, quick)
		s.plays("slow", script{takes: time.Minute})
		id := first.create("slow", "")
		first.publish(50)
		first.expect("before", id, 18, 32, 0, 0)
		first.crash()
		s.plays("slow", script{})
		second := open(t, store, s, quick)
		second.expect("taken over", id, 0, 0, 50, 0)
		for _, d := range second.all(id) {
			if n := d.Progress.Attempts(); n != 1 {
				t.Errorf("attempt %d: what a crash cut off is not counted", n)
			}
		}
	})
}

func TestAnOrderlyStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := launch(t, memory.NewWebhookStore(), newSender(), delivery.Options{PerEndpoint: 2, Grace: 5 * time.Second})
		h.sender.plays("slow", script{takes: 4 * time.Second})
		h.sender.plays("slower", script{takes: 6 * time.Second})
		slow, slower := h.create("slow", ""), h.create("slower", "")
		h.publish(10)
		synctest.Wait()
		before := time.Now()
		h.stop()
		if took := time.Since(before); took != 5*time.Second {
			t.Errorf("took %s; want the grace", took)
		}
		h.expect("ended in time", slow, 8, 0, 2, 0)
		h.expect("given back", slower, 10, 0, 0, 0)
		for _, d := range h.all(slower) {
			if r := d.Progress.Record(); r.Attempts != 0 || !r.DueAt.Equal(before.Add(5*time.Second)) && !r.DueAt.Equal(before) && !r.DueAt.Equal(d.CreatedAt) {
				t.Errorf("%+v; want it uncharged and due", r)
			}
		}
		again := open(t, h.store, h.sender, quick)
		time.Sleep(time.Minute)
		again.expect("the next process", slower, 0, 0, 10, 0)
	})
}

func TestStoppingBeforeTheStoreWasEverReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.NewWebhookStore()
		store.Break(fails(false, "TakeOver"))
		h := launch(t, store, newSender(), quick)
		time.Sleep(time.Minute)
		h.stop()
		if h.anomalies.count("webhook_take_over") < 10 {
			t.Errorf("%d anomalies", h.anomalies.count("webhook_take_over"))
		}
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{PerEndpoint: 2})
		h.sender.plays("slow", script{takes: time.Minute})
		h.sender.plays("bad", script{status: 500})
		h.create("slow", "")
		h.create("bad", "")
		h.publish(10)
		synctest.Wait()
		if got, want := h.dispatcher.Stats(), (delivery.Stats{Sending: 2, Waiting: 2, Pending: 2, Failing: 1}); got != want {
			t.Errorf("%+v; want %+v", got, want)
		}
	})
}

func TestAQueueThatCannotBeSettledStopsGrowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{MaxInFlight: 64, PerEndpoint: 64})
		id := h.create("fast", "")
		h.store.Break(fails(false, "Settle"))
		h.publish(3000)
		synctest.Wait()
		if n := len(h.sender.to("fast")); n == 0 || n > 1024+64 { // claims wait for the settlement, so it may be far less
			t.Errorf("%d sent whose outcome cannot be stored", n)
		}
		if s := h.dispatcher.Stats(); s.Unsettled != len(h.sender.to("fast")) {
			t.Errorf("%+v", s)
		}
		h.store.Break(nil)
		time.Sleep(10 * time.Second)
		h.expect("after that", id, 0, 0, 3000, 0)
		if n := len(h.sender.to("fast")); n != 3000 {
			t.Errorf("%d attempts for 3000 deliveries", n)
		}
	})
}

func TestTheEarliestOfSeveralRetriesCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		id := h.create("a", "")
		h.sender.plays("a", script{status: 500, failures: 1})
		h.publish(1)
		synctest.Wait()
		h.sender.plays("a", script{status: 429, failures: 1, retryAfter: time.Hour})
		h.publish(1)
		time.Sleep(2 * time.Second)
		h.expect("the first, which is due first", id, 1, 0, 1, 0)
	})
}
