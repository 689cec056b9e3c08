package mcp

import (
	"context"
	"errors"
	"slices"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

const (
	webhookSource  = "list_webhooks has the ids"
	deliverySource = "list_dead_deliveries has the ids"
)

// webhookView is a webhook as agents see it: without header names and secrets.
type webhookView struct {
	ID              domain.UUID `json:"id"`
	URL             string      `json:"url"`
	Events          []string    `json:"events"`
	IsActive        bool        `json:"is_active"`
	FailureCount    int         `json:"failure_count"`
	Description     string      `json:"description,omitempty"`
	DisabledReason  string      `json:"disabled_reason,omitempty"`
	LastTriggeredAt string      `json:"last_triggered_at,omitempty"`
}

type webhooksView struct {
	Webhooks []webhookView `json:"webhooks"`
}

func (s *Server) listWebhooks(context.Context, toolCall, *struct{}) (any, error) {
	v := webhooksView{Webhooks: []webhookView{}}
	for _, w := range s.Webhooks.List() {
		v.Webhooks = append(v.Webhooks, webhookView{
			ID: w.ID, URL: w.URL.Reveal(), Events: w.Events.Names(), IsActive: w.Activation == webhook.Active,
			FailureCount: w.Health.FailureCount, Description: w.Description, DisabledReason: w.Activation.Reason(),
			LastTriggeredAt: web.Stamp(w.Health.LastTriggeredAt),
		})
	}
	return v, nil
}

// deliveryView is a delivery as agents see it: without what the receiver answered.
type deliveryView struct {
	ID           domain.UUID `json:"id"`
	WebhookID    domain.UUID `json:"webhook_id"`
	EventID      domain.UUID `json:"event_id"`
	EventType    string      `json:"event_type"`
	AttemptCount int         `json:"attempt_count"`
	StatusCode   int         `json:"status_code,omitempty"`
	ErrorClass   string      `json:"error_class,omitempty"`
	CreatedAt    string      `json:"created_at"`
}

func viewDelivery(d *webhook.Delivery) deliveryView {
	v := deliveryView{
		ID: d.ID, WebhookID: d.Webhook, EventID: d.Event, EventType: d.Type.String(),
		AttemptCount: d.Progress.Record().Attempts, StatusCode: d.Last.StatusCode, CreatedAt: web.Stamp(d.CreatedAt),
	}
	if !d.Last.StartedAt.IsZero() {
		v.ErrorClass = d.Last.Class().String()
	}
	return v
}

type deadInput struct {
	WebhookID *string `json:"webhook_id"`
	Limit     *int    `json:"limit"`
}

type deadView struct {
	Deliveries []deliveryView `json:"deliveries"`
	HasMore    bool           `json:"has_more"`
}

func (s *Server) listDeadDeliveries(ctx context.Context, _ toolCall, in *deadInput) (any, error) {
	hook, err := optionalID("webhook_id", in.WebhookID, webhookSource)
	if err != nil {
		return nil, err
	}
	limit, err := number("limit", in.Limit, 20, 1, 100)
	if err != nil {
		return nil, err
	}
	var dead []webhook.Delivery
	var more bool
	if hook.IsZero() {
		dead, more, err = s.deadOfAll(ctx, limit)
	} else {
		dead, more, err = s.deadOf(ctx, hook, limit)
	}
	if err != nil {
		return nil, missing(err, "webhook", hook, webhookSource)
	}
	v := deadView{Deliveries: make([]deliveryView, len(dead)), HasMore: more}
	for i := range dead {
		v.Deliveries[i] = viewDelivery(&dead[i])
	}
	return v, nil
}

// deadOfAll returns the newest dead deliveries of all webhooks, and whether there are more.
func (s *Server) deadOfAll(ctx context.Context, limit int) (dead []webhook.Delivery, more bool, err error) {
	for _, w := range s.Webhooks.List() {
		of, moreOf, err := s.deadOf(ctx, w.ID, limit)
		if errors.Is(err, domain.ErrNotFound) {
			continue // it was deleted meanwhile
		}
		if err != nil {
			return nil, false, err
		}
		dead = append(dead, of...)
		slices.SortStableFunc(dead, func(a, b webhook.Delivery) int { return b.CreatedAt.Compare(a.CreatedAt) })
		more = more || moreOf || len(dead) > limit
		dead = dead[:min(limit, len(dead))]
	}
	return dead, more, nil
}

// deadOf returns the newest dead deliveries of a webhook, without their payloads, and whether there are more. It reads page
// by page, for payloads may be large.
func (s *Server) deadOf(ctx context.Context, hook domain.UUID, limit int) (dead []webhook.Delivery, more bool, err error) {
	q := webhook.Query{Webhook: hook, Statuses: []webhook.Status{webhook.Dead}, Limit: limit}
	for more = true; more && q.Limit > 0; q.Limit = limit - len(dead) {
		var page []webhook.Delivery
		page, more, err = s.Deliveries.Deliveries(ctx, q)
		if errors.Is(err, domain.ErrNotFound) && len(dead) > 0 {
			return dead, false, nil // what was read last is deleted, and with it what is older: by age, or with the webhook
		}
		if err != nil {
			return nil, false, err
		}
		for i := range page {
			page[i].Payload = nil
			q.Before = page[i].ID
		}
		dead = append(dead, page...)
	}
	return dead, more, nil
}

type redeliverInput struct {
	DeliveryID *string `json:"delivery_id"`
	WebhookID  *string `json:"webhook_id"`
	Since      *string `json:"since"`
}

type redeliveredView struct {
	Redelivered int `json:"redelivered"`
}

func (s *Server) redeliver(ctx context.Context, _ toolCall, in *redeliverInput) (any, error) {
	switch {
	case (in.DeliveryID == nil) == (in.WebhookID == nil):
		return nil, domain.Invalid("delivery_id", "give either this, for one delivery, or webhook_id, for all dead ones of a webhook: %s", deliverySource)
	case in.WebhookID != nil:
		return s.redeliverAll(ctx, in)
	case in.Since != nil:
		return nil, domain.Invalid("since", "goes with webhook_id only")
	}
	id, err := readID("delivery_id", in.DeliveryID, deliverySource)
	if err != nil {
		return nil, err
	}
	_, err = s.Deliveries.Redeliver(ctx, id)
	return redeliveredView{1}, missing(err, "delivery", id, deliverySource)
}

func (s *Server) redeliverAll(ctx context.Context, in *redeliverInput) (any, error) {
	id, err := readID("webhook_id", in.WebhookID, webhookSource)
	if err != nil {
		return nil, err
	}
	which := webhook.Redelivery{Status: webhook.Dead}
	if in.Since != nil {
		if which.Since, err = domain.ParseTime(*in.Since); err != nil {
			return nil, domain.Invalid("since", "must be a time such as 2026-11-23T12:41:48Z")
		}
	}
	n, err := s.Deliveries.RedeliverAll(ctx, id, which)
	return redeliveredView{n}, missing(err, "webhook", id, webhookSource)
}
