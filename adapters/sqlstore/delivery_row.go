package sqlstore

import (
	"fmt"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// deliveryRow is a row of the table delivery.
type deliveryRow struct {
	ID        string `db:"id"`
	Webhook   string `db:"webhook_id"`
	Event     string `db:"event_id"`
	EventType string `db:"event_type"`
	Payload   string `db:"payload"`
	CreatedAt int64  `db:"created_at"`
	progressRow
	outcomeRow
}

// progressRow is the part of a delivery that every transition changes.
type progressRow struct {
	Status   string `db:"status"`
	Attempts int64  `db:"attempts"`
	Forgiven int64  `db:"forgiven"`
	DueAt    int64  `db:"due_at"`
	EndedAt  int64  `db:"ended_at"`
}

// outcomeRow is a row of the table attempt, and the part of a delivery that its latest attempt is kept in. Durations are
// microseconds.
type outcomeRow struct {
	Number       int64  `db:"number"` // 0 for none
	StartedAt    int64  `db:"started_at"`
	StatusCode   int64  `db:"status_code"`
	Fault        string `db:"fault"`
	ResponseBody string `db:"response_body"`
	RetryAfter   int64  `db:"retry_after"`
	DNS          int64  `db:"dns"`
	Connect      int64  `db:"connect"`
	TLS          int64  `db:"tls"`
	FirstByte    int64  `db:"first_byte"`
	Total        int64  `db:"total"`
}

const (
	progressColumns = `status, attempts, forgiven, due_at, ended_at`
	outcomeColumns  = `number, started_at, status_code, fault, response_body, retry_after, dns, connect, tls, first_byte, total`
	deliveryColumns = `id, webhook_id, event_id, event_type, payload, created_at, ` + progressColumns + `, ` + outcomeColumns
)

// settledRow is what an attempt has made of a delivery.
type settledRow struct {
	ID string
	progressRow
	outcomeRow
}

func deliveryRowOf(d *webhook.Delivery) deliveryRow {
	return deliveryRow{
		ID: d.ID.String(), Webhook: d.Webhook.String(), Event: d.Event.String(), EventType: d.Type.String(),
		Payload: string(d.Payload), CreatedAt: micros(d.CreatedAt), progressRow: progressRowOf(d.Progress, time.Time{}),
	}
}

// progressRowOf takes when the delivery ended, if it did and its progress does not say so itself.
func progressRowOf(p webhook.Progress, ended time.Time) progressRow {
	r := p.Record()
	row := progressRow{
		Status: r.Status.String(), Attempts: int64(r.Attempts), Forgiven: int64(r.Forgiven), DueAt: micros(r.DueAt),
	}
	switch r.Status {
	case webhook.Delivered:
		row.EndedAt = micros(r.DeliveredAt)
	case webhook.Dead, webhook.Canceled:
		row.EndedAt = micros(ended)
	}
	return row
}

func settledRowOf(s *webhook.Settled, now time.Time) settledRow {
	row := settledRow{ID: s.Delivery.String()}
	ended := now
	if s.Attempt.Number > 0 {
		row.outcomeRow = outcomeRowOf(&s.Attempt)
		ended = s.Attempt.Outcome.StartedAt.Add(s.Attempt.Outcome.Timings.Total)
	}
	row.progressRow = progressRowOf(s.Progress, ended)
	return row
}

func outcomeRowOf(a *webhook.Attempt) outcomeRow {
	o := &a.Outcome
	return outcomeRow{
		Number: int64(a.Number), StartedAt: micros(o.StartedAt), StatusCode: int64(o.StatusCode), Fault: o.Fault.String(),
		ResponseBody: o.Body, RetryAfter: o.RetryAfter.Microseconds(), DNS: o.Timings.DNS.Microseconds(),
		Connect: o.Timings.Connect.Microseconds(), TLS: o.Timings.TLS.Microseconds(),
		FirstByte: o.Timings.FirstByte.Microseconds(), Total: o.Timings.Total.Microseconds(),
	}
}

func (r *deliveryRow) delivery() (d webhook.Delivery, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("row of delivery %q: %w", r.ID, err)
		}
	}()
	d = webhook.Delivery{Payload: []byte(r.Payload), CreatedAt: fromMicros(r.CreatedAt)}
	if d.ID, err = domain.ParseUUID(r.ID); err != nil {
		return d, err
	}
	if d.Webhook, err = domain.ParseUUID(r.Webhook); err != nil {
		return d, err
	}
	if d.Event, err = domain.ParseUUID(r.Event); err != nil {
		return d, err
	}
	var ok bool
	if d.Type, ok = domain.ParseType(r.EventType); !ok {
		return d, fmt.Errorf("%q is no event type", r.EventType)
	}
	if d.Progress, err = r.progress(); err != nil {
		return d, err
	}
	d.Last, err = r.outcome()
	return d, err
}

func (r *progressRow) progress() (webhook.Progress, error) {
	status, ok := webhook.ParseStatus(r.Status)
	if !ok {
		return webhook.Progress{}, fmt.Errorf("%q is no status", r.Status)
	}
	record := webhook.Record{Status: status, Attempts: int(r.Attempts), Forgiven: int(r.Forgiven)}
	switch status {
	case webhook.Pending:
		record.DueAt = fromMicros(r.DueAt)
	case webhook.Delivered:
		record.DeliveredAt = fromMicros(r.EndedAt)
	}
	return webhook.Restore(record)
}

func (r *outcomeRow) outcome() (webhook.Outcome, error) {
	fault, ok := webhook.ParseClass(r.Fault)
	if !ok {
		return webhook.Outcome{}, fmt.Errorf("%q is no class of faults", r.Fault)
	}
	return webhook.Outcome{
		StartedAt: fromMicros(r.StartedAt), StatusCode: int(r.StatusCode), Fault: fault, Body: r.ResponseBody,
		RetryAfter: fromMicroseconds(r.RetryAfter),
		Timings: webhook.Timings{
			DNS: fromMicroseconds(r.DNS), Connect: fromMicroseconds(r.Connect), TLS: fromMicroseconds(r.TLS),
			FirstByte: fromMicroseconds(r.FirstByte), Total: fromMicroseconds(r.Total),
		},
	}, nil
}

func fromMicroseconds(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
