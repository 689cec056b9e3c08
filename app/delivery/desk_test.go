package delivery_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

func TestDeskLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		id := h.create("a", "")
		for range 3 {
			h.publish(1)
			time.Sleep(time.Second)
		}
		list, _, err := h.desk.Deliveries(t.Context(), webhook.Query{Webhook: id, Limit: 2})
		if err != nil || len(list) != 2 || !list[0].CreatedAt.After(list[1].CreatedAt) {
			t.Errorf("%+v, %v", list, err)
		}
		if _, _, err := h.desk.Deliveries(t.Context(), webhook.Query{Webhook: id, Before: newID(), Limit: 2}); !errors.Is(err, domain.ErrNotFound) {
			t.Errorf("Before unknown: %v", err)
		}
	})
}

func TestRedeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("a", script{status: 500, failures: 1})
		id := h.create("a", `,"max_retries":0`)
		h.publish(1)
		h.expect("dead", id, 0, 0, 0, 1)
		got, err := h.desk.Redeliver(t.Context(), h.all(id)[0].ID)
		if err != nil || got.Progress.Status() != webhook.Pending || got.Webhook != id {
			t.Fatalf("%+v, %v", got, err)
		}
		h.expect("sent at once", id, 0, 0, 1, 0)
		if a := h.sender.to("a"); len(a) != 2 || a[1].Attempt != 2 || a[1].Event != a[0].Event {
			t.Errorf("%+v", a)
		}
	})
}

func TestRedeliverInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("a", script{takes: time.Second})
		id := h.create("a", "")
		h.publish(1)
		synctest.Wait()
		if _, err := h.desk.Redeliver(t.Context(), h.all(id)[0].ID); !errors.Is(err, domain.ErrConflict) {
			t.Errorf("%v", err)
		}
	})
}

func TestRedeliverIsNotLostWithItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("a", script{status: 500, failures: 2})
		id := h.create("a", `,"max_retries":0`)
		h.publish(2)
		h.expect("dead", id, 0, 0, 0, 2)
		h.store.Break(fails(true, "Redeliver"))
		if _, err := h.desk.Redeliver(t.Context(), h.all(id)[0].ID); !errors.Is(err, errStore) {
			t.Error(err)
		}
		h.expect("one", id, 0, 0, 1, 1)
		if _, err := h.desk.RedeliverAll(t.Context(), id, webhook.Redelivery{Status: webhook.Dead}); !errors.Is(err, errStore) {
			t.Error(err)
		}
		h.expect("the other", id, 0, 0, 2, 0)
	})
}

// An endpoint that refuses everything at once must not have the same deliveries redelivered over and over.
func TestRedeliverAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("a", script{status: 500})
		id := h.create("a", `,"max_retries":0`)
		h.publish(600)
		time.Sleep(time.Second)
		since := time.Now()
		h.publish(600)
		time.Sleep(time.Second)
		h.expect("dead", id, 0, 0, 0, 1200)
		for _, tt := range []struct {
			reason string
			which  webhook.Redelivery
			want   int
		}{
			{"since the second half", webhook.Redelivery{Status: webhook.Dead, Since: since}, 600},
			{"all", webhook.Redelivery{Status: webhook.Dead}, 1200},
			{"none", webhook.Redelivery{Status: webhook.Delivered}, 0},
		} {
			before := len(h.sender.to("a"))
			n, err := h.desk.RedeliverAll(t.Context(), id, tt.which)
			time.Sleep(time.Second)
			if sent := len(h.sender.to("a")) - before; err != nil || n != tt.want || sent != tt.want {
				t.Errorf("%s: %d, %v, %d sent; want %d", tt.reason, n, err, sent, tt.want)
			}
		}
	})
}

// slowLog takes a second for every batch.
type slowLog struct{ *memory.WebhookStore }

func (l slowLog) Redeliver(ctx context.Context, s webhook.Selection, limit int, change func(webhook.Progress) (webhook.Progress, error)) (int, error) {
	defer time.Sleep(time.Second)
	return l.WebhookStore.Redeliver(ctx, s, limit, change)
}

// What dies again at once while others are still to be made due is not redelivered a second time.
func TestRedeliverAllHoldsClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("a", script{status: 500})
		id := h.create("a", `,"max_retries":0`)
		h.publish(1200)
		h.expect("dead", id, 0, 0, 0, 1200)
		slow := delivery.NewDesk(h.hooks, slowLog{h.store}, h.dispatcher, newID)
		go func() {
			time.Sleep(500 * time.Millisecond)
			if _, err := h.desk.Redeliver(t.Context(), h.all(id, webhook.Pending)[0].ID); err != nil {
				t.Error(err)
			}
		}()
		n, err := slow.RedeliverAll(t.Context(), id, webhook.Redelivery{Status: webhook.Dead})
		h.expect("sent once more", id, 0, 0, 0, 1200)
		if sent := len(h.sender.to("a")); n != 1200 || err != nil || sent != 2400 {
			t.Errorf("%d redelivered, %v, %d attempts in all", n, err, sent)
		}
	})
}

func TestRedeliveryToADisabledWebhookIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		id := h.create("a", "")
		h.publish(1)
		synctest.Wait()
		h.patch(id, `{"is_active":false}`)
		if n, err := h.desk.RedeliverAll(t.Context(), id, webhook.Redelivery{Status: webhook.Delivered}); n != 1 || err != nil {
			t.Error(n, err)
		}
		time.Sleep(time.Hour)
		h.expect("held", id, 1, 0, 0, 0)
		h.patch(id, `{"is_active":true}`)
		h.expect("sent", id, 0, 0, 1, 0)
	})
}

func TestDeskPassesFailuresOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		id := h.create("a", "")
		h.store.Break(fails(false, "Deliveries", "Delivery"))
		if _, _, err := h.desk.Deliveries(t.Context(), webhook.Query{Webhook: id, Limit: 1}); !errors.Is(err, errStore) {
			t.Error(err)
		}
		if _, err := h.desk.Redeliver(t.Context(), newID()); !errors.Is(err, errStore) {
			t.Error(err)
		}
		if _, err := h.desk.Test(t.Context(), id); !errors.Is(err, errStore) {
			t.Error(err)
		}
	})
}
