package app

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/adapters/memory"
)

func TestOutboxGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(testID)
		outbox, observer := store.Outbox(), newObserver()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- NewOutboxGuard(outbox, observer, OutboxLimits{HighWater: 5}).Run(ctx) }()
		job := testID()
		progress := func(n int) {
			for range n {
				store.Append("worker", fmt.Sprintf(`{"type":"JobProgress","event_id":%q,"occurred_at":"2026-11-23T12:41:48Z","job_id":%q,"percent":1}`, testID(), job))
			}
		}
		for _, c := range []struct {
			why             string
			add, left, told int
			pass            time.Duration
		}{
			{"as many as there may be", 5, 5, 0, 11 * time.Second},
			{"one more", 1, 1, 1, 10 * time.Second},
			{"too early to look again", 9, 10, 1, 40 * time.Second},
			{"a minute later", 0, 1, 2, 20 * time.Second},
		} {
			progress(c.add)
			time.Sleep(c.pass)
			synctest.Wait()
			stats, err := outbox.Stats(t.Context())
			if told := observer.count(observer.anomalies, "outbox_long"); err != nil || stats.Records != c.left || told != c.told {
				t.Errorf("%s: %d records are left, %d warnings, %v; want %d and %d", c.why, stats.Records, told, err, c.left, c.told)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}
