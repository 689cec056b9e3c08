package memory

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

var errInFlight = errors.New("memory: a change cannot put a delivery in flight: that takes a lease")

// sorted returns the webhook's deliveries, the oldest first.
func (h *hookRow) sorted() []*deliveryRow {
	return slices.SortedFunc(slices.Values(h.deliveries), older)
}

func older(a, b *deliveryRow) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), compareIDs(a.ID, b.ID))
}

// Deliveries implements ports.DeliveryLog.
func (s *WebhookStore) Deliveries(ctx context.Context, q webhook.Query) (list []webhook.Delivery, more bool, err error) {
	page := domain.Page[webhook.Delivery]{Limit: q.Limit}
	err = s.call(ctx, "Deliveries", func() error {
		before := s.deliveries[q.Before]
		if before == nil && !q.Before.IsZero() {
			return domain.ErrNotFound
		}
		_, hook := s.hook(q.Webhook)
		if hook == nil {
			return nil
		}
		for _, row := range slices.Backward(hook.sorted()) {
			if (before == nil || older(row, before) < 0) &&
				(len(q.Statuses) == 0 || slices.Contains(q.Statuses, row.Progress.Status())) &&
				(q.Types == 0 || q.Types.Has(row.Type)) && !page.Add(row.Delivery, len(row.Payload)) {
				break
			}
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return page.Items, page.More, nil
}

// Delivery implements ports.DeliveryLog.
func (s *WebhookStore) Delivery(ctx context.Context, id domain.UUID) (d webhook.Delivery, attempts []webhook.Attempt, err error) {
	err = s.call(ctx, "Delivery", func() error {
		row := s.deliveries[id]
		if row == nil {
			return domain.ErrNotFound
		}
		d, attempts = row.Delivery, slices.Clone(row.attempts)
		return nil
	})
	if err != nil {
		return webhook.Delivery{}, nil, err
	}
	return d, attempts, nil
}

// Backlog implements ports.DeliveryMeter.
func (s *WebhookStore) Backlog(ctx context.Context) (backlog []webhook.Backlog, err error) {
	err = s.call(ctx, "Backlog", func() error {
		for _, status := range []webhook.Status{webhook.Pending, webhook.InFlight, webhook.Dead} {
			b := webhook.Backlog{Status: status}
			for _, row := range s.deliveries {
				if row.Progress.Status() != status {
					continue
				}
				if b.Count++; b.Oldest.IsZero() || row.CreatedAt.Before(b.Oldest) {
					b.Oldest = row.CreatedAt
				}
			}
			if b.Count > 0 {
				backlog = append(backlog, b)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return backlog, nil
}

// Redeliver implements ports.DeliveryLog. Of several deliveries those that change refuses stay as they are.
func (s *WebhookStore) Redeliver(ctx context.Context, sel webhook.Selection, limit int, change func(webhook.Progress) (webhook.Progress, error)) (changed int, err error) {
	err = s.call(ctx, "Redeliver", func() error {
		if !sel.Delivery.IsZero() {
			row := s.deliveries[sel.Delivery]
			if row == nil {
				return domain.ErrNotFound
			}
			changed = 1
			return row.change(change)
		}
		_, hook := s.hook(sel.Webhook)
		if hook == nil {
			return nil
		}
		for _, row := range hook.sorted() {
			if limit <= 0 {
				break
			}
			if row.Progress.Status() != sel.Status || row.CreatedAt.Before(sel.Since) {
				continue
			}
			limit--
			if row.change(change) == nil {
				changed++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}

func (r *deliveryRow) change(f func(webhook.Progress) (webhook.Progress, error)) error {
	p, err := f(r.Progress)
	if err != nil {
		return err
	}
	if p.Status() == webhook.InFlight {
		return errInFlight
	}
	r.move(p, domain.UUID{})
	return nil
}

// Prune implements ports.DeliveryLog.
func (s *WebhookStore) Prune(ctx context.Context, delivered, dead time.Time, limit int) (deleted int, err error) {
	err = s.call(ctx, "Prune", func() error {
		var old []*deliveryRow
		for _, row := range s.deliveries {
			before := dead
			if row.Progress.Status() == webhook.Delivered {
				before = delivered
			}
			if !row.endedAt.IsZero() && row.endedAt.Before(before) {
				old = append(old, row)
			}
		}
		slices.SortFunc(old, func(a, b *deliveryRow) int {
			return cmp.Or(cmp.Compare(a.Progress.Status(), b.Progress.Status()), a.endedAt.Compare(b.endedAt))
		})
		deleted = min(len(old), limit)
		for _, row := range old[:deleted] {
			delete(s.deliveries, row.ID)
			delete(row.hook.events, row.Event)
			row.hook.deliveries = slices.DeleteFunc(row.hook.deliveries, func(other *deliveryRow) bool { return other == row })
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}
