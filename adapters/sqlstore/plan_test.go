package sqlstore

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/tests/pgtest"
)

// kinds are the kinds of databases, and how to make many deliveries of one.
var kinds = []struct {
	name, newID string
	create      func(t testing.TB) string
}{
	{
		name:   "sqlite",
		newID:  `lower(printf('%s-%s-%s-%s-%s', hex(randomblob(4)), hex(randomblob(2)), hex(randomblob(2)), hex(randomblob(2)), hex(randomblob(6))))`,
		create: func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
	},
	{name: "postgres", newID: `gen_random_uuid()`, create: func(t testing.TB) string { return pgtest.Database(t) }},
}

func openKind(t testing.TB, url string) *DB {
	t.Helper()
	db, err := Open(t.Context(), url, &Options{SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func testID(n int) domain.UUID {
	return domain.UUID{6: 0x70, 8: 0x80, 12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n + 1)}
}

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// addHooks stores webhooks with the IDs 0 to count-1.
func addHooks(t testing.TB, db *DB, count int) {
	t.Helper()
	secret, err := signing.NewSecret(make([]byte, 24))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := signing.NewKeys(secret)
	if err != nil {
		t.Fatal(err)
	}
	url, err := webhook.ParseURL("https://receiver.example/", webhook.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range count {
		w := webhook.Webhook{ID: testID(n), Config: webhook.Config{URL: url}, Keys: keys, CreatedAt: epoch, UpdatedAt: epoch}
		if err := db.Webhooks().Change(t.Context(), w.ID, func(*webhook.Webhook) (*webhook.Webhook, error) { return &w, nil }); err != nil {
			t.Fatal(err)
		}
	}
}

// newDeliveries returns deliveries due at epoch, numbered from on, for the first so many webhooks in turn.
func newDeliveries(from, count, hooks, payload int, inFlight bool) []webhook.Delivery {
	ds := make([]webhook.Delivery, count)
	body := []byte(fmt.Sprintf(`{"type":"JobCompleted","message":%q}`, strings.Repeat("x", max(payload-36, 0))))
	for i := range ds {
		ds[i] = webhook.Delivery{
			ID: testID(from + i), Webhook: testID(i % hooks), Event: testID(from + i), Type: domain.Type(1 + i%7), Payload: body,
			CreatedAt: epoch, Progress: webhook.NewProgress(epoch),
		}
		if inFlight {
			ds[i].Progress, _ = ds[i].Progress.Begin()
		}
	}
	return ds
}

var testLease = testID(1 << 30)

func record(t testing.TB, db *DB, ds []webhook.Delivery) {
	t.Helper()
	if left, err := db.Deliveries().Record(t.Context(), testLease, ds); err != nil || len(left) > 0 {
		t.Fatalf("left out %d, %v", len(left), err)
	}
}

// multiply stores copies of all deliveries until there are at least so many, of which most were delivered.
func multiply(t testing.TB, db *DB, newID string, atLeast int) {
	t.Helper()
	for n := 0; n < atLeast; {
		if _, err := db.SQL().ExecContext(t.Context(), `INSERT INTO delivery (id, webhook_id, event_id, event_type, payload,
				created_at, status, attempts, forgiven, due_at, ended_at)
			SELECT `+newID+`, webhook_id, `+newID+`, event_type, payload, created_at + attempts, 'delivered', attempts + 1, 0, 0, created_at + 7
			FROM delivery`); err != nil {
			t.Fatal(err)
		}
		if err := db.ReadSQL().QueryRowContext(t.Context(), `SELECT count(*) FROM delivery`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

// plan returns how the database would run a statement.
func plan(t *testing.T, db *DB, kind, query string, args []any) string {
	t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if kind == "postgres" {
		explain = "EXPLAIN "
	}
	rows, err := db.write.QueryxContext(t.Context(), explain+db.write.Rebind(query), args...)
	if err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		columns, err := rows.SliceScan()
		if err != nil {
			t.Fatal(err)
		}
		line := columns[len(columns)-1]
		if b, ok := line.([]byte); ok {
			line = string(b)
		}
		lines = append(lines, fmt.Sprint(line))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// scans finds a plan that reads a table of deliveries or attempts from one end to the other.
var scans = regexp.MustCompile(`Seq Scan on (delivery|attempt)|SCAN (delivery|attempt)|Index (Only )?Scan using delivery_\w+ on delivery\s+\([^\n]*\)\n\s+(->|$)`)

// TestPlans checks that nothing which happens while deliveries are made reads all that are stored, and what is read
// through which index.
func TestPlans(t *testing.T) {
	now := micros(epoch.Add(time.Hour))
	id, lease := testID(1).String(), testLease.String()
	ids := pq.StringArray{testID(5).String(), testID(6).String()}
	type statement struct {
		why, query string
		args       []any
		index      string
	}
	shared := func(e engine) []statement {
		list, listArgs := (&ranges{webhook: testID(1), order: "DESC", limit: 50, where: `(created_at, id) < (?, ?)`, args: []any{now, id}}).page(e)
		some, someArgs := (&ranges{webhook: testID(1), statuses: []webhook.Status{webhook.Dead}, order: "ASC", limit: 50, where: `created_at >= ?`, args: []any{now}}).query(e, "id", " ORDER BY id"+e.forUpdate())
		return []statement{
			{"take over", takeOver(e), []any{now, lease, lease}, "delivery_list"},
			{"first due of each", selectFirstDue, nil, "delivery_due"},
			{"list", list, listArgs, "delivery_list"},
			{"dead since", some, someArgs, "delivery_list"},
			{"prune", deleteEnded(e), []any{"delivered", now, 500, "delivered", now}, "delivery_ended"},
			{"delete a webhook", deleteDeliveriesOf(e), []any{id}, ""},
		}
	}
	statements := map[string][]statement{
		"sqlite": append(shared(sqliteEngine{}),
			statement{"claim", sqliteClaim, []any{lease, id, now, 16}, "delivery_due"},
			statement{"keep an attempt", sqliteKeepAttempt, []any{id, lease}, ""},
			statement{"release", sqliteRelease, []any{"pending", 1, 0, now, 0, id, lease}, ""},
		),
		"postgres": append(shared(postgresEngine{}),
			statement{"claim", postgresClaim, []any{ids, pq.Int64Array{16, 16}, now, lease}, "delivery_due"},
			statement{"keep attempts", postgresKeepAttempts, []any{ids, lease}, "delivery_pkey"},
			statement{"release", postgresRelease, []any{
				ids, lease, pq.StringArray{"pending", "pending"}, pq.Int64Array{1, 1}, pq.Int64Array{0, 0}, pq.Int64Array{now, now}, pq.Int64Array{0, 0},
			}, "delivery_pkey"},
		),
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			db := openKind(t, kind.create(t))
			addHooks(t, db, 20)
			record(t, db, newDeliveries(0, 400, 20, 0, false))
			record(t, db, newDeliveries(400, 40, 20, 0, true))
			multiply(t, db, kind.newID, 20_000)
			if _, err := db.SQL().ExecContext(t.Context(), `ANALYZE`); err != nil {
				t.Fatal(err)
			}
			for _, s := range statements[kind.name] {
				got := plan(t, db, kind.name, s.query, s.args)
				if scans.MatchString(got) || !strings.Contains(got, s.index) {
					t.Errorf("%s: want no scan, and index %s; plan:\n%s", s.why, s.index, got)
				}
			}
		})
	}
}
