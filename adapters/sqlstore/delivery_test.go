package sqlstore

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/tests/pgtest"
)

// TestLostClaim claims in vain: the commit fails, or only its answer does. Either way the deliveries are claimed next
// time, once.
func TestLostClaim(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	addHooks(t, db, 1)
	record(t, db, newDeliveries(0, 3, 1, 0, false))
	rooms := []webhook.Room{{Webhook: testID(0), Places: 10}}
	claim := func() ([]webhook.Delivery, error) {
		claimed, _, err := db.Deliveries().Claim(t.Context(), testLease, epoch.Add(time.Hour), rooms)
		return claimed, err
	}
	exec := func(query string) {
		t.Helper()
		if _, err := db.SQL().ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`)
	exec(`CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON delivery DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
	if _, err := claim(); err == nil || len(db.deliveries.lost) != 1 {
		t.Fatalf("Claim = %v; want the commit refused, and the claim remembered", err)
	}
	exec(`DROP TRIGGER refuse ON delivery`)
	for range 2 {
		claimed, err := claim()
		if err != nil || len(claimed) != 3 || claimed[0].Progress.Attempts() != 1 {
			t.Fatalf("Claim = %v, %v; want all in their first attempt", claimed, err)
		}
		var rows []deliveryRow
		if err := db.read.SelectContext(t.Context(), &rows, `SELECT `+deliveryColumns+` FROM delivery`); err != nil {
			t.Fatal(err)
		}
		db.deliveries.lost = append(db.deliveries.lost, lostClaim{testLease.String(), rows}) // as if the answer had not arrived
	}
	db.deliveries.lost[0].lease = testID(1).String() // one that somebody else has by now
	if claimed, err := claim(); err != nil || len(claimed) != 0 {
		t.Errorf("Claim = %v, %v; want nothing taken away from its holder", claimed, err)
	}
	if len(db.deliveries.lost) != 0 {
		t.Error("the lost claim is not forgotten")
	}
	db.deliveries.lost = []lostClaim{{testLease.String(), []deliveryRow{{ID: testID(0).String()}}}}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := claim(); err == nil || len(db.deliveries.lost) != 1 {
		t.Errorf("Claim = %v; want the lost claim to come first, and to be kept", err)
	}
}

// TestClaimsOfTwoProcesses has claims run at the same time, which those of one process do not.
func TestClaimsOfTwoProcesses(t *testing.T) {
	t.Parallel()
	const count = 400
	db := openKind(t, pgtest.Database(t))
	addHooks(t, db, 1)
	record(t, db, newDeliveries(0, count, 1, 0, false))
	claims := make(chan []webhook.Delivery, 1)
	var processes sync.WaitGroup
	for p := range 4 {
		processes.Go(func() {
			d := &Deliveries{db: db}
			for {
				claimed, next, err := d.Claim(t.Context(), testID(1<<30+p), epoch.Add(time.Hour), []webhook.Room{{Webhook: testID(0), Places: 5}})
				if err != nil {
					t.Error(err)
				}
				if err != nil || len(claimed) == 0 && len(next) == 0 {
					return
				}
				claims <- claimed
			}
		})
	}
	go func() {
		processes.Wait()
		close(claims)
	}()
	seen := map[domain.UUID]bool{}
	for claimed := range claims {
		for _, d := range claimed {
			if seen[d.ID] {
				t.Errorf("%s was claimed twice", d.ID)
			}
			seen[d.ID] = true
		}
	}
	if len(seen) != count {
		t.Errorf("claimed %d of %d", len(seen), count)
	}
}

// Rows that this program did not write are errors, and not what they look like.
func TestForeignRows(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			db := openKind(t, kind.create(t))
			addHooks(t, db, 1)
			ctx, id := t.Context(), testID(0)
			for why, update := range map[string]string{
				"no event type":         `event_type = 'Nonsense'`,
				"no fault":              `fault = 'nonsense', number = 1`,
				"an impossible advance": `attempts = 2, forgiven = 2, status = 'dead', ended_at = 1`,
			} {
				record(t, db, newDeliveries(0, 1, 1, 0, false))
				if _, err := db.SQL().ExecContext(ctx, `UPDATE delivery SET `+update); err != nil {
					t.Fatal(err)
				}
				if _, _, err := db.Deliveries().Delivery(ctx, id); err == nil {
					t.Errorf("%s: it was read", why)
				}
				if strings.HasPrefix(update, "event_type") {
					rooms := []webhook.Room{{Webhook: id, Places: 1}}
					if _, _, err := db.Deliveries().Claim(ctx, testLease, epoch, rooms); err == nil {
						t.Errorf("%s: it was claimed", why)
					}
				}
				if _, err := db.SQL().ExecContext(ctx, `DELETE FROM delivery`); err != nil {
					t.Fatal(err)
				}
			}
			record(t, db, newDeliveries(0, 1, 1, 0, false))
			begin := func(p webhook.Progress) (webhook.Progress, error) { return p.Begin() }
			if _, err := db.Deliveries().Redeliver(ctx, webhook.Selection{Delivery: id}, 1, begin); err == nil {
				t.Error("a delivery went in flight without a lease")
			}
		})
	}
}

