package memory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/tests/contract"
)

func webhooksFixture(*testing.T) contract.WebhooksFixture {
	s := memory.NewWebhookStore()
	f := contract.WebhooksFixture{Webhooks: s, Deliveries: s, Log: s, Meter: s}
	f.Reopen = func(*testing.T) contract.WebhooksFixture { return f }
	f.Stolen = func(*testing.T) []byte { return []byte("receiver.example") } // it is not written anywhere
	return f
}

func TestWebhooksContract(t *testing.T)    { contract.Webhooks(t, webhooksFixture) }
func TestDeliveriesContract(t *testing.T)  { contract.Deliveries(t, webhooksFixture) }
func TestDeliveryLogContract(t *testing.T) { contract.DeliveryLog(t, webhooksFixture) }

func TestDeliveryMeterContract(t *testing.T) { contract.DeliveryMeter(t, webhooksFixture) }

var errFault = errors.New("the store is broken")

// broken returns a store with a webhook and one delivery that is due, and what the fault hook is to do.
func broken(t *testing.T, apply bool) (s *memory.WebhookStore, hook domain.UUID, d webhook.Delivery) {
	s = memory.NewWebhookStore()
	hook = newID()
	if err := s.Change(t.Context(), hook, func(*webhook.Webhook) (*webhook.Webhook, error) { return &webhook.Webhook{ID: hook}, nil }); err != nil {
		t.Fatal(err)
	}
	d = webhook.Delivery{ID: newID(), Webhook: hook, Event: newID(), Progress: webhook.NewProgress(time.Now())}
	s.Break(func(string) (bool, error) { return apply, errFault })
	return s, hook, d
}

func TestAFaultIsStoredOrNotAsTheHookSays(t *testing.T) {
	for _, apply := range []bool{false, true} {
		s, hook, d := broken(t, apply)
		if _, err := s.Record(t.Context(), newID(), []webhook.Delivery{d}); !errors.Is(err, errFault) {
			t.Errorf("apply %v: Record: %v", apply, err)
		}
		if err := s.Change(t.Context(), hook, func(*webhook.Webhook) (*webhook.Webhook, error) { return nil, nil }); !errors.Is(err, errFault) {
			t.Errorf("apply %v: Change: %v", apply, err)
		}
		s.Break(nil)
		hooks, err := s.Webhooks(t.Context())
		if err != nil || (len(hooks) == 0) != apply {
			t.Errorf("apply %v: %d webhooks are left, %v", apply, len(hooks), err)
		}
	}
}

func TestALostClaimIsGivenBack(t *testing.T) {
	s, hook, d := broken(t, true)
	s.Break(nil)
	lease, rooms := newID(), []webhook.Room{{Webhook: hook, Places: 5}}
	if _, err := s.Record(t.Context(), lease, []webhook.Delivery{d}); err != nil {
		t.Fatal(err)
	}
	s.Break(func(string) (bool, error) { return true, errFault })
	if _, _, err := s.Claim(t.Context(), lease, time.Now(), rooms); !errors.Is(err, errFault) {
		t.Fatal(err)
	}
	s.Break(nil)
	claimed, _, err := s.Claim(t.Context(), lease, time.Now(), rooms)
	if err != nil || len(claimed) != 1 || claimed[0].Progress.Attempts() != 1 {
		t.Errorf("claimed %+v, %v", claimed, err)
	}
}

func TestACallWhoseContextHasEndedStoresNothing(t *testing.T) {
	s, hook, d := broken(t, true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Record(ctx, newID(), []webhook.Delivery{d}); !errors.Is(err, context.Canceled) {
		t.Errorf("Record: %v", err)
	}
	s.Break(nil)
	if list, _, err := s.Deliveries(t.Context(), webhook.Query{Webhook: hook, Limit: 5}); err != nil || len(list) > 0 {
		t.Errorf("%d deliveries, %v", len(list), err)
	}
}
