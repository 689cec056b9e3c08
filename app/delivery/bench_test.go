package delivery_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// instant is a sender to receivers that take no time. It tells when all are sent.
type instant struct {
	left atomic.Int64
	done chan struct{}
}

func (s *instant) Send(context.Context, webhook.Request) webhook.Outcome {
	if s.left.Add(-1) == 0 {
		close(s.done)
	}
	return webhook.Outcome{StartedAt: time.Now(), StatusCode: 200}
}

// BenchmarkDelivery measures what recording, sending and settling cost beside the store and the network, per delivery:
// the store is in memory, and the receivers take no time.
func BenchmarkDelivery(b *testing.B) {
	for _, hooks := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("webhooks=%d", hooks), func(b *testing.B) { benchmarkDelivery(b, hooks) })
	}
}

func benchmarkDelivery(b *testing.B, webhooks int) {
	events := (b.N + webhooks - 1) / webhooks
	s := &instant{done: make(chan struct{})}
	s.left.Store(int64(events * webhooks))
	h := &hub{t: b, store: memory.NewWebhookStore(), anomalies: &anomalies{}, log: eventlog.New(newID(), eventlog.Options{})}
	h.hooks, _ = delivery.Load(b.Context(), h.store, newID)
	h.dispatcher = delivery.NewDispatcher(h.hooks, h.store, s, newID(), h.anomalies, delivery.Options{})
	for i := range webhooks {
		h.create(fmt.Sprint("receiver", i), "")
	}
	recorder := delivery.NewRecorder(h.log, h.hooks, h.store, h.dispatcher, newID, h.anomalies)
	h.recording, h.recorderEnded = run(b, recorder.Run)
	h.dispatching, h.dispatchEnded = run(b, h.dispatcher.Run)
	defer h.stop()
	batch := make([]domain.Event, 0, 64)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range events {
		if batch = append(batch, status()); len(batch) < cap(batch) && n < events-1 {
			continue
		}
		if err := h.log.Publish(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
		batch = batch[:0]
	}
	<-s.done
	b.ReportMetric(float64(events*webhooks)/b.Elapsed().Seconds(), "deliveries/s")
}
