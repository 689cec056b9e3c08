package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// hangingStore is a store that at some time answers no more.
type hangingStore struct {
	*memory.WebhookStore
	hangs atomic.Bool
}

func (s *hangingStore) wait(ctx context.Context) error {
	if !s.hangs.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *hangingStore) Record(ctx context.Context, lease domain.UUID, ds []webhook.Delivery) ([]domain.UUID, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.WebhookStore.Record(ctx, lease, ds)
}

func (s *hangingStore) Settle(ctx context.Context, lease domain.UUID, done []webhook.Settled, states []webhook.State) ([]domain.UUID, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.WebhookStore.Settle(ctx, lease, done, states)
}

// A store that does not answer must not keep the process from ending in the time that it is given.
func TestStoppingWhileTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, s := &hangingStore{WebhookStore: memory.NewWebhookStore()}, newSender()
		s.plays("a", script{takes: 100 * time.Millisecond})
		h := &hub{t: t, store: store.WebhookStore, sender: s, log: eventlog.New(newID(), eventlog.Options{}), anomalies: &anomalies{}}
		h.hooks, _ = delivery.Load(t.Context(), store, newID)
		h.dispatcher = delivery.NewDispatcher(h.hooks, store, s, newID(), h.anomalies, quick)
		h.recorder = delivery.NewRecorder(h.log, h.hooks, store, h.dispatcher, newID, h.anomalies)
		h.dispatching, h.dispatchEnded = run(t, h.dispatcher.Run)
		h.record()
		id := h.create("a", "")
		h.publish(1)
		store.hangs.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		published := make(chan error, 1)
		go func() { published <- h.log.Publish(ctx, status()) }()
		time.Sleep(21 * time.Second) // in the middle of a try
		h.expect("sent, and not settled", id, 0, 1, 0, 0)
		start := time.Now()
		if h.stop(); time.Since(start) > 5*time.Second {
			t.Errorf("the end took %s", time.Since(start))
		}
		cancel()
		if err := <-published; err == nil {
			t.Error("an event was acknowledged that is not stored")
		}
	})
}
