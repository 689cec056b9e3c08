package sqlstore

import (
	"context"
	"testing"
	"time"

	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/tests/pgtest"
)

// Of two transactions that lock the same deliveries one waits for the other, and never each for the other: whatever locks
// several of them locks them by rising IDs. Here they are created, due, ended and stored the other way round. Somebody has
// one of them; whoever waits for it must have none that come after it.
func TestPostgresDeliveriesAreLockedInOrder(t *testing.T) {
	t.Parallel()
	const count, taken = 6, 2
	settled := func(n, attempt int) webhook.Settled {
		r := webhook.Record{Status: webhook.Delivered, Attempts: max(attempt, 1), DeliveredAt: epoch}
		if attempt == 0 {
			r = webhook.Record{Status: webhook.Pending, DueAt: epoch}
		}
		p, err := webhook.Restore(r)
		if err != nil {
			t.Fatal(err)
		}
		return webhook.Settled{Delivery: testID(n), Webhook: testID(0), Progress: p, Attempt: webhook.Attempt{Number: attempt}}
	}
	again := func(p webhook.Progress) (webhook.Progress, error) { return p.Redeliver(epoch) }
	for _, c := range []struct {
		name, before string // what becomes of all deliveries before
		run          func(ctx context.Context, db *DB) error
	}{
		{"settle", `number = 1`, func(ctx context.Context, db *DB) error {
			_, err := db.Deliveries().Settle(ctx, testLease, []webhook.Settled{
				settled(0, 0), settled(1, 1), settled(2, 1), settled(3, 0), settled(4, 2), settled(5, 1),
			}, nil)
			return err
		}},
		{"release", `number = 1`, func(ctx context.Context, db *DB) error {
			_, err := db.Deliveries().Settle(ctx, testLease, []webhook.Settled{settled(1, 0), settled(2, 0), settled(3, 1), settled(4, 1)}, nil)
			return err
		}},
		{"take over", `number = 0`, func(ctx context.Context, db *DB) error {
			_, err := db.Deliveries().TakeOver(ctx, testID(1<<30+1), epoch)
			return err
		}},
		{"give back what was lost", `number = 0`, func(ctx context.Context, db *DB) error {
			lost := lostClaim{lease: testLease.String()}
			for n := count - 1; n >= 0; n-- {
				lost.rows = append(lost.rows, deliveryRow{ID: testID(n).String(), progressRow: progressRow{Attempts: 1}})
			}
			d := &Deliveries{db: db, lost: []lostClaim{lost}}
			_, _, err := d.Claim(ctx, testLease, epoch, nil)
			return err
		}},
		{"redeliver", `status = 'dead', lease = NULL`, func(ctx context.Context, db *DB) error {
			_, err := db.Deliveries().Redeliver(ctx, webhook.Selection{Webhook: testID(0), Redelivery: webhook.Redelivery{Status: webhook.Dead}}, count, again)
			return err
		}},
		{"prune", `status = 'delivered', lease = NULL`, func(ctx context.Context, db *DB) error {
			_, err := db.Deliveries().Prune(ctx, epoch.Add(time.Hour), epoch, count)
			return err
		}},
		{"delete the webhook", `number = 0`, func(ctx context.Context, db *DB) error {
			return db.Webhooks().Change(ctx, testID(0), func(*webhook.Webhook) (*webhook.Webhook, error) { return nil, nil })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			db := openKind(t, pgtest.Database(t))
			addHooks(t, db, 1)
			ds := newDeliveries(0, count, 1, 0, true)
			for n := count - 1; n >= 0; n-- {
				d := ds[n]
				d.Event, d.CreatedAt = testID(count-n), epoch.Add(-time.Duration(n)*time.Second)
				record(t, db, []webhook.Delivery{d})
			}
			if _, err := db.SQL().ExecContext(ctx, `UPDATE delivery SET due_at = created_at,
				ended_at = CASE WHEN $1 LIKE 'status%' THEN created_at ELSE 0 END, `+c.before, c.before); err != nil {
				t.Fatal(err)
			}
			tx, err := db.SQL().BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			if _, err := tx.ExecContext(ctx, `SELECT FROM delivery WHERE id = $1 FOR UPDATE`, testID(taken).String()); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- c.run(ctx, db) }()
			for waits := false; !waits; {
				if err := db.SQL().QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
					WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits); err != nil {
					t.Fatal(err)
				}
			}
			var free int
			if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT FROM delivery WHERE id > $1 FOR UPDATE SKIP LOCKED) AS free`,
				testID(taken).String()).Scan(&free); err != nil || free != count-taken-1 {
				t.Errorf("of %d deliveries behind the one that it waits for, %d are locked, %v", count-taken-1, count-taken-1-free, err)
			}
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
