package sqlstore

import (
	"context"
	"database/sql"
	"encoding/binary"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/migrations"
)

// postgresEngine handles a batch in one statement, to which it is passed as one array for each column: there is a network
// between.
type postgresEngine struct {
	listenURL string
	pulse     time.Duration // how often to look for what no notification told of
}

var _ engine = postgresEngine{}

func (postgresEngine) dialect() string { return "postgres" }

func (postgresEngine) provider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrateLock), lock.WithLockTimeout(1, 60))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, migrations.Postgres(), goose.WithSessionLocker(locker))
}

func (postgresEngine) findKeyCheck() string {
	return `SELECT count(*) FROM pg_class WHERE oid = to_regclass('secret_key_check')`
}

func (postgresEngine) outboxStats() string {
	return `SELECT count(*) AS records, coalesce(extract(epoch FROM clock_timestamp() - min(written_at)), 0)::float8 AS oldest FROM outbox`
}

// lockNote also works for a note that is not there yet. Two notes may share a lock, and then wait in vain.
func (postgresEngine) lockNote(ctx context.Context, tx *sqlx.Tx, id domain.UUID) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, noteLock, int32(binary.BigEndian.Uint32(id[12:])))
	return err
}

// lockWebhook also works for a webhook that is not there yet. Two webhooks may share a lock, and then wait in vain.
func (postgresEngine) lockWebhook(ctx context.Context, tx *sqlx.Tx, id domain.UUID) error {
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, webhookLock, int32(binary.BigEndian.Uint32(id[12:]))); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `SELECT FROM webhook WHERE id = $1 FOR UPDATE`, id.String()) // makes Settle wait
	return err
}

func (postgresEngine) forUpdate() string { return " FOR UPDATE" }

// oneOf returns an array, which makes the planner look each ID up, however many it takes there to be; for more than a few
// it might read the whole table otherwise.
func (postgresEngine) oneOf(subquery string) string { return ` = ANY (ARRAY (` + subquery + `))` }

// A webhook that is being deleted is waited for, and then gone. Of two deliveries of one event the first is stored.
const postgresInsertDelivery = `INSERT INTO delivery (id, webhook_id, event_id, event_type, payload, created_at, ` + progressColumns + `, lease)
	SELECT d.id, d.webhook_id, d.event_id, d.event_type, d.payload, d.created_at,
		d.status, d.attempts, d.forgiven, d.due_at, d.ended_at, CASE WHEN d.status = 'in_flight' THEN $12::uuid END
	FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[],
		$7::text[], $8::integer[], $9::integer[], $10::bigint[], $11::bigint[]) WITH ORDINALITY
		AS d (id, webhook_id, event_id, event_type, payload, created_at, status, attempts, forgiven, due_at, ended_at, place)
	JOIN webhook AS w ON w.id = d.webhook_id
	ORDER BY d.place
	FOR KEY SHARE OF w
	ON CONFLICT DO NOTHING
	RETURNING id`

func (postgresEngine) insert(ctx context.Context, tx *sqlx.Tx, lease string, rows []deliveryRow) (stored []string, err error) {
	err = tx.SelectContext(ctx, &stored, postgresInsertDelivery,
		texts(rows, func(r *deliveryRow) string { return r.ID }),
		texts(rows, func(r *deliveryRow) string { return r.Webhook }),
		texts(rows, func(r *deliveryRow) string { return r.Event }),
		texts(rows, func(r *deliveryRow) string { return r.EventType }),
		texts(rows, func(r *deliveryRow) string { return r.Payload }),
		numbers(rows, func(r *deliveryRow) int64 { return r.CreatedAt }),
		texts(rows, func(r *deliveryRow) string { return r.Status }),
		numbers(rows, func(r *deliveryRow) int64 { return r.Attempts }),
		numbers(rows, func(r *deliveryRow) int64 { return r.Forgiven }),
		numbers(rows, func(r *deliveryRow) int64 { return r.DueAt }),
		numbers(rows, func(r *deliveryRow) int64 { return r.EndedAt }),
		lease)
	return stored, err
}

