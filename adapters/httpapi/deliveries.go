package httpapi

import (
	"net/http"
	"strings"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

func (a *api) listDeliveries(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	p, err := paging(r)
	if err != nil {
		return err
	}
	q := webhook.Query{Webhook: id, Before: p.before, Limit: p.limit}
	for _, list := range r.URL.Query()["status"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue // as in other lists
			}
			status, ok := webhook.ParseStatus(name)
			if !ok {
				return domain.Invalid("status", "must be one of %s", strings.Join(webhook.StatusNames(), ", "))
			}
			q.Statuses = append(q.Statuses, status)
		}
	}
	if q.Types, err = domain.ParseTypes("event_type", r.URL.Query()["event_type"]); err != nil {
		return err
	}
	if _, err := a.Webhooks.Webhook(id); err != nil {
		return err // and not the cursor's fault
	}
	ds, more, err := a.Deliveries.Deliveries(r.Context(), q)
	if err != nil {
		return p.found(err)
	}
	answer(w, r, ds, more, func(d *webhook.Delivery) domain.UUID { return d.ID }, viewDelivery)
	return nil
}

func (a *api) getDelivery(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	d, attempts, err := a.Deliveries.Delivery(r.Context(), id)
	if err != nil {
		return err
	}
	v := viewDelivery(&d)
	v.Attempts = viewAttempts(attempts)
	web.JSON(w, http.StatusOK, v)
	return nil
}

func (a *api) redeliver(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	d, err := a.Deliveries.Redeliver(r.Context(), id)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusAccepted, viewDelivery(&d))
	return nil
}

// redelivered is the answer to sending many again.
type redelivered struct {
	Redelivered int `json:"redelivered"`
}

func (a *api) redeliverAll(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	data, err := optionalBody(w, r)
	if err != nil {
		return err
	}
	which, err := webhook.DecodeRedelivery(data)
	if err != nil {
		return err
	}
	n, err := a.Deliveries.RedeliverAll(r.Context(), id, which)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusAccepted, redelivered{n})
	return nil
}
