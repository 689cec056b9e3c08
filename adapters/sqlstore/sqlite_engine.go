package sqlstore

import (
	"context"
	"database/sql"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/migrations"
)

// sqliteEngine runs prepared statements in loops: there is no network between. Transactions come one at a time.
type sqliteEngine struct{}

var _ engine = sqliteEngine{}

func (sqliteEngine) dialect() string { return "sqlite" }

func (sqliteEngine) provider(db *sql.DB) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectSQLite3, db, migrations.SQLite())
}

func (sqliteEngine) findKeyCheck() string {
	return `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'secret_key_check'`
}

func (sqliteEngine) prepare(context.Context, *sqlx.DB) error { return nil }

// listen has nothing to hear: there are no other connections that write, and that of the writer has its hooks.
func (sqliteEngine) listen(ctx context.Context, _ func(string)) error {
	<-ctx.Done()
	return nil
}

// outboxStats takes the time of the event for that of its writing, which is the same here. What is no JSON has no age.
func (sqliteEngine) outboxStats() string {
	return `SELECT count(*) AS records, coalesce((SELECT unixepoch('subsec') - unixepoch(body ->> '$.occurred_at', 'subsec')
		FROM outbox WHERE json_valid(body) ORDER BY position LIMIT 1), 0) AS oldest FROM outbox`
}

func (sqliteEngine) lockNote(context.Context, *sqlx.Tx, domain.UUID) error { return nil }

func (sqliteEngine) lockWebhook(context.Context, *sqlx.Tx, domain.UUID) error { return nil }

func (sqliteEngine) forUpdate() string { return "" }

func (sqliteEngine) oneOf(subquery string) string { return ` IN (` + subquery + `)` }

const sqliteInsertDelivery = `INSERT INTO delivery (id, webhook_id, event_id, event_type, payload, created_at, ` + progressColumns + `, lease)
	SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, iif(?7 = 'in_flight', ?12, NULL)
	WHERE EXISTS (SELECT 1 FROM webhook WHERE id = ?2)
	ON CONFLICT DO NOTHING`

func (sqliteEngine) insert(ctx context.Context, tx *sqlx.Tx, lease string, rows []deliveryRow) (stored []string, err error) {
	err = execEach(ctx, tx, sqliteInsertDelivery, len(rows), func(i int) []any {
		r := &rows[i]
		return []any{
			r.ID, r.Webhook, r.Event, r.EventType, r.Payload, r.CreatedAt,
			r.Status, r.Attempts, r.Forgiven, r.DueAt, r.EndedAt, lease,
		}
	}, func(i int) { stored = append(stored, rows[i].ID) })
	return stored, err
}

const sqliteClaim = `UPDATE delivery SET status = 'in_flight', attempts = attempts + 1, lease = ?
	WHERE id IN (SELECT id FROM delivery WHERE webhook_id = ? AND status = 'pending' AND due_at <= ? ORDER BY due_at, id LIMIT ?)
	RETURNING ` + deliveryColumns

func (sqliteEngine) claim(ctx context.Context, tx *sqlx.Tx, lease string, now int64, rooms []webhook.Room) ([]deliveryRow, error) {
	claim, err := tx.PreparexContext(ctx, sqliteClaim)
	if err != nil {
		return nil, err
	}
	defer claim.Close() // it goes with the transaction
	var all, some []deliveryRow
	for _, room := range rooms {
		some = some[:0]
		if err := claim.SelectContext(ctx, &some, lease, room.Webhook.String(), now, room.Places); err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// What has the lease is in flight; nothing else has one.
const (
	sqliteKeepAttempt = `INSERT INTO attempt (delivery_id, ` + outcomeColumns + `)
		SELECT id, ` + outcomeColumns + ` FROM delivery WHERE id = ? AND lease = ? AND number > 0`

	sqliteRelease = `UPDATE delivery SET status = ?, attempts = ?, forgiven = ?, due_at = ?, ended_at = ?, lease = NULL
		WHERE id = ? AND lease = ?`

	sqliteSettle = `UPDATE delivery SET status = ?, attempts = ?, forgiven = ?, due_at = ?, ended_at = ?, lease = NULL,
		number = ?, started_at = ?, status_code = ?, fault = ?, response_body = ?, retry_after = ?,
		dns = ?, connect = ?, tls = ?, first_byte = ?, total = ?
		WHERE id = ? AND lease = ?`
)

func (sqliteEngine) settle(ctx context.Context, tx *sqlx.Tx, lease string, rows []settledRow) (settled []string, err error) {
	attempted, repeated, released := sortOut(rows)
	if err := execEach(ctx, tx, sqliteKeepAttempt, len(repeated), func(i int) []any { return []any{repeated[i].ID, lease} }, nil); err != nil {
		return nil, err
	}
	if err := execEach(ctx, tx, sqliteSettle, len(attempted), func(i int) []any {
		r := attempted[i]
		return []any{
			r.Status, r.Attempts, r.Forgiven, r.DueAt, r.EndedAt,
			r.Number, r.StartedAt, r.StatusCode, r.Fault, r.ResponseBody, r.RetryAfter,
			r.DNS, r.Connect, r.TLS, r.FirstByte, r.Total, r.ID, lease,
		}
	}, func(i int) { settled = append(settled, attempted[i].ID) }); err != nil {
		return nil, err
	}
	err = execEach(ctx, tx, sqliteRelease, len(released), func(i int) []any {
		r := released[i]
		return []any{r.Status, r.Attempts, r.Forgiven, r.DueAt, r.EndedAt, r.ID, lease}
	}, func(i int) { settled = append(settled, released[i].ID) })
	return settled, err
}

const sqliteSaveState = `UPDATE webhook SET last_triggered_at = ?1, failure_count = ?2,
	updated_at = iif(?3 AND activation = 'active', ?4, updated_at), activation = iif(?3 AND activation = 'active', 'gone', activation)
	WHERE id = ?5`

func (sqliteEngine) saveStates(ctx context.Context, tx *sqlx.Tx, rows []stateRow) error {
	return execEach(ctx, tx, sqliteSaveState, len(rows), func(i int) []any {
		r := &rows[i]
		return []any{r.LastTriggeredAt, r.FailureCount, r.Gone, r.UpdatedAt, r.ID}
	}, nil)
}

// execEach runs a statement n times, and tells wrote, which may be nil, which times it has written a row.
func execEach(ctx context.Context, tx *sqlx.Tx, query string, n int, args func(i int) []any, wrote func(i int)) error {
	if n == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer stmt.Close() // it goes with the transaction
	for i := range n {
		result, err := stmt.ExecContext(ctx, args(i)...)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if rows > 0 && wrote != nil {
			wrote(i)
		}
	}
	return nil
}

// sortOut tells the deliveries whose attempt ended from those that were given back. repeated are those of the former that
// have earlier attempts.
func sortOut(rows []settledRow) (attempted, repeated, released []*settledRow) {
	for i := range rows {
		r := &rows[i]
		if r.Number == 0 {
			released = append(released, r)
			continue
		}
		attempted = append(attempted, r)
		if r.Number > 1 {
			repeated = append(repeated, r)
		}
	}
	return attempted, repeated, released
}