// For the array see oneOf.
const postgresClaim = `UPDATE delivery SET status = 'in_flight', attempts = attempts + 1, lease = $4
	WHERE id = ANY (ARRAY (
		SELECT due.id FROM unnest($1::uuid[], $2::integer[]) AS room (webhook_id, places)
		CROSS JOIN LATERAL (
			SELECT id FROM delivery WHERE webhook_id = room.webhook_id AND status = 'pending' AND due_at <= $3
			ORDER BY due_at, id LIMIT room.places
			FOR UPDATE SKIP LOCKED
		) AS due))
	RETURNING ` + deliveryColumns

func (postgresEngine) claim(ctx context.Context, tx *sqlx.Tx, lease string, now int64, rooms []webhook.Room) (rows []deliveryRow, err error) {
	err = tx.SelectContext(ctx, &rows, postgresClaim,
		texts(rooms, func(r *webhook.Room) string { return r.Webhook.String() }),
		numbers(rooms, func(r *webhook.Room) int64 { return int64(r.Places) }),
		now, lease)
	return rows, err
}

const (
	// postgresMine are those of the deliveries that are in flight under the lease (nothing else has one), locked in the
	// order that everybody locks in. The status is not asked for, lest the planner look in the index of what is in flight,
	// which is full of what no longer is.
	postgresMine = `SELECT id, ` + outcomeColumns + ` FROM delivery
		WHERE id = ANY ($1::uuid[]) AND lease = $2::uuid ORDER BY id FOR UPDATE`

	// postgresLockMine returns one row, whatever it locks.
	postgresLockMine = `SELECT count(*) FROM (` + postgresMine + `) AS mine`

	postgresKeepAttempts = `WITH mine AS (` + postgresMine + `)
		INSERT INTO attempt (delivery_id, ` + outcomeColumns + `) SELECT id, ` + outcomeColumns + ` FROM mine WHERE number > 0`

	postgresRelease = `WITH mine AS MATERIALIZED (` + postgresMine + `)
		UPDATE delivery AS d
		SET status = s.status, attempts = s.attempts, forgiven = s.forgiven, due_at = s.due_at, ended_at = s.ended_at, lease = NULL
		FROM mine JOIN unnest($1::uuid[], $3::text[], $4::integer[], $5::integer[], $6::bigint[], $7::bigint[])
			AS s (id, status, attempts, forgiven, due_at, ended_at) USING (id)
		WHERE d.id = mine.id
		RETURNING d.id`

	postgresSettle = `WITH mine AS MATERIALIZED (` + postgresMine + `)
		UPDATE delivery AS d
		SET status = s.status, attempts = s.attempts, forgiven = s.forgiven, due_at = s.due_at, ended_at = s.ended_at, lease = NULL,
			number = s.number, started_at = s.started_at, status_code = s.status_code, fault = s.fault,
			response_body = s.response_body, retry_after = s.retry_after, dns = s.dns, connect = s.connect, tls = s.tls,
			first_byte = s.first_byte, total = s.total
		FROM mine JOIN unnest($1::uuid[], $3::text[], $4::integer[], $5::integer[], $6::bigint[], $7::bigint[],
				$8::integer[], $9::bigint[], $10::integer[], $11::text[], $12::text[], $13::bigint[],
				$14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[])
			AS s (id, status, attempts, forgiven, due_at, ended_at, ` + outcomeColumns + `) USING (id)
		WHERE d.id = mine.id
		RETURNING d.id`
)

