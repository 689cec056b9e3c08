package webhook

import (
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
)

// Webhook is one receiver's standing order for events.
type Webhook struct {
	ID domain.UUID
	Config
	Keys       signing.Keys
	Activation Activation
	Health     Health
	CreatedAt  time.Time
	UpdatedAt  time.Time // of the last change by a client or by the receiver's 410
}

// Config is what clients set.
type Config struct {
	URL         URL
	Events      domain.TypeSet // zero stands for every type but QueueStatus; see Wants
	Retries     Retries
	Description string
	Headers     Headers
}

// everyType is what a webhook that names no types gets. QueueStatus must be named.
const everyType = domain.AllTypes &^ (1 << domain.TypeQueueStatus)

// Types returns the types that the webhook is sent.
func (c Config) Types() domain.TypeSet {
	if c.Events == 0 {
		return everyType
	}
	return c.Events
}

// Wants reports whether the webhook is sent events of this type.
func (c Config) Wants(t domain.Type) bool { return c.Types().Has(t) }

// Activation says whether a webhook is sent anything, and if not, why. What waits for one that is not is held.
type Activation uint8

// The activations.
const (
	Active Activation = iota
	Paused            // by a client
	Gone              // by the receiver, which answered 410
)

// Reason returns the disabled_reason on the wire; empty when there is none to tell.
func (a Activation) Reason() string {
	if a == Gone {
		return "gone"
	}
	return ""
}

// Health is what the webhook's attempts so far tell of its receiver.
type Health struct {
	LastTriggeredAt time.Time // when the latest attempt started; zero before the first
	FailureCount    int       // failed attempts since the last that succeeded, or since it was enabled
}

// After returns the health after one more attempt.
func (h Health) After(o Outcome) Health {
	switch {
	case o.Class() == ClassInterrupted:
		return h
	case o.Success():
		h.FailureCount = 0
	default:
		h.FailureCount++
	}
	if o.StartedAt.After(h.LastTriggeredAt) {
		h.LastTriggeredAt = o.StartedAt
	}
	return h
}

// After returns the webhook after one more attempt: its health, and whether the receiver has asked to be left alone.
func (w Webhook) After(o Outcome, now time.Time) Webhook {
	w.Health = w.Health.After(o)
	if o.Gone() && w.Activation == Active {
		w.Activation, w.UpdatedAt = Gone, now
	}
	return w
}

// Rotate gives the webhook another secret, made of entropy, beside which the present one stays valid for the overlap.
func (w Webhook) Rotate(entropy []byte, now time.Time, overlap time.Duration) (Webhook, error) {
	next, err := signing.NewSecret(entropy)
	if err != nil {
		return Webhook{}, err
	}
	if w.Keys, err = w.Keys.Rotate(next, now, overlap); err != nil {
		return Webhook{}, rotateError{err}
	}
	w.UpdatedAt = now
	return w, nil
}

// rotateError is a rotation that the webhook's present keys do not allow.
type rotateError struct{ err error }

func (e rotateError) Error() string {
	return e.err.Error() + "; wait until one ends, or rotate with overlap_seconds 0"
}

func (rotateError) Unwrap() error { return domain.ErrConflict }

// Delivery is one event on its way to one webhook.
type Delivery struct {
	ID        domain.UUID
	Webhook   domain.UUID
	Event     domain.UUID
	Type      domain.Type
	Payload   []byte // the event's bytes; never written to
	CreatedAt time.Time
	Progress  Progress
	Last      Outcome // of the latest attempt that ended; zero before one did
}

// Attempt is one try of a delivery, as its history keeps it.
type Attempt struct {
	Number  int
	Outcome Outcome
}
