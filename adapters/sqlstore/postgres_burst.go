package sqlstore

import (
	"context"
	"slices"

	"github.com/lib/pq"

	"github.com/matric/matric-events/domain"
)

// burst is what is added to the positions of records that a transaction wrote after many others, as triggers on somebody's
// tables do (adapters/capture). So they stand behind the records of everybody else, for whom a burst must not stop delivery;
// and they have a subject, what they are about, which the others have not. Without burst their positions are of the same
// sequence as all.
const burst = 1 << 62

// ordinary returns how many of the records, by rising positions, are not of bursts.
func ordinary(rows []outboxRow) int {
	n, _ := slices.BinarySearchFunc(rows, int64(burst), func(r outboxRow, p int64) int {
		if r.Position < p {
			return -1
		}
		return 1
	})
	return n
}

// withBursts returns what to publish of the records of a look, in which there may be some of bursts, or more of them behind
// it. Of one subject records come in the order of the sequence: an ordinary one waits for those of a burst that are older,
// by going where they are.
func (r *postgresReader) withBursts(ctx context.Context, rows []outboxRow, limit int) (_ []outboxRow, err error) {
	n := ordinary(rows)
	if n == len(rows) {
		var any bool
		if len(rows) < limit {
			return rows, nil // else it had shown
		}
		if err := r.pool.GetContext(ctx, &any, `SELECT EXISTS (SELECT FROM outbox WHERE position >= $1)`, int64(burst)); err != nil || !any {
			return rows, err
		}
		if rows, err = r.mixed(ctx, limit); err != nil {
			return nil, err
		}
		n = ordinary(rows)
	}
	free, err := r.holdBack(ctx, rows[:n])
	r.bell.ring() // there is more
	return append(free, rows[n:]...), err
}

// mixed reads ordinary records, and a quarter of those of bursts, as far as these are older than ordinary ones that are left
// for the next time: then nothing older of the same subject can come after them. It is one look, as for all.
func (r *postgresReader) mixed(ctx context.Context, limit int) (rows []outboxRow, err error) {
	gaps, floor := r.book.unread()
	share := limit / 4
	err = r.pool.SelectContext(ctx, &rows, `WITH ordinary AS MATERIALIZED (
			SELECT position, kind, body, written_at FROM (
				SELECT late.* FROM unnest($1::bigint[], $2::bigint[]) AS gap (low, high) CROSS JOIN LATERAL (
					SELECT position, kind, body, written_at FROM outbox WHERE position BETWEEN gap.low AND gap.high ORDER BY position LIMIT $4) AS late
				UNION ALL
				(SELECT position, kind, body, written_at FROM outbox WHERE position > $3 AND position < $5 ORDER BY position LIMIT $4)) AS unread
			ORDER BY position LIMIT $4)
		SELECT * FROM ordinary UNION ALL
		(SELECT position, kind, body, written_at FROM outbox WHERE position >= $5
			AND position < (SELECT CASE WHEN count(*) < $4 THEN 9223372036854775807 ELSE $5 + max(position) END FROM ordinary)
			ORDER BY position LIMIT $6)`,
		numbers(gaps, func(g *span) int64 { return g.low }), numbers(gaps, func(g *span) int64 { return g.high }), floor, limit-share, int64(burst), share)
	slices.SortFunc(rows, func(a, b outboxRow) int {
		if a.Position < b.Position {
			return -1
		}
		return 1
	})
	return rows, err
}

// holdBack moves ordinary records behind older ones of their subject, and returns those that it did not move.
func (r *postgresReader) holdBack(ctx context.Context, rows []outboxRow) (free []outboxRow, err error) {
	subjects := make([]string, len(rows))
	for i := range rows {
		subjects[i] = rows[i].subject()
	}
	var waiting []struct {
		Subject string `db:"subject"`
		First   int64  `db:"first"`
	}
	if err := r.pool.SelectContext(ctx, &waiting, `SELECT subject, min(position) AS first FROM outbox WHERE subject = ANY ($1::uuid[]) GROUP BY subject`, pq.StringArray(subjects)); err != nil {
		return nil, err
	}
	first := map[string]int64{}
	for _, w := range waiting {
		first[w.Subject] = w.First
	}
	free = make([]outboxRow, 0, cap(rows))
	var behind []int64
	for i, row := range rows {
		if at, ok := first[subjects[i]]; ok && at-burst < row.Position {
			behind = append(behind, row.Position)
		} else {
			free = append(free, row)
		}
	}
	if len(behind) == 0 {
		return free, nil
	}
	var moved []int64
	err = r.pool.SelectContext(ctx, &moved, `WITH moved AS (DELETE FROM outbox WHERE position = ANY ($1) RETURNING *)
		INSERT INTO outbox (position, kind, body, written_at, subject) OVERRIDING SYSTEM VALUE
		SELECT position + $2, kind, body, written_at, (body::json ->> CASE kind WHEN 'note' THEN 'note_id' ELSE 'job_id' END)::uuid FROM moved
		RETURNING position - $2`, pq.Int64Array(behind), int64(burst))
	slices.Sort(moved)
	r.book.removed(moved)
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
