package delivery

import (
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// endpoint is what the dispatcher knows of one webhook's deliveries. Guarded by the dispatcher's mutex.
type endpoint struct {
	id       domain.UUID
	reserved int                // places promised to deliveries that are being stored
	queue    []webhook.Delivery // in flight, and waiting for a place to be sent
	sending  int
	failing  bool      // the last attempt did not succeed
	due      time.Time // when the store has a pending delivery due; zero when it has none
}

// held is how many deliveries are or will be in flight here.
func (e *endpoint) held() int { return e.reserved + len(e.queue) + e.sending }

// places is how many attempts may be under way at once, given how many places are free over all endpoints. An endpoint
// never takes more than an eighth of what is free, so that any number of hanging ones leaves some; one that fails is
// tried with one attempt at a time.
func (e *endpoint) places(o *Options, free int) int {
	if e.failing {
		return 1
	}
	return min(o.PerEndpoint, max(1, (free+e.sending)/8))
}

// expect notes that the store has a pending delivery due at a time.
func (e *endpoint) expect(due time.Time) {
	if e.due.IsZero() || due.Before(e.due) {
		e.due = due
	}
}
