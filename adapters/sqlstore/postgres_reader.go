package sqlstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/lib/pq"
)

// postgresReader reads the outbox in the order of positions, and remembers where it is. It could do without: what it has
// removed is gone. But while any transaction is open that could see the removed rows, PostgreSQL keeps them, and would go
// through all of them at every look.
type postgresReader struct {
	watchman
	book bookmark

	looking sync.Mutex // guards all below: one look at a time
	sweep   time.Time  // when to look everywhere next
	mark    *mark
}

var _ outboxReader = (*postgresReader)(nil)

// mark is a place up to which no gap can be filled any more once all transactions have ended that were there before it was
// made.
type mark struct {
	floor int64
	xid   int64 // of a transaction that came after those
	due   time.Time
}

const (
	// sweepPeriod is how often the reader looks everywhere, which should find nothing that it does not know of.
	sweepPeriod = 10 * time.Second
	// sweepShare bounds what part of the time that takes.
	sweepShare = 50

	// markAge is more than lies between a transaction's taking a position and its getting a number.
	markAge   = 2 * time.Second
	markPause = time.Second // between looks at whether transactions have ended
)

func (r *postgresReader) pending(ctx context.Context, limit int) (rows []outboxRow, err error) {
	r.looking.Lock()
	defer r.looking.Unlock()
	ended := r.ended(ctx) // before the look, which then sees what they have left
	if time.Now().After(r.sweep) {
		rows, err = r.everywhere(ctx, limit)
	} else {
		rows, err = r.behind(ctx, limit)
	}
	if err != nil {
		return nil, err
	}
	r.looked(len(rows))
	if ended && len(rows) < limit {
		r.book.settle(r.mark.floor, positionsOf(rows[:ordinary(rows)]))
		r.mark = nil
	}
	return r.withBursts(ctx, rows, limit)
}

// everywhere reads without regard to the bookmark, and puts it right.
func (r *postgresReader) everywhere(ctx context.Context, limit int) (rows []outboxRow, err error) {
	began := time.Now()
	err = r.pool.SelectContext(ctx, &rows, `SELECT position, kind, body, written_at FROM outbox ORDER BY position LIMIT $1`, limit)
	r.sweep = time.Now().Add(max(sweepPeriod, sweepShare*time.Since(began)))
	r.book.check(positionsOf(rows[:ordinary(rows)]))
	return rows, err
}

// behind reads what is behind the floor and in the gaps, in one look: of two records of the same row the second one is
// never seen without the first.
func (r *postgresReader) behind(ctx context.Context, limit int) (rows []outboxRow, err error) {
	gaps, floor := r.book.unread()
	if len(gaps) == 0 {
		err = r.pool.SelectContext(ctx, &rows, `SELECT position, kind, body, written_at FROM outbox WHERE position > $1 ORDER BY position LIMIT $2`, floor, limit)
		return rows, err
	}
	err = r.pool.SelectContext(ctx, &rows, `SELECT position, kind, body, written_at FROM (
			SELECT late.* FROM unnest($1::bigint[], $2::bigint[]) AS gap (low, high) CROSS JOIN LATERAL (
				SELECT position, kind, body, written_at FROM outbox WHERE position BETWEEN gap.low AND gap.high ORDER BY position LIMIT $4) AS late
			UNION ALL
			(SELECT position, kind, body, written_at FROM outbox WHERE position > $3 ORDER BY position LIMIT $4)) AS unread
		ORDER BY position LIMIT $4`,
		numbers(gaps, func(g *span) int64 { return g.low }), numbers(gaps, func(g *span) int64 { return g.high }), floor, limit)
	return rows, err
}

// ended reports whether no gap up to the mark can be filled any more, and makes a mark when there are gaps and none.
func (r *postgresReader) ended(ctx context.Context) bool {
	now := time.Now()
	if r.mark == nil {
		gaps, floor := r.book.unread()
		if len(gaps) == 0 {
			return false
		}
		m := mark{floor: floor, due: now.Add(markAge)}
		if err := r.pool.GetContext(ctx, &m.xid, currentXID); err == nil {
			r.mark = &m
		}
		return false
	}
	if now.Before(r.mark.due) {
		return false
	}
	r.mark.due = now.Add(markPause)
	var oldest int64
	err := r.pool.GetContext(ctx, &oldest, oldestXID)
	return err == nil && oldest >= r.mark.xid
}

func (r *postgresReader) remove(ctx context.Context, positions []int64) error {
	var gone []int64
	err := r.pool.SelectContext(ctx, &gone, `DELETE FROM outbox WHERE position = ANY ($1) RETURNING position`, pq.Int64Array(positions))
	if err != nil {
		return err
	}
	slices.Sort(gone)
	n, _ := slices.BinarySearch(gone, burst)
	r.book.removed(gone[:n]) // and not those that were not there, which may yet be
	return nil
}

func positionsOf(rows []outboxRow) []int64 {
	return column(rows, func(r *outboxRow) int64 { return r.Position })
}

// The numbers of transactions, in 64 bits.
const (
	// currentXID gives the transaction a number, greater than all that were given before. The end of a snapshot would not do:
	// it is behind the last one that has ended, not behind the last one that there is.
	currentXID = `SELECT pg_current_xact_id()::text::bigint`
	// oldestXID is up to which number all have ended.
	oldestXID = `SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint`
)
