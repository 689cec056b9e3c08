package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// Deliveries implements ports.DeliveryLog. The newest are those created last.
func (d *Deliveries) Deliveries(ctx context.Context, q webhook.Query) (list []webhook.Delivery, more bool, err error) {
	if list, more, err = d.list(ctx, q); err != nil {
		return nil, false, fmt.Errorf("sqlstore: list deliveries of webhook %s: %w", q.Webhook, err)
	}
	return list, more, nil
}

func (d *Deliveries) list(ctx context.Context, q webhook.Query) (list []webhook.Delivery, more bool, err error) {
	r := ranges{webhook: q.Webhook, statuses: q.Statuses, types: q.Types, order: "DESC", limit: withNext(q.Limit)}
	if !q.Before.IsZero() {
		var before int64
		if err := d.db.read.GetContext(ctx, &before, d.db.read.Rebind(`SELECT created_at FROM delivery WHERE id = ?`), q.Before.String()); err != nil {
			return nil, false, translate(err)
		}
		r.where, r.args = `(created_at, id) < (?, ?)`, []any{before, q.Before.String()}
	}
	query, args := r.page(d.db.engine)
	return readPage(ctx, d.db.read, q.Limit, query, args, func(r *deliveryRow) (webhook.Delivery, int, error) {
		delivery, err := r.delivery()
		return delivery, len(delivery.Payload), err
	})
}

// ranges selects deliveries of a webhook from the index delivery_list: it reads the first of each status and type in
// order, and merges them. So its cost depends on the limit alone, however rare or frequent what is asked for is.
type ranges struct {
	webhook  domain.UUID
	statuses []webhook.Status // empty for any
	types    domain.TypeSet   // zero for any
	where    string           // a condition on created_at and id; empty for none
	args     []any            // of the condition
	order    string           // ASC or DESC
	limit    int
}

// sorted is the order in which the first are taken.
func (r *ranges) sorted() string {
	return fmt.Sprintf(" ORDER BY created_at %[1]s, id %[1]s", r.order)
}

// query returns a query for some columns, and its arguments. suffix ends it, and may order what is taken anew.
func (r *ranges) query(e engine, columns, suffix string) (query string, args []any) {
	statuses, types, where := r.statuses, r.types, r.where
	if len(statuses) == 0 {
		statuses = []webhook.Status{webhook.Pending, webhook.InFlight, webhook.Delivered, webhook.Dead, webhook.Canceled}
	}
	if types == 0 {
		types = domain.AllTypes
	}
	if where != "" {
		where = " AND " + where
	}
	order := r.sorted()
	limit := max(r.limit, 0)
	var parts []string
	for _, status := range slices.Compact(slices.Sorted(slices.Values(statuses))) {
		for t := range types.All() { // the names are constants of ours
			parts = append(parts, fmt.Sprintf(`SELECT * FROM (SELECT id, created_at FROM delivery
				WHERE status = '%s' AND webhook_id = ? AND event_type = '%s'%s%s LIMIT ?) AS part`, status, t, where, order))
			args = append(append(append(args, r.webhook.String()), r.args...), limit)
		}
	}
	merged := `SELECT id FROM (` + strings.Join(parts, " UNION ALL ") + `) AS merged` + order + ` LIMIT ?`
	return `SELECT ` + columns + ` FROM delivery WHERE id` + e.oneOf(merged) + suffix, append(args, limit)
}

// page returns a query for those that fit on a page and the one after them, and its arguments.
func (r *ranges) page(e engine) (query string, args []any) {
	chosen, args := r.query(e, `id, created_at, `+sizeOf("payload"), "")
	return `SELECT ` + deliveryColumns + ` FROM delivery WHERE id` + e.oneOf(fitting("id", r.sorted(), chosen)) + r.sorted(), args
}

// Delivery implements ports.DeliveryLog.
func (d *Deliveries) Delivery(ctx context.Context, id domain.UUID) (webhook.Delivery, []webhook.Attempt, error) {
	delivery, attempts, err := d.one(ctx, id)
	if err != nil {
		return webhook.Delivery{}, nil, fmt.Errorf("sqlstore: read delivery %s: %w", id, err)
	}
	return delivery, attempts, nil
}

func (d *Deliveries) one(ctx context.Context, id domain.UUID) (delivery webhook.Delivery, attempts []webhook.Attempt, err error) {
	var row deliveryRow
	if err := d.db.read.GetContext(ctx, &row, d.db.read.Rebind(`SELECT `+deliveryColumns+` FROM delivery WHERE id = ?`), id.String()); err != nil {
		return delivery, nil, translate(err)
	}
	// Earlier ones only: another attempt may have ended in between, and the one above be in the history too by now.
	var history []outcomeRow
	if err := d.db.read.SelectContext(ctx, &history, d.db.read.Rebind(`SELECT `+outcomeColumns+` FROM attempt
		WHERE delivery_id = ? AND number < ? ORDER BY number`), id.String(), row.Number); err != nil {
		return delivery, nil, translate(err)
	}
	if row.Number > 0 {
		history = append(history, row.outcomeRow)
	}
	for i := range history {
		a := webhook.Attempt{Number: int(history[i].Number)}
		if a.Outcome, err = history[i].outcome(); err != nil {
			return delivery, nil, err
		}
		attempts = append(attempts, a)
	}
	delivery, err = row.delivery()
	return delivery, attempts, err
}

