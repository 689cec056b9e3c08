package delivery

import (
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// flight is a delivery in flight, from when it is stored as such until it is stored what became of it.
type flight struct {
	webhook.Delivery
	outcome  webhook.Outcome
	ended    time.Time     // when the outcome was there
	released bool          // given back: there was no attempt
	sample   bool          // a test: it has no place in the endpoint's queue, and is not tried again
	settled  chan struct{} // closed when it is stored what became of it; nil when nobody waits
}

// endpoint is what the dispatcher knows of one webhook's deliveries. Guarded by the dispatcher's mutex.
type endpoint struct {
	id       domain.UUID
	reserved int       // places promised to deliveries that are being stored or claimed
	queue    []*flight // waiting for a place to be sent
	sending  int       // attempts under way
	listed   bool      // among those that are ready to send
	failing  bool      // the last attempt did not succeed
	gone     bool      // it has answered 410, and the webhook does not know yet: nothing more is sent
	held     int       // claims are put off while this is not zero
	due      time.Time // when the store has a pending delivery due; zero when it has none
}

// limit is how many attempts may be under way at once: one that fails is tried with one at a time.
func (e *endpoint) limit(o *Options) int {
	if e.failing {
		return 1
	}
	return o.PerEndpoint
}

// taken is how many deliveries are, or will be, in flight here.
func (e *endpoint) taken() int { return e.reserved + len(e.queue) + e.sending }

// room is how many more deliveries may be put in flight.
func (e *endpoint) room(o *Options) int { return o.Ahead*e.limit(o) - e.taken() }

// expect notes that the store has a pending delivery due at a time.
func (e *endpoint) expect(due time.Time) {
	if e.due.IsZero() || due.Before(e.due) {
		e.due = due
	}
}

// wanting reports whether to claim for the endpoint as soon as something is due. Half empty is soon enough for that, and
// makes for fewer claims of more deliveries each.
func (e *endpoint) wanting(o *Options) bool {
	return !e.due.IsZero() && e.held == 0 && 2*e.room(o) >= o.Ahead*e.limit(o)
}

// idle reports whether nothing is known of the endpoint that the store does not know.
func (e *endpoint) idle() bool { return e.taken() == 0 && !e.listed && e.held == 0 }

// next takes the first delivery off the queue.
func (e *endpoint) next() *flight {
	f := e.queue[0]
	e.queue[0] = nil
	if e.queue = e.queue[1:]; len(e.queue) == 0 {
		e.queue = nil
	}
	return f
}
