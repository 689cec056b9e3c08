package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// supersedePage is how many records Supersede reads, and then deletes of, at a time.
const supersedePage = 1000

// Stats implements ports.OutboxMeter.
func (o *Outbox) Stats(ctx context.Context) (ports.OutboxStats, error) {
	var row struct {
		Records int     `db:"records"`
		Oldest  float64 `db:"oldest"` // seconds ago
	}
	if err := o.db.read.GetContext(ctx, &row, o.db.engine.outboxStats()); err != nil {
		return ports.OutboxStats{}, fmt.Errorf("sqlstore: measure the outbox: %w", translate(err))
	}
	return ports.OutboxStats{Records: row.Records, Oldest: max(0, time.Duration(row.Oldest*float64(time.Second)))}, nil
}

// Supersede implements ports.OutboxKeeper. It goes through the outbox by positions. What commits meanwhile behind the place
// where it is it does not see, which is no harm: of one job such a record comes later than all that were seen of it.
func (o *Outbox) Supersede(ctx context.Context) (int, error) {
	var all domain.Superseded
	removed := 0
	for last := int64(0); ; {
		var rows []outboxRow
		if err := o.db.read.SelectContext(ctx, &rows, o.db.read.Rebind(`SELECT position, kind, body FROM outbox
			WHERE position > ? ORDER BY position LIMIT ?`), last, supersedePage); err != nil {
			return removed, fmt.Errorf("sqlstore: read the outbox: %w", translate(err))
		}
		if len(rows) == 0 {
			return removed, nil
		}
		var gone []int64
		for i := range rows {
			if last < burst && rows[i].Position >= burst {
				all = domain.Superseded{} // what stands there may be older than what was seen of its job
			}
			last = rows[i].Position
			if r, err := rows[i].decode(); err == nil && r.Worker != nil {
				if position, ok := all.By(last, r.Worker); ok {
					gone = append(gone, position)
				}
			}
		}
		if err := o.Remove(ctx, gone...); err != nil {
			return removed, err
		}
		removed += len(gone)
	}
}
