package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

var (
	_ ports.Deliveries    = (*Deliveries)(nil)
	_ ports.DeliveryLog   = (*Deliveries)(nil)
	_ ports.DeliveryMeter = (*Deliveries)(nil)
)

// Deliveries implements ports.Deliveries and ports.DeliveryLog. Use DB.Deliveries.
type Deliveries struct {
	db *DB

	// mu lets claims pass one at a time. It guards lost, so that what a lost claim took is given back before any other
	// claim can take it rightly.
	mu   sync.Mutex
	lost []lostClaim
}

// lostClaim is a claim whose commit failed, which does not tell whether it was done: on the way back the answer may be
// lost.
type lostClaim struct {
	lease string
	rows  []deliveryRow
}

// Deliveries returns the deliveries of the database.
func (d *DB) Deliveries() *Deliveries { return d.deliveries }

// Record implements ports.Deliveries. Deliveries that it has stored before, under the same ID, are not left out: when an
// answer is lost, call it again. It fails while another server could take the database over, and so does Claim: that server
// looks once for what another has in flight.
func (d *Deliveries) Record(ctx context.Context, lease domain.UUID, ds []webhook.Delivery) (left []domain.UUID, err error) {
	if len(ds) == 0 {
		return nil, nil
	}
	rows := make([]deliveryRow, len(ds))
	for i := range ds {
		rows[i] = deliveryRowOf(&ds[i])
	}
	if err := d.db.ours(ctx); err != nil {
		return nil, fmt.Errorf("sqlstore: record %d deliveries: %w", len(ds), err)
	}
	stored := map[string]bool{}
	if err := d.db.transact(ctx, func(tx *sqlx.Tx) error {
		clear(stored)
		ids, err := d.db.engine.insert(ctx, tx, lease.String(), rows)
		if err != nil {
			return translate(err)
		}
		for _, id := range ids {
			stored[id] = true
		}
		if len(ids) == len(rows) {
			return nil
		}
		return addKnown(ctx, tx, stored, rows)
	}); err != nil {
		return nil, fmt.Errorf("sqlstore: record %d deliveries: %w", len(ds), err)
	}
	for i := range ds {
		if !stored[rows[i].ID] {
			left = append(left, ds[i].ID)
		}
	}
	return left, nil
}

// addKnown adds to the set of stored IDs those of the rows that were stored before.
func addKnown(ctx context.Context, tx *sqlx.Tx, stored map[string]bool, rows []deliveryRow) error {
	var missing []string
	for i := range rows {
		if !stored[rows[i].ID] {
			missing = append(missing, rows[i].ID)
		}
	}
	var known []string
	if err := selectIn(ctx, tx, &known, `SELECT id FROM delivery WHERE id IN (?)`, missing); err != nil {
		return err
	}
	for _, id := range known {
		stored[id] = true
	}
	return nil
}

// Claim implements ports.Deliveries.
func (d *Deliveries) Claim(ctx context.Context, lease domain.UUID, now time.Time, rooms []webhook.Room) (claimed []webhook.Delivery, next map[domain.UUID]time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.giveBackLost(ctx); err != nil {
		return nil, nil, fmt.Errorf("sqlstore: give back a lost claim: %w", err)
	}
	if err = d.db.ours(ctx); err == nil {
		claimed, next, err = d.claim(ctx, lease.String(), micros(now), rooms)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("sqlstore: claim for %d webhooks: %w", len(rooms), err)
	}
	return claimed, next, nil
}

func (d *Deliveries) claim(ctx context.Context, lease string, now int64, rooms []webhook.Room) (claimed []webhook.Delivery, next map[domain.UUID]time.Time, err error) {
	rooms = slices.DeleteFunc(slices.Clone(rooms), func(r webhook.Room) bool { return r.Places < 0 })
	if len(rooms) == 0 {
		return nil, map[domain.UUID]time.Time{}, nil
	}
	var rows []deliveryRow
	ready := false // to be committed
	err = d.db.transact(ctx, func(tx *sqlx.Tx) (err error) {
		if rows, err = d.db.engine.claim(ctx, tx, lease, now, rooms); err != nil {
			return translate(err)
		}
		// A claim leaves due_at as it was.
		slices.SortFunc(rows, func(a, b deliveryRow) int { return cmp.Or(cmp.Compare(a.DueAt, b.DueAt), cmp.Compare(a.ID, b.ID)) })
		if claimed, err = deliveries(rows); err != nil {
			return err
		}
		next, err = firstDue(ctx, tx, rooms)
		ready = err == nil
		return err
	})
	if err != nil {
		if ready && len(rows) > 0 {
			d.lost = append(d.lost, lostClaim{lease, rows})
		}
		return nil, nil, err
	}
	return claimed, next, nil
}