func (postgresEngine) settle(ctx context.Context, tx *sqlx.Tx, lease string, rows []settledRow) (settled []string, err error) {
	attempted, repeated, released := sortOut(rows)
	if len(repeated) > 0 || len(attempted) > 0 && len(released) > 0 { // several statements, and all together must lock in order
		if _, err := tx.ExecContext(ctx, postgresLockMine, texts(rows, func(r *settledRow) string { return r.ID }), lease); err != nil {
			return nil, err
		}
	}
	if len(repeated) > 0 {
		if _, err := tx.ExecContext(ctx, postgresKeepAttempts, settledIDs(repeated), lease); err != nil {
			return nil, err
		}
	}
	if len(attempted) > 0 {
		if err := tx.SelectContext(ctx, &settled, postgresSettle, append(progressArrays(attempted, lease), outcomeArrays(attempted)...)...); err != nil {
			return nil, err
		}
	}
	if len(released) > 0 {
		var more []string
		if err := tx.SelectContext(ctx, &more, postgresRelease, progressArrays(released, lease)...); err != nil {
			return nil, err
		}
		settled = append(settled, more...)
	}
	return settled, nil
}

func settledIDs(rows []*settledRow) any {
	return texts(rows, func(r **settledRow) string { return (*r).ID })
}

func progressArrays(rows []*settledRow, lease string) []any {
	return []any{
		settledIDs(rows),
		lease,
		texts(rows, func(r **settledRow) string { return (*r).Status }),
		numbers(rows, func(r **settledRow) int64 { return (*r).Attempts }),
		numbers(rows, func(r **settledRow) int64 { return (*r).Forgiven }),
		numbers(rows, func(r **settledRow) int64 { return (*r).DueAt }),
		numbers(rows, func(r **settledRow) int64 { return (*r).EndedAt }),
	}
}

func outcomeArrays(rows []*settledRow) []any {
	return []any{
		numbers(rows, func(r **settledRow) int64 { return (*r).Number }),
		numbers(rows, func(r **settledRow) int64 { return (*r).StartedAt }),
		numbers(rows, func(r **settledRow) int64 { return (*r).StatusCode }),
		texts(rows, func(r **settledRow) string { return (*r).Fault }),
		texts(rows, func(r **settledRow) string { return (*r).ResponseBody }),
		numbers(rows, func(r **settledRow) int64 { return (*r).RetryAfter }),
		numbers(rows, func(r **settledRow) int64 { return (*r).DNS }),
		numbers(rows, func(r **settledRow) int64 { return (*r).Connect }),
		numbers(rows, func(r **settledRow) int64 { return (*r).TLS }),
		numbers(rows, func(r **settledRow) int64 { return (*r).FirstByte }),
		numbers(rows, func(r **settledRow) int64 { return (*r).Total }),
	}
}

const postgresSaveStates = `WITH locked AS MATERIALIZED (
		SELECT id FROM webhook WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE)
	UPDATE webhook AS w SET last_triggered_at = s.last_triggered_at, failure_count = s.failure_count,
		updated_at = CASE WHEN s.gone AND w.activation = 'active' THEN s.updated_at ELSE w.updated_at END,
		activation = CASE WHEN s.gone AND w.activation = 'active' THEN 'gone' ELSE w.activation END
	FROM locked JOIN unnest($1::uuid[], $2::bigint[], $3::integer[], $4::boolean[], $5::bigint[])
		AS s (id, last_triggered_at, failure_count, gone, updated_at) USING (id)
	WHERE w.id = locked.id`

func (postgresEngine) saveStates(ctx context.Context, tx *sqlx.Tx, rows []stateRow) error {
	_, err := tx.ExecContext(ctx, postgresSaveStates,
		texts(rows, func(r *stateRow) string { return r.ID }),
		numbers(rows, func(r *stateRow) int64 { return r.LastTriggeredAt }),
		numbers(rows, func(r *stateRow) int64 { return r.FailureCount }),
		pq.BoolArray(column(rows, func(r *stateRow) bool { return r.Gone })),
		numbers(rows, func(r *stateRow) int64 { return r.UpdatedAt }))
	return err
}

// column returns one value of each row.
func column[R, V any](rows []R, value func(*R) V) []V {
	out := make([]V, len(rows))
	for i := range rows {
		out[i] = value(&rows[i])
	}
	return out
}

func texts[R any](rows []R, value func(*R) string) any { return pq.StringArray(column(rows, value)) }

func numbers[R any](rows []R, value func(*R) int64) any { return pq.Int64Array(column(rows, value)) }
