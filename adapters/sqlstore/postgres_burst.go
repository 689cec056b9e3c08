package sqlstore

import (
	"context"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/matric/matric-events/domain"
)

// burst is what the positions of records begin with that a transaction wrote after many others, as triggers on somebody's
// tables do (adapters/capture). They stand behind the records of everybody else, for whom a burst must not stop delivery;
// and they have a subject, what they are about, which the others have not. Without burst their positions are in the same
// sequence as all.
const burst = 1 << 62

// pending returns the oldest records, those of bursts last. Of one subject records come in the order of the sequence: an
// ordinary record waits for those of a burst that are older, by going where they are.
func (e postgresEngine) pending(ctx context.Context, db *sqlx.DB, limit int) (rows []outboxRow, more bool, err error) {
	if err = db.SelectContext(ctx, &rows, `SELECT position, kind, body FROM outbox ORDER BY position LIMIT $1`, limit); err != nil || len(rows) == 0 {
		return nil, false, err
	}
	ordinary := len(rows)
	for ordinary > 0 && rows[ordinary-1].Position >= burst {
		ordinary--
	}
	full := len(rows) == limit
	if ordinary == len(rows) { // those of bursts, if any, are beyond
		if !full {
			return rows, false, nil
		}
		var any bool
		if err = db.GetContext(ctx, &any, `SELECT EXISTS (SELECT FROM outbox WHERE position >= $1)`, int64(burst)); err != nil || !any {
			return rows, true, err
		}
		if rows, ordinary, err = e.mix(ctx, db, rows); err != nil {
			return nil, false, err
		}
	}
	free, err := e.holdBack(ctx, db, rows[:ordinary])
	return append(free, rows[ordinary:]...), full || len(free) < ordinary, err
}

// mix replaces the last quarter of ordinary records by those of bursts, as far as these are older than the rest: then
// nothing that is older and about the same can come after them.
func (postgresEngine) mix(ctx context.Context, db *sqlx.DB, rows []outboxRow) (mixed []outboxRow, ordinary int, err error) {
	ordinary = len(rows) - len(rows)/4
	var late []outboxRow
	err = db.SelectContext(ctx, &late, `SELECT position, kind, body FROM outbox WHERE position >= $2 AND position < $3 ORDER BY position LIMIT $1`,
		len(rows)-ordinary, int64(burst), burst+rows[ordinary-1].Position)
	return append(rows[:ordinary:ordinary], late...), ordinary, err
}

// holdBack moves records behind older ones of their subject, and returns those that it did not move.
func (postgresEngine) holdBack(ctx context.Context, db *sqlx.DB, rows []outboxRow) (free []outboxRow, err error) {
	subjects := make([]string, len(rows))
	for i := range rows {
		subjects[i] = rows[i].subject()
	}
	var waiting []struct {
		Subject string `db:"subject"`
		First   int64  `db:"first"`
	}
	if err := db.SelectContext(ctx, &waiting, `SELECT subject, min(position) AS first FROM outbox WHERE subject = ANY ($1::uuid[]) GROUP BY subject`, pq.StringArray(subjects)); err != nil {
		return nil, err
	}
	first := map[string]int64{}
	for _, w := range waiting {
		first[w.Subject] = w.First
	}
	free = make([]outboxRow, 0, cap(rows))
	var moved []int64
	for i, row := range rows {
		if at, ok := first[subjects[i]]; ok && at-burst < row.Position {
			moved = append(moved, row.Position)
		} else {
			free = append(free, row)
		}
	}
	if len(moved) > 0 {
		_, err = db.ExecContext(ctx, `WITH moved AS (DELETE FROM outbox WHERE position = ANY ($1) RETURNING *)
			INSERT INTO outbox (position, kind, body, written_at, subject) OVERRIDING SYSTEM VALUE
			SELECT position + $2, kind, body, written_at, (body::json ->> CASE kind WHEN 'note' THEN 'note_id' ELSE 'job_id' END)::uuid FROM moved`,
			pq.Int64Array(moved), int64(burst))
	}
	return free, err
}

// subject returns what a record is about, in the form of a UUID: the nil UUID when it is about nothing.
func (r *outboxRow) subject() string {
	rec, err := r.decode()
	switch {
	case err == nil && rec.Worker != nil:
		return rec.Worker.JobID.String()
	case err == nil && rec.Note != nil:
		return rec.Note.Note.NoteID.String()
	}
	return domain.UUID{}.String()
}
