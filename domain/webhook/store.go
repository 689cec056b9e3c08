package webhook

import (
	"time"

	"github.com/matric/matric-events/domain"
)

// Settled is what one attempt has made of a delivery that was in flight.
type Settled struct {
	Delivery domain.UUID
	Webhook  domain.UUID
	Progress Progress // afterwards
	Attempt  Attempt  // for the history; Number zero when the attempt was given back
}

// State is what deliveries change of a webhook.
type State struct {
	Webhook    domain.UUID
	Health     Health
	Activation Activation
	UpdatedAt  time.Time
}

// State returns what deliveries change.
func (w Webhook) State() State {
	return State{Webhook: w.ID, Health: w.Health, Activation: w.Activation, UpdatedAt: w.UpdatedAt}
}

// Room is how many deliveries a webhook's sender can take on.
type Room struct {
	Webhook domain.UUID
	Places  int
}

// Backlog is how many deliveries have a status, and when the oldest of them was created.
type Backlog struct {
	Status Status
	Count  int
	Oldest time.Time
}

// Query selects deliveries of one webhook for a list, newest first.
type Query struct {
	Webhook  domain.UUID
	Statuses []Status       // empty for any
	Types    domain.TypeSet // zero for any
	Before   domain.UUID    // deliveries older than this one; zero for the newest
	Limit    int
}

// Selection selects deliveries to send again: the one given, or those of a webhook that have a status.
type Selection struct {
	Delivery domain.UUID // zero for all that the rest selects
	Webhook  domain.UUID
	Redelivery
}
