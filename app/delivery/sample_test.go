package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

func TestTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{PerEndpoint: 1})
		h.sender.plays("a", script{hangs: true})
		id := h.create("a", `,"is_active":false,"events":["JobProgress","NoteUpdated"]`)
		for _, tt := range []struct {
			reason string
			plays  script
			want   webhook.Status
			class  webhook.Class
		}{
			{"well, though the webhook is disabled", script{takes: time.Second}, webhook.Delivered, webhook.ClassNone},
			{"fails, and is not tried again", script{status: 500}, webhook.Dead, webhook.ClassBadStatus},
			{"hangs", script{hangs: true}, webhook.Dead, webhook.ClassTimeout},
		} {
			h.sender.plays("a", tt.plays)
			d, err := h.desk.Test(t.Context(), id)
			if err != nil || d.Progress.Status() != tt.want || d.Last.Class() != tt.class || d.Type != domain.TypeJobProgress {
				t.Errorf("%s: %+v, %v", tt.reason, d, err)
			}
		}
		time.Sleep(time.Hour)
		h.expect("in all", id, 0, 0, 1, 2)
		var body struct{ Message string }
		if err := json.Unmarshal(h.sender.to("a")[0].Body, &body); err != nil || body.Message != "Test delivery from matric-events" {
			t.Errorf("%+v, %v", body, err)
		}
	})
}

// A test does not wait for what waits for the endpoint.
func TestTestPassesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{MaxInFlight: 1, PerEndpoint: 1})
		h.sender.plays("a", script{takes: time.Minute})
		id := h.create("a", "")
		h.publish(5)
		synctest.Wait()
		h.sender.plays("a", script{})
		before := time.Now()
		if d, err := h.desk.Test(t.Context(), id); err != nil || d.Progress.Status() != webhook.Delivered || time.Since(before) != 0 {
			t.Errorf("%+v, %v after %s", d, err, time.Since(before))
		}
		time.Sleep(time.Minute)
	})
}

func TestATestOfEachType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		for typ := range domain.AllTypes.All() {
			id := h.create("a", `,"events":["`+typ.String()+`"]`)
			d, err := h.desk.Test(t.Context(), id)
			if err != nil || d.Type != typ {
				t.Errorf("%s: %+v, %v", typ, d, err)
			}
			if e, err := domain.DecodeEvent(d.Payload); err != nil || e.Type() != typ || e.ID != d.Event {
				t.Errorf("%s: %s: %v", typ, d.Payload, err)
			}
		}
	})
}

func TestATestWhoseClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("a", script{takes: 10 * time.Second})
		id := h.create("a", "")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.desk.Test(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Minute)
		h.expect("made to the end", id, 0, 0, 1, 0)
	})
}

func TestATestThatCannotBeStored(t *testing.T) {
	for _, apply := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, quick)
			id := h.create("a", "")
			h.store.Break(fails(apply, "Record"))
			if _, err := h.desk.Test(t.Context(), id); !errors.Is(err, errStore) {
				t.Error(err)
			}
			h.store.Break(nil)
			time.Sleep(time.Hour)
			h.expect("called off", id, 0, 0, 0, 0)
			if n := len(h.sender.to("a")); n != 0 {
				t.Errorf("%d sent", n)
			}
		})
	}
}

func TestATestOfAWebhookThatIsBeingDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		id := h.create("a", "")
		// Deleted in the store, as between the look at the webhook and the recording.
		if err := h.store.Change(t.Context(), id, func(*webhook.Webhook) (*webhook.Webhook, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := h.desk.Test(t.Context(), id); !errors.Is(err, domain.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestATestAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := launch(t, memory.NewWebhookStore(), newSender(), delivery.Options{Grace: time.Second})
		h.sender.plays("a", script{hangs: true})
		id := h.create("a", "")
		result := make(chan error, 1)
		go func() {
			d, err := h.desk.Test(context.Background(), id)
			if err == nil && d.Progress.Status() != webhook.Canceled {
				t.Errorf("%+v", d)
			}
			result <- err
		}()
		synctest.Wait()
		h.stop()
		if err := <-result; err != nil && !errors.Is(err, domain.ErrUnavailable) {
			t.Error(err)
		}
		if d := h.all(id)[0]; d.Progress.Status() != webhook.Canceled {
			t.Errorf("%+v", d)
		}
		if _, err := h.desk.Test(t.Context(), id); !errors.Is(err, domain.ErrUnavailable) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestATestThatCannotBeSettledAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := launch(t, memory.NewWebhookStore(), newSender(), quick)
		id := h.create("a", "")
		h.store.Break(fails(false, "Settle"))
		result := make(chan error, 1)
		go func() {
			_, err := h.desk.Test(context.Background(), id)
			result <- err
		}()
		synctest.Wait()
		h.stop()
		if err := <-result; !errors.Is(err, domain.ErrUnavailable) {
			t.Error(err)
		}
	})
}
