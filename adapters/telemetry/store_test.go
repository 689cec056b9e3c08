package telemetry

import (
	"errors"
	"testing"
	"time"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
	"github.com/matric/matric-events/tests/contract"
)

// What is timed does what it did before.
func TestTimedStoresKeepTheirContracts(t *testing.T) {
	told(t, func(o *Observer) {
		s := o.Stores()
		fixture := func(*testing.T) contract.WebhooksFixture {
			store := memory.NewWebhookStore()
			f := contract.WebhooksFixture{Webhooks: s.Webhooks(store), Deliveries: s.Deliveries(store), Log: store, Meter: store}
			f.Reopen = func(*testing.T) contract.WebhooksFixture { return f }
			f.Stolen = func(*testing.T) []byte { return []byte("receiver.example") }
			return f
		}
		contract.Webhooks(t, fixture)
		contract.Deliveries(t, fixture)
	})
}

func TestStoresCount(t *testing.T) {
	lines, metrics := told(t, func(o *Observer) {
		s := o.Stores()
		store := memory.NewWebhookStore()
		hooks, deliveries := s.Webhooks(store), s.Deliveries(store)
		if err := hooks.Change(t.Context(), id(1), func(*webhook.Webhook) (*webhook.Webhook, error) { return &webhook.Webhook{ID: id(1)}, nil }); err != nil {
			t.Fatal(err)
		}
		_ = hooks.Change(t.Context(), id(1), func(*webhook.Webhook) (*webhook.Webhook, error) { return nil, domain.ErrNotFound })
		progress, _ := webhook.NewProgress(time.Now()).Begin()
		d := webhook.Delivery{ID: id(2), Webhook: id(1), Event: id(3), Progress: progress}
		if _, err := deliveries.Record(t.Context(), id(9), []webhook.Delivery{d}); err != nil {
			t.Fatal(err)
		}
		outcome := webhook.Outcome{StatusCode: webhook.StatusGone}
		progress, _ = progress.Settle(outcome, webhook.Plan{}, time.Now(), 0)
		dead := []webhook.Settled{{Delivery: id(2), Webhook: id(1), Progress: progress, Attempt: webhook.Attempt{Number: 1, Outcome: outcome}}}
		store.Break(func(string) (bool, error) { return false, errors.New("on fire") })
		if _, err := deliveries.Settle(t.Context(), id(9), dead, nil); err == nil {
			t.Fatal("no error of a broken store")
		}
		store.Break(nil)
		if fenced, err := deliveries.Settle(t.Context(), id(8), dead, nil); err != nil || len(fenced) != 1 {
			t.Fatalf("Settle under another lease = %v, %v", fenced, err) // is somebody else's to give up
		}
		if _, err := deliveries.Settle(t.Context(), id(9), dead, nil); err != nil {
			t.Fatal(err)
		}
	})
	sameLines(t, lines, map[string]any{
		"level": "warn", "message": "delivery given up", "delivery.id": id(2).String(), "webhook.id": id(1).String(), "attempts": 1.0,
	})
	contains(t, metrics,
		"matric_webhook_dead_total 1",
		`matric_store_duration_seconds_count{operation="webhooks_change"} 2`, `matric_store_errors_total{operation="webhooks_change"} 0`,
		`matric_store_duration_seconds_count{operation="deliveries_settle"} 3`, `matric_store_errors_total{operation="deliveries_settle"} 1`,
	)
}

func TestHostStoresCount(t *testing.T) {
	_, metrics := told(t, func(o *Observer) {
		s := o.Stores()
		store := memory.New(func() domain.UUID { return id(50) })
		notes, outbox := s.Notes(store.Notes()), s.Outbox(store.Outbox())
		note := domain.Note{ID: id(1), Title: "t"}
		if err := notes.Write(t.Context(), id(1), func(*domain.Note) (ports.NoteWrite, error) {
			return ports.NoteWrite{Note: note, Event: domain.NoteEvent{EventID: id(2), OccurredAt: time.Now(), Note: note.Event(domain.Created)}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if got, err := notes.Note(t.Context(), id(1)); err != nil || got.Title != "t" {
			t.Errorf("%+v, %v", got, err)
		}
		if got, _, err := notes.Notes(t.Context(), domain.NoteQuery{Limit: 1}); err != nil || len(got) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		records, err := outbox.Pending(t.Context(), 10)
		if err != nil || len(records) != 1 {
			t.Fatalf("%+v, %v", records, err)
		}
		if err := outbox.Remove(t.Context(), records[0].Position); err != nil {
			t.Fatal(err)
		}
	})
	for _, op := range []string{"notes_write", "notes_read", "notes_list", "outbox_read", "outbox_remove"} {
		contains(t, metrics, `matric_store_duration_seconds_count{operation="`+op+`"} 1`)
	}
}
