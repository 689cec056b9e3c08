package sqlstore

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

var _ ports.Webhooks = (*Webhooks)(nil)

// Webhooks implements ports.Webhooks. Use DB.Webhooks.
type Webhooks struct{ db *DB }

// Webhooks returns the webhooks of the database.
func (d *DB) Webhooks() *Webhooks { return &Webhooks{d} }

// Webhooks implements ports.Webhooks.
func (w *Webhooks) Webhooks(ctx context.Context) ([]webhook.Webhook, error) {
	all, err := w.selectRows(ctx, w.db.read, `ORDER BY created_at, id`)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: list webhooks: %w", err)
	}
	return all, nil
}

// Change implements ports.Webhooks.
func (w *Webhooks) Change(ctx context.Context, id domain.UUID, change func(current *webhook.Webhook) (*webhook.Webhook, error)) error {
	var refused error // the error of change, which goes out as it is
	err := w.db.transact(ctx, func(tx *sqlx.Tx) error {
		if err := w.db.engine.lockWebhook(ctx, tx, id); err != nil {
			return translate(err)
		}
		found, err := w.selectRows(ctx, tx, `WHERE id = ?`, id.String())
		if err != nil {
			return err
		}
		var current *webhook.Webhook
		if len(found) > 0 {
			current = &found[0]
		}
		next, err := change(current)
		if err != nil {
			refused = err
			return err
		}
		return w.store(ctx, tx, id, next)
	})
	if err == nil || refused != nil {
		return refused
	}
	return fmt.Errorf("sqlstore: change webhook %s: %w", id, err)
}

// store replaces a webhook; by nil, which deletes it and its deliveries.
func (w *Webhooks) store(ctx context.Context, tx *sqlx.Tx, id domain.UUID, next *webhook.Webhook) error {
	if next == nil {
		// The database would delete them with the webhook, in whatever order.
		if _, err := tx.ExecContext(ctx, tx.Rebind(deleteDeliveriesOf(w.db.engine)), id.String()); err != nil {
			return translate(err)
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM webhook WHERE id = ?`), id.String())
		return translate(err)
	}
	if next.ID != id {
		return fmt.Errorf("change returned the webhook %s", next.ID)
	}
	v, err := w.db.secrets()
	if err != nil {
		return err
	}
	row, err := v.rowOf(next)
	if err != nil {
		return err
	}
	_, err = tx.NamedExecContext(ctx, upsertWebhookRow, row)
	return translate(err)
}

// deleteDeliveriesOf locks deliveries in the order of their IDs.
func deleteDeliveriesOf(e engine) string {
	return `DELETE FROM delivery WHERE id` + e.oneOf(`SELECT id FROM delivery WHERE webhook_id = ? ORDER BY id`+e.forUpdate())
}

// selectRows returns the webhooks that the rest of a SELECT selects.
func (w *Webhooks) selectRows(ctx context.Context, from sqlx.QueryerContext, rest string, args ...any) ([]webhook.Webhook, error) {
	v, err := w.db.secrets()
	if err != nil {
		return nil, err
	}
	var rows []webhookRow
	if err := sqlx.SelectContext(ctx, from, &rows, w.db.write.Rebind(selectWebhookRow+rest), args...); err != nil {
		return nil, translate(err)
	}
	all := make([]webhook.Webhook, len(rows))
	for i := range rows {
		if all[i], err = v.webhook(&rows[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}
