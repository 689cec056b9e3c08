package sqlstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/matric/matric-events/domain/webhook"
)

func BenchmarkRecordAndSettle(b *testing.B) {
	const batch = 256
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			db := openKind(b, kind.create(b))
			addHooks(b, db, 16)
			n := 0
			for b.Loop() {
				ds := newDeliveries(n*batch, batch, 16, 1000, true)
				n++
				record(b, db, ds)
				done := make([]webhook.Settled, batch)
				for i, d := range ds {
					o := webhook.Outcome{StartedAt: epoch, StatusCode: 200, Body: "ok", Timings: webhook.Timings{FirstByte: 1e6, Total: 2e6}}
					p, err := d.Progress.Settle(o, webhook.Plan{}, epoch, 0)
					if err != nil {
						b.Fatal(err)
					}
					done[i] = webhook.Settled{Delivery: d.ID, Webhook: d.Webhook, Progress: p, Attempt: webhook.Attempt{Number: 1, Outcome: o}}
				}
				states := make([]webhook.State, 16)
				for i := range states {
					states[i] = webhook.State{Webhook: testID(i), Health: webhook.Health{LastTriggeredAt: epoch}}
				}
				if fenced, err := db.Deliveries().Settle(b.Context(), testLease, done, states); err != nil || len(fenced) > 0 {
					b.Fatal(fenced, err)
				}
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

// BenchmarkClaim claims for 1,000 webhooks, of which one has a backlog of 500,000.
func BenchmarkClaim(b *testing.B) {
	const hooks, backlog = 1000, 500_000
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			db := openKind(b, kind.create(b))
			addHooks(b, db, hooks)
			record(b, db, newDeliveries(0, hooks, hooks, 0, false))
			record(b, db, newDeliveries(hooks, 1, 1, 0, false))
			if _, err := db.SQL().ExecContext(b.Context(), backlogOf(kind.name, kind.newID, backlog)); err != nil {
				b.Fatal(err)
			}
			rooms := make([]webhook.Room, hooks)
			for i := range rooms {
				rooms[i] = webhook.Room{Webhook: testID(i), Places: 1}
			}
			claim := func(rooms []webhook.Room) int {
				claimed, _, err := db.Deliveries().Claim(context.Background(), testLease, epoch.Add(time.Hour), rooms)
				if err != nil {
					b.Fatal(err)
				}
				return len(claimed)
			}
			if n := claim(rooms); n != hooks {
				b.Fatalf("claimed %d, want one of each", n)
			}
			b.Run("1 webhook, 32 places", func(b *testing.B) {
				for b.Loop() {
					if n := claim([]webhook.Room{{Webhook: testID(0), Places: 32}}); n != 32 {
						b.Fatal(n)
					}
				}
			})
			b.Run("1000 webhooks, 1 place each", func(b *testing.B) {
				for b.Loop() {
					if n := claim(rooms); n != 1 {
						b.Fatal(n)
					}
				}
			})
		})
	}
}

// backlogOf stores copies of the delivery number 1000.
func backlogOf(kind, newID string, count int) string {
	series := fmt.Sprintf(`generate_series(1, %d) AS n`, count)
	if kind == "sqlite" {
		series = fmt.Sprintf(`(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n FROM s)`, count)
	}
	return `INSERT INTO delivery (id, webhook_id, event_id, event_type, payload, created_at, status, attempts, forgiven, due_at, ended_at)
		SELECT ` + newID + `, webhook_id, ` + newID + `, event_type, payload, created_at, status, attempts, forgiven, due_at + n, ended_at
		FROM delivery, ` + series + ` WHERE delivery.id = '` + testID(1000).String() + `'`
}
