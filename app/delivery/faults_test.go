package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// Each call fails for a while, stored or not: nothing is lost, nothing is sent twice, and no attempt is charged twice.
func TestFailingStore(t *testing.T) {
	for _, call := range []string{"Record", "Claim", "Settle"} {
		for _, apply := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stored %v", call, apply), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { failingStore(t, call, apply) })
			})
		}
	}
}

func failingStore(t *testing.T, call string, apply bool) {
	h := start(t, delivery.Options{PerEndpoint: 2, Policy: quick.Policy})
	h.sender.plays("b", script{status: 500, failures: 30})
	a, b := h.create("a", ""), h.create("b", "")
	h.store.Break(fails(apply, call))
	published := make(chan struct{})
	go func() {
		defer close(published)
		h.publish(20)
	}()
	time.Sleep(10 * time.Second)
	if n := h.anomalies.count("webhook_" + map[string]string{"Record": "record", "Claim": "claim", "Settle": "settle"}[call]); n < 4 {
		t.Errorf("%d anomalies", n)
	}
	select {
	case <-published:
		if call == "Record" {
			t.Error("an event was acknowledged while recording fails")
		}
	default:
		if call != "Record" {
			t.Error("publishers wait for more than the recording")
		}
	}
	h.store.Break(nil)
	time.Sleep(time.Hour)
	<-published
	h.expect("well", a, 0, 0, 20, 0)
	h.expect("was down", b, 0, 0, 20, 0)
	if n := len(h.sender.to("a")); n != 20 {
		t.Errorf("%d attempts at 20 deliveries that all went well", n)
	}
	if n := len(h.sender.to("b")); n != 50 {
		t.Errorf("%d attempts; want 20 and the 30 that failed", n)
	}
	if w, _ := h.hooks.Webhook(b); w.Health.FailureCount != 0 {
		t.Errorf("failure count %d", w.Health.FailureCount)
	}
}

func TestTakingOverIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, s := memory.NewWebhookStore(), newSender()
		s.plays("a", script{hangs: true})
		first := launch(t, store, s, quick)
		id := first.create("a", "")
		first.publish(1)
		first.crash()
		s.plays("a", script{})
		store.Break(fails(true, "TakeOver"))
		second := open(t, store, s, quick)
		time.Sleep(time.Minute)
		second.expect("not yet", id, 1, 0, 0, 0)
		store.Break(nil)
		time.Sleep(time.Minute)
		second.expect("in the end", id, 0, 0, 1, 0)
	})
}

// A recorder that stops while the store fails must not acknowledge what is not stored.
func TestStoppingDoesNotAcknowledge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := launch(t, memory.NewWebhookStore(), newSender(), quick)
		id := h.create("a", "")
		h.store.Break(fails(false, "Record"))
		ctx, cancel := context.WithCancel(t.Context())
		published := make(chan error, 1)
		go func() { published <- h.log.Publish(ctx, status()) }()
		time.Sleep(time.Second)
		h.stop()
		time.Sleep(time.Minute)
		select {
		case err := <-published:
			t.Errorf("Publish returned %v", err)
		default:
		}
		cancel()
		if err := <-published; !errors.Is(err, context.Canceled) {
			t.Errorf("Publish: %v", err)
		}
		h.store.Break(nil)
		h.expect("nothing was stored", id, 0, 0, 0, 0)
	})
}

func TestStoppingWhileTheStoreFails(t *testing.T) {
	for _, call := range []string{"Claim", "Settle"} {
		synctest.Test(t, func(t *testing.T) {
			h := launch(t, memory.NewWebhookStore(), newSender(), delivery.Options{PerEndpoint: 2, Grace: time.Second})
			h.sender.plays("slow", script{takes: 500 * time.Millisecond})
			id := h.create("slow", "")
			h.store.Break(fails(false, call))
			h.publish(10)
			time.Sleep(5 * time.Second)
			h.stop()
			h.store.Break(nil)
			again := open(t, h.store, h.sender, quick)
			time.Sleep(time.Minute)
			again.expect(call, id, 0, 0, 10, 0)
		})
	}
}

