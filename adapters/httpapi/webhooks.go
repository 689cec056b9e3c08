package httpapi

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// webhookView is a webhook as clients see it. Header values stay inside; the secret is shown when it is made.
type webhookView struct {
	ID              domain.UUID `json:"id"`
	URL             string      `json:"url"`
	Events          []string    `json:"events"`
	IsActive        bool        `json:"is_active"`
	CreatedAt       string      `json:"created_at"`
	UpdatedAt       string      `json:"updated_at"`
	LastTriggeredAt *string     `json:"last_triggered_at"`
	FailureCount    int         `json:"failure_count"`
	MaxRetries      int         `json:"max_retries"`
	Description     string      `json:"description"`
	DisabledReason  string      `json:"disabled_reason,omitempty"`
	Headers         []string    `json:"headers"`
	Secret          string      `json:"secret,omitempty"`
}

func viewWebhook(w *webhook.Webhook) webhookView {
	v := webhookView{
		ID: w.ID, URL: w.URL.Reveal(), Events: w.Events.Names(), IsActive: w.Activation == webhook.Active,
		CreatedAt: web.Stamp(w.CreatedAt), UpdatedAt: web.Stamp(w.UpdatedAt), FailureCount: w.Health.FailureCount,
		MaxRetries: w.Retries.Int(), Description: w.Description, DisabledReason: w.Activation.Reason(),
		Headers: web.OrEmpty(w.Headers.Names()),
	}
	if !w.Health.LastTriggeredAt.IsZero() {
		at := web.Stamp(w.Health.LastTriggeredAt)
		v.LastTriggeredAt = &at
	}
	return v
}

// withSecret is the view for the one who has just made the secret.
func withSecret(w *webhook.Webhook) webhookView {
	v := viewWebhook(w)
	v.Secret = w.Keys.Current().Reveal()
	return v
}

func (a *api) listWebhooks(w http.ResponseWriter, _ *http.Request) error {
	hooks := a.Webhooks.List()
	views := make([]webhookView, len(hooks))
	for i := range hooks {
		views[i] = viewWebhook(&hooks[i])
	}
	web.JSON(w, http.StatusOK, views)
	return nil
}

func (a *api) createWebhook(w http.ResponseWriter, r *http.Request) error {
	data, err := body(w, r)
	if err != nil {
		return err
	}
	order, err := webhook.DecodeCreate(data, a.opts.WebhookRules)
	if err != nil {
		return err
	}
	hook, err := a.Webhooks.Create(r.Context(), order)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/webhooks/"+hook.ID.String())
	web.JSON(w, http.StatusCreated, withSecret(&hook))
	return nil
}

func (a *api) getWebhook(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	hook, err := a.Webhooks.Webhook(id)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, viewWebhook(&hook))
	return nil
}

func (a *api) updateWebhook(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	data, err := body(w, r)
	if err != nil {
		return err
	}
	patch, err := webhook.DecodePatch(data, a.opts.WebhookRules)
	if err != nil {
		return err
	}
	hook, err := a.Webhooks.Update(r.Context(), id, patch)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, viewWebhook(&hook))
	return nil
}

func (a *api) deleteWebhook(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	if err := a.Webhooks.Delete(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) rotateSecret(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	data, err := optionalBody(w, r)
	if err != nil {
		return err
	}
	overlap, err := webhook.DecodeRotation(data)
	if err != nil {
		return err
	}
	hook, err := a.Webhooks.Rotate(r.Context(), id, overlap)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, withSecret(&hook))
	return nil
}

func (a *api) testWebhook(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	d, err := a.Deliveries.Test(r.Context(), id)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, viewDelivery(&d))
	return nil
}

// deliveryView is a delivery as clients see it.
type deliveryView struct {
	ID            domain.UUID     `json:"id"`
	WebhookID     domain.UUID     `json:"webhook_id"`
	EventID       domain.UUID     `json:"event_id"`
	EventType     string          `json:"event_type"`
	Payload       json.RawMessage `json:"payload"`
	Status        string          `json:"status"`
	Success       bool            `json:"success"`
	AttemptCount  int             `json:"attempt_count"`
	StatusCode    int             `json:"status_code,omitempty"`
	ResponseBody  string          `json:"response_body,omitempty"`
	ErrorClass    string          `json:"error_class,omitempty"`
	NextAttemptAt string          `json:"next_attempt_at,omitempty"`
	CreatedAt     string          `json:"created_at"`
	DeliveredAt   string          `json:"delivered_at,omitempty"`
	Attempts      *[]attemptView  `json:"attempts,omitempty"`
}

// attemptView is one attempt as clients see it. RetryAfter is in seconds.
type attemptView struct {
	Number       int    `json:"number"`
	StartedAt    string `json:"started_at"`
	DurationMS   int64  `json:"duration_ms"`
	StatusCode   int    `json:"status_code,omitempty"`
	ErrorClass   string `json:"error_class,omitempty"`
	ResponseBody string `json:"response_body,omitempty"`
	RetryAfter   int64  `json:"retry_after,omitempty"`
}

func viewDelivery(d *webhook.Delivery) deliveryView {
	p := d.Progress.Record()
	v := deliveryView{
		ID: d.ID, WebhookID: d.Webhook, EventID: d.Event, EventType: d.Type.String(), Payload: d.Payload,
		Status: p.Status.String(), Success: p.Status == webhook.Delivered, AttemptCount: p.Attempts,
		StatusCode: d.Last.StatusCode, ResponseBody: d.Last.Body,
		NextAttemptAt: web.Stamp(p.DueAt), CreatedAt: web.Stamp(d.CreatedAt), DeliveredAt: web.Stamp(p.DeliveredAt),
	}
	if !d.Last.StartedAt.IsZero() {
		v.ErrorClass = d.Last.Class().String()
	}
	return v
}

func viewAttempts(attempts []webhook.Attempt) *[]attemptView {
	views := make([]attemptView, len(attempts))
	for i, at := range attempts {
		o := at.Outcome
		views[i] = attemptView{
			Number: at.Number, StartedAt: web.Stamp(o.StartedAt), DurationMS: o.Timings.Total.Milliseconds(), StatusCode: o.StatusCode,
			ErrorClass: o.Class().String(), ResponseBody: o.Body, RetryAfter: int64(o.RetryAfter / time.Second),
		}
	}
	return &views
}
