package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/domain/webhook"
)

const day = 24 * time.Hour

func TestJanitorKeepsWhatItShould(t *testing.T) {
	for _, tt := range []struct {
		reason          string
		keep            delivery.Retention
		delivered, dead time.Duration
	}{
		{"by default", delivery.Retention{}, 7 * day, 30 * day},
		{"as told", delivery.Retention{Delivered: 2 * day, Dead: day}, 2 * day, day},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, quick)
				h.sender.plays("bad", script{status: 500})
				good, bad := h.create("good", ""), h.create("bad", `,"max_retries":0`)
				paused := h.create("paused", "")
				h.publish(1200) // several batches
				synctest.Wait()
				h.patch(paused, `{"is_active":false}`)
				if _, err := h.desk.RedeliverAll(t.Context(), paused, webhook.Redelivery{Status: webhook.Delivered}); err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				stop, ended := run(t, delivery.NewJanitor(h.store, h.anomalies, tt.keep).Run)
				defer func() { stop(); <-ended }()
				at := func(since time.Duration) { time.Sleep(time.Until(begin.Add(since))); synctest.Wait() }
				first, second := min(tt.delivered, tt.dead), max(tt.delivered, tt.dead)
				left := func(since time.Duration, id map[bool]int, why string) {
					at(since)
					h.expect(why, good, 0, 0, id[true], 0)
					h.expect(why, bad, 0, 0, 0, id[false])
				}
				left(first, map[bool]int{true: 1200, false: 1200}, "not yet")
				left(first+time.Hour, map[bool]int{tt.delivered != first: 1200}, "the first to go")
				left(second, map[bool]int{tt.delivered != first: 1200}, "not yet either")
				left(second+time.Hour, nil, "all")
				h.expect("what waits is never deleted", paused, 1200)
			})
		})
	}
}

func TestJanitorStartsSoonAndGoesOnAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		id := h.create("a", "")
		h.publish(1)
		time.Sleep(8 * day)
		h.store.Break(fails(false, "Prune"))
		stop, ended := run(t, delivery.NewJanitor(h.store, h.anomalies, delivery.Retention{}).Run)
		defer func() { stop(); <-ended }()
		time.Sleep(2 * time.Minute)
		if n := h.anomalies.count("webhook_prune"); n != 1 {
			t.Errorf("%d anomalies", n)
		}
		h.store.Break(nil)
		h.expect("kept", id, 0, 0, 1, 0)
		time.Sleep(time.Hour)
		h.expect("deleted", id, 0, 0, 0, 0)
	})
}