// Backlog implements ports.DeliveryMeter. The index delivery_list holds all that it looks at.
func (d *Deliveries) Backlog(ctx context.Context) ([]webhook.Backlog, error) {
	var rows []struct {
		Status string `db:"status"`
		Count  int    `db:"count"`
		Oldest int64  `db:"oldest"`
	}
	if err := d.db.read.SelectContext(ctx, &rows, `SELECT status, COUNT(*) AS count, MIN(created_at) AS oldest FROM delivery
		WHERE status IN ('pending', 'in_flight', 'dead') GROUP BY status`); err != nil {
		return nil, fmt.Errorf("sqlstore: count deliveries: %w", translate(err))
	}
	backlog := make([]webhook.Backlog, 0, len(rows))
	for _, r := range rows {
		status, ok := webhook.ParseStatus(r.Status)
		if !ok {
			return nil, fmt.Errorf("sqlstore: count deliveries: status %q", r.Status)
		}
		backlog = append(backlog, webhook.Backlog{Status: status, Count: r.Count, Oldest: fromMicros(r.Oldest)})
	}
	slices.SortFunc(backlog, func(a, b webhook.Backlog) int { return cmp.Compare(a.Status, b.Status) })
	return backlog, nil
}

// Redeliver implements ports.DeliveryLog. Of several deliveries those that change refuses stay as they are.
func (d *Deliveries) Redeliver(ctx context.Context, s webhook.Selection, limit int, change func(webhook.Progress) (webhook.Progress, error)) (changed int, err error) {
	var refused error // the error of change on the one delivery asked for
	err = d.db.transact(ctx, func(tx *sqlx.Tx) error {
		changed, refused = 0, nil
		rows, err := d.chosen(ctx, tx, s, limit)
		if err != nil {
			return err
		}
		update, err := tx.PreparexContext(ctx, tx.Rebind(`UPDATE delivery
			SET status = ?, attempts = ?, forgiven = ?, due_at = ?, ended_at = ?, lease = NULL WHERE id = ?`))
		if err != nil {
			return translate(err)
		}
		defer update.Close() // it goes with the transaction
		now := time.Now()
		for i := range rows {
			next, err := rows[i].change(change, now)
			if err != nil && !s.Delivery.IsZero() {
				refused = err
				return err
			}
			if err != nil {
				continue
			}
			if _, err := update.ExecContext(ctx, next.Status, next.Attempts, next.Forgiven, next.DueAt, next.EndedAt, rows[i].ID); err != nil {
				return translate(err)
			}
			changed++
		}
		return nil
	})
	switch {
	case refused != nil:
		return 0, refused
	case err != nil:
		return 0, fmt.Errorf("sqlstore: redeliver: %w", err)
	}
	return changed, nil
}

// chosenRow is as much of a delivery as changing its progress takes.
type chosenRow struct {
	ID        string `db:"id"`
	CreatedAt int64  `db:"created_at"`
	progressRow
}

// chosen returns the deliveries that the selection selects, oldest first, and locks them, in the order of their IDs.
func (d *Deliveries) chosen(ctx context.Context, tx *sqlx.Tx, s webhook.Selection, limit int) ([]chosenRow, error) {
	const columns = `id, created_at, ` + progressColumns
	query, args := `SELECT `+columns+` FROM delivery WHERE id = ?`+d.db.engine.forUpdate(), []any{s.Delivery.String()}
	if s.Delivery.IsZero() {
		r := ranges{webhook: s.Webhook, statuses: []webhook.Status{s.Status}, order: "ASC", limit: limit}
		if !s.Since.IsZero() {
			r.where, r.args = `created_at >= ?`, []any{micros(s.Since)}
		}
		query, args = r.query(d.db.engine, columns, ` ORDER BY id`+d.db.engine.forUpdate())
	}
	var rows []chosenRow
	err := tx.SelectContext(ctx, &rows, tx.Rebind(query), args...)
	if err == nil && len(rows) == 0 && !s.Delivery.IsZero() {
		return nil, domain.ErrNotFound
	}
	slices.SortFunc(rows, func(a, b chosenRow) int {
		return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return rows, translate(err)
}

// change returns the row after a change of its progress.
func (r *chosenRow) change(f func(webhook.Progress) (webhook.Progress, error), now time.Time) (progressRow, error) {
	p, err := r.progress()
	if err != nil {
		return progressRow{}, err
	}
	if p, err = f(p); err != nil {
		return progressRow{}, err
	}
	if p.Status() == webhook.InFlight {
		return progressRow{}, errors.New("a change cannot put a delivery in flight: that takes a lease")
	}
	return progressRowOf(p, now), nil
}

// deleteEnded locks deliveries in the order of their IDs, and looks at them once more then: what is redelivered meanwhile
// must stay.
func deleteEnded(e engine) string {
	return `DELETE FROM delivery WHERE id` + e.oneOf(`
		SELECT id FROM delivery WHERE id`+e.oneOf(`
			SELECT id FROM delivery WHERE status = ? AND ended_at > 0 AND ended_at < ? ORDER BY ended_at LIMIT ?`)+`
		AND status = ? AND ended_at < ? ORDER BY id`+e.forUpdate())
}

// Prune implements ports.DeliveryLog. What ended in different ways is deleted in transactions of their own.
func (d *Deliveries) Prune(ctx context.Context, delivered, dead time.Time, limit int) (deleted int, err error) {
	for _, c := range []struct {
		status webhook.Status
		before time.Time
	}{{webhook.Delivered, delivered}, {webhook.Dead, dead}, {webhook.Canceled, dead}} {
		n, err := d.prune(ctx, c.status.String(), micros(c.before), max(limit-deleted, 0))
		if err != nil {
			return deleted, fmt.Errorf("sqlstore: prune deliveries: %w", translate(err))
		}
		deleted += n
	}
	return deleted, nil
}

func (d *Deliveries) prune(ctx context.Context, status string, before int64, limit int) (int, error) {
	result, err := d.db.write.ExecContext(ctx, d.db.write.Rebind(deleteEnded(d.db.engine)), status, before, limit, status, before)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}
