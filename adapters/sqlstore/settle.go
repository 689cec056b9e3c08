package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// Settle implements ports.Deliveries. Of an outcome everything is kept but the detail, which is for logs.
func (d *Deliveries) Settle(ctx context.Context, lease domain.UUID, done []webhook.Settled, states []webhook.State) (fenced []domain.UUID, err error) {
	now := time.Now()
	rows := make([]settledRow, len(done))
	for i := range done {
		rows[i] = settledRowOf(&done[i], now)
	}
	changed := make([]stateRow, len(states))
	for i := range states {
		changed[i] = stateRowOf(&states[i])
	}
	// Everybody locks in the same order: webhooks before deliveries, and either by ID.
	slices.SortFunc(changed, func(a, b stateRow) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(rows, func(a, b settledRow) int { return cmp.Compare(a.ID, b.ID) })
	settled := make(map[string]bool, len(done))
	if err := d.db.transact(ctx, func(tx *sqlx.Tx) error {
		clear(settled)
		if len(changed) > 0 {
			if err := d.db.engine.saveStates(ctx, tx, changed); err != nil {
				return translate(err)
			}
		}
		if len(rows) == 0 {
			return nil
		}
		ids, err := d.db.engine.settle(ctx, tx, lease.String(), rows)
		for _, id := range ids {
			settled[id] = true
		}
		return translate(err)
	}); err != nil {
		return nil, fmt.Errorf("sqlstore: settle %d deliveries: %w", len(done), err)
	}
	for i := range done {
		if !settled[done[i].Delivery.String()] {
			fenced = append(fenced, done[i].Delivery)
		}
	}
	return fenced, nil
}