// A second recording of an event, as after a crash before its outbox was told, does not make a second delivery.
func TestAnEventIsDeliveredOncePerWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, s := memory.NewWebhookStore(), newSender()
		first := launch(t, store, s, delivery.Options{PerEndpoint: 2})
		id := first.create("a", "")
		e := status()
		if err := first.log.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		first.stop()
		second := open(t, store, s, delivery.Options{PerEndpoint: 2})
		for range 10 { // what is left out must not keep its place
			if err := second.log.Publish(t.Context(), e, status()); err != nil {
				t.Fatal(err)
			}
		}
		second.expect("once", id, 0, 0, 11, 0)
		if n := len(s.to("a")); n != 11 {
			t.Errorf("%d attempts", n)
		}
	})
}

// Settled elsewhere, as by a cancel, the outcome is fenced off and forgotten.
func TestAFencedOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("slow", script{takes: time.Second})
		id := h.create("slow", "")
		h.publish(1)
		synctest.Wait()
		d := h.all(id)[0]
		if _, err := h.store.Redeliver(t.Context(), webhook.Selection{Delivery: d.ID}, 1, webhook.Progress.Cancel); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := h.all(id)[0].Progress.Status(); got != webhook.Canceled {
			t.Errorf("%v; want it as it was put elsewhere", got)
		}
	})
}

// What was reserved for deliveries that the store leaves out is free again, and whoever waits for it learns so.
func TestPlacesThatAreNotNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, s := memory.NewWebhookStore(), newSender()
		first := launch(t, store, s, quick)
		s.plays("a", script{status: 500})
		id := first.create("a", `,"max_retries":0`)
		known := []domain.Event{status(), status(), status()}
		if err := first.log.Publish(t.Context(), known...); err != nil {
			t.Fatal(err)
		}
		first.expect("known", id, 0, 0, 0, 3)
		first.stop()
		s.plays("a", script{})
		second := prepare(t, store, s, delivery.Options{PerEndpoint: 2})
		defer second.stop()
		for _, e := range known { // so that they make one batch
			if _, _, err := second.log.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		store.Break(fails(false, "Record"))
		second.record()
		published := make(chan error, 1)
		go func() { published <- second.log.Publish(t.Context(), known...) }()
		synctest.Wait() // three places of four are reserved
		if _, err := second.desk.Redeliver(t.Context(), second.all(id)[0].ID); err != nil {
			t.Fatal(err)
		}
		second.expect("no room", id, 1, 0, 0, 2)
		store.Break(nil)
		if err := <-published; err != nil {
			t.Fatal(err)
		}
		second.expect("room", id, 0, 0, 1, 2)
	})
}

func TestTheLastTryOfAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := launch(t, memory.NewWebhookStore(), newSender(), quick)
		id := h.create("a", "")
		h.store.Break(fails(false, "Settle"))
		h.publish(1)
		time.Sleep(10 * time.Second)
		h.store.Break(nil)
		h.stop()
		h.expect("settled", id, 0, 0, 1, 0)
	})
}

func TestSendingDoesNotWaitForTheSettlement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{PerEndpoint: 1})
		h.sender.plays("a", script{takes: time.Second})
		h.create("a", "")
		h.store.Break(fails(false, "Settle"))
		h.publish(2)
		time.Sleep(3 * time.Second)
		if n := len(h.sender.to("a")); n != 2 {
			t.Errorf("%d sent", n)
		}
		h.store.Break(nil)
	})
}

// An outcome whose storing is repeated must not be taken for that of a later attempt at the same delivery.
func TestARepeatedSettlementSettlesItsOwnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("a", script{status: 500, failures: 1})
		id := h.create("a", "")
		h.store.Break(fails(true, "Settle"))
		h.publish(1)
		time.Sleep(5 * time.Second)
		h.expect("stored, but nobody knows", id, 1, 0, 0, 0)
		d := h.all(id)[0].ID
		if _, err := h.desk.Redeliver(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		h.store.Break(nil)
		time.Sleep(time.Hour)
		h.expect("sent again", id, 0, 0, 1, 0)
		_, attempts, err := h.desk.Delivery(t.Context(), d)
		if n := len(h.sender.to("a")); n != 2 || len(attempts) != 2 || attempts[1].Number != 2 || err != nil {
			t.Errorf("%d attempts were made, stored are %+v, %v", n, attempts, err)
		}
	})
}