func TestClosedWebhooks(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			db := openKind(t, kind.create(t))
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			d, ctx, id := db.Deliveries(), t.Context(), testID(1)
			for call, fn := range map[string]func() error{
				"Webhooks": func() error { _, err := db.Webhooks().Webhooks(ctx); return err },
				"Change":   func() error { return db.Webhooks().Change(ctx, id, nil) },
				"Record":   func() error { _, err := d.Record(ctx, id, make([]webhook.Delivery, 1)); return err },
				"Claim":    func() error { _, _, err := d.Claim(ctx, id, epoch, make([]webhook.Room, 1)); return err },
				"Settle":   func() error { _, err := d.Settle(ctx, id, nil, make([]webhook.State, 1)); return err },
				"TakeOver": func() error { _, err := d.TakeOver(ctx, id, epoch); return err },
				"Deliveries": func() error {
					_, _, err := d.Deliveries(ctx, webhook.Query{Webhook: id, Limit: 1})
					return err
				},
				"Deliveries, page": func() error { _, _, err := d.Deliveries(ctx, webhook.Query{Before: id}); return err },
				"Delivery":         func() error { _, _, err := d.Delivery(ctx, id); return err },
				"Redeliver":        func() error { _, err := d.Redeliver(ctx, webhook.Selection{}, 1, nil); return err },
				"Prune":            func() error { _, err := d.Prune(ctx, epoch, epoch, 1); return err },
				"Check":            func() error { return db.Check(ctx) },
				"MigrateUp":        func() error { _, err := db.MigrateUp(ctx); return err },
				"MigrateDown":      func() error { _, err := db.MigrateDown(ctx); return err },
				"MigrationStatus":  func() error { _, err := db.MigrationStatus(ctx); return err },
			} {
				if err := fn(); err == nil || !strings.HasPrefix(err.Error(), "sqlstore: ") {
					t.Errorf("%s = %v after Close; want an error that says where it comes from", call, err)
				}
			}
		})
	}
}

// A change that returns another webhook is a mistake that must not be stored.
func TestChangeCannotRename(t *testing.T) {
	db := openKind(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	err := db.Webhooks().Change(t.Context(), testID(1), func(*webhook.Webhook) (*webhook.Webhook, error) {
		return &webhook.Webhook{ID: testID(2)}, nil
	})
	if err == nil {
		t.Error("it was stored")
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	db := openKind(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Run(ctx); err != nil {
		t.Error(err)
	}
}

// A server that has lost its hold works on until it knows. What it put in flight then, after the server that takes over has
// looked for what is, nobody would take back should it die.
func TestNothingIsPutInFlightWithoutTheHold(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	addHooks(t, db, 1)
	record(t, db, newDeliveries(0, 1, 1, 0, false))
	terminateHolder(t, db)
	if _, err := db.Deliveries().Record(t.Context(), testLease, newDeliveries(1, 1, 1, 0, true)); !errors.Is(err, domain.ErrUnavailable) {
		t.Errorf("Record = %v; want ErrUnavailable", err)
	}
	if _, _, err := db.Deliveries().Claim(t.Context(), testLease, epoch.Add(time.Hour), []webhook.Room{{Webhook: testID(0), Places: 10}}); !errors.Is(err, domain.ErrUnavailable) {
		t.Errorf("Claim = %v; want ErrUnavailable", err)
	}
	var inFlight int
	if err := db.read.GetContext(t.Context(), &inFlight, `SELECT count(*) FROM delivery WHERE status = 'in_flight'`); err != nil || inFlight != 0 {
		t.Errorf("%d are in flight, %v", inFlight, err)
	}
}