// giveBackLost undoes claims whose commit failed, where it was done nevertheless. The caller holds d.mu.
func (d *Deliveries) giveBackLost(ctx context.Context) error {
	for len(d.lost) > 0 {
		if err := d.db.transact(ctx, func(tx *sqlx.Tx) error { return giveBack(ctx, tx, &d.lost[0]) }); err != nil {
			return err
		}
		d.lost = d.lost[1:]
	}
	return nil
}

func giveBack(ctx context.Context, tx *sqlx.Tx, lost *lostClaim) error {
	slices.SortFunc(lost.rows, func(a, b deliveryRow) int { return cmp.Compare(a.ID, b.ID) }) // as everybody locks; they are few
	for i := range lost.rows {
		r := &lost.rows[i]
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE delivery SET status = 'pending', attempts = attempts - 1, lease = NULL
			WHERE id = ? AND lease = ? AND attempts = ?`), r.ID, lost.lease, r.Attempts); err != nil {
			return translate(err)
		}
	}
	return nil
}

func takeOver(e engine) string {
	return `UPDATE delivery SET status = 'pending', attempts = attempts - 1, due_at = ?, lease = NULL
		WHERE id` + e.oneOf(`SELECT id FROM delivery WHERE status = 'in_flight' AND lease <> ? ORDER BY id`+e.forUpdate()) + `
			AND lease <> ?`
}

// TakeOver implements ports.Deliveries.
func (d *Deliveries) TakeOver(ctx context.Context, lease domain.UUID, now time.Time) (next map[domain.UUID]time.Time, err error) {
	err = d.db.transact(ctx, func(tx *sqlx.Tx) (err error) {
		if _, err = tx.ExecContext(ctx, tx.Rebind(takeOver(d.db.engine)), micros(now), lease.String(), lease.String()); err != nil {
			return translate(err)
		}
		next, err = firstDue(ctx, tx, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sqlstore: take over deliveries: %w", err)
	}
	return next, nil
}

const selectFirstDue = `SELECT id,
	(SELECT min(due_at) FROM delivery WHERE webhook_id = webhook.id AND status = 'pending') AS due FROM webhook`

// firstDue returns when the first pending delivery of each of the webhooks is due, or of each webhook there is.
func firstDue(ctx context.Context, tx *sqlx.Tx, of []webhook.Room) (map[domain.UUID]time.Time, error) {
	var found []struct {
		Webhook string `db:"id"`
		Due     *int64 `db:"due"`
	}
	var err error
	if of == nil {
		err = translate(tx.SelectContext(ctx, &found, selectFirstDue))
	} else {
		ids := make([]string, len(of))
		for i := range of {
			ids[i] = of[i].Webhook.String()
		}
		err = selectIn(ctx, tx, &found, selectFirstDue+` WHERE id IN (?)`, ids)
	}
	next := map[domain.UUID]time.Time{}
	for _, f := range found {
		if f.Due == nil {
			continue
		}
		id, err := domain.ParseUUID(f.Webhook)
		if err != nil {
			return nil, err
		}
		next[id] = time.UnixMicro(*f.Due).UTC()
	}
	return next, err
}

// selectIn runs a query whose one parameter is a list.
func selectIn(ctx context.Context, tx *sqlx.Tx, dst any, query string, list []string) error {
	query, args, err := sqlx.In(query, list)
	if err != nil {
		return err
	}
	return translate(tx.SelectContext(ctx, dst, tx.Rebind(query), args...))
}

// deliveries decodes rows.
func deliveries(rows []deliveryRow) ([]webhook.Delivery, error) {
	out := make([]webhook.Delivery, len(rows))
	for i := range rows {
		var err error
		if out[i], err = rows[i].delivery(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
