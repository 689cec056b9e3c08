package webhook

import (
	"fmt"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/retry"
)

// Status is where a delivery is in its life.
type Status uint8

// The statuses.
const (
	Pending   Status = iota // waits for its next attempt
	InFlight                // is being sent
	Delivered               // the receiver has it
	Dead                    // given up; can be redelivered
	Canceled                // called off; can be redelivered

	statusEnd
)

var statusNames = [statusEnd]string{"pending", "in_flight", "delivered", "dead", "canceled"}

// StatusNames lists the names on the wire.
func StatusNames() []string { return statusNames[:] }

// String returns the name on the wire.
func (s Status) String() string {
	if s >= statusEnd {
		return ""
	}
	return statusNames[s]
}

// ParseStatus accepts the names on the wire.
func ParseStatus(s string) (Status, bool) {
	for status, name := range statusNames {
		if name == s {
			return Status(status), true
		}
	}
	return 0, false
}

// Progress is how far a delivery is. It is a value: transitions return the next one. The zero Progress is pending and has
// always been due.
type Progress struct{ r Record }

// Record is a Progress laid open, for stores and for clients to see.
type Record struct {
	Status      Status
	Attempts    int       // begun over the whole life, without those given back
	Forgiven    int       // of these, begun before the current budget
	DueAt       time.Time // of the next attempt; set while pending only
	DeliveredAt time.Time // set once delivered only
}

// NewProgress returns the progress of a delivery that is due now. One that its maker sends at once is born in flight:
// NewProgress(now).Begin().
func NewProgress(now time.Time) Progress { return Progress{Record{DueAt: now}} }

// Restore returns the progress that a store has kept. A record that no life leads to is an error.
func Restore(r Record) (Progress, error) {
	spent := r.Attempts - r.Forgiven
	sound := r.Status < statusEnd && r.Forgiven >= 0 && spent >= 0 &&
		(r.Status == Pending || r.DueAt.IsZero()) &&
		(r.Status == Delivered) == !r.DeliveredAt.IsZero() &&
		(spent > 0 || r.Status == Pending || r.Status == Canceled)
	if !sound {
		return Progress{}, fmt.Errorf("webhook: restore delivery: impossible record %+v", r)
	}
	return Progress{r}, nil
}

// Record returns what a store has to keep.
func (p Progress) Record() Record { return p.r }

// Status returns where the delivery is.
func (p Progress) Status() Status { return p.r.Status }

// Attempts returns the number of the latest attempt; zero before the first.
func (p Progress) Attempts() int { return p.r.Attempts }

// Begin starts the next attempt, whose number is then Attempts.
func (p Progress) Begin() (Progress, error) {
	if p.r.Status != Pending {
		return p, p.conflict("begin an attempt of")
	}
	return Progress{Record{Status: InFlight, Attempts: p.r.Attempts + 1, Forgiven: p.r.Forgiven}}, nil
}

// A Plan says how failed attempts are repeated: how often, and after how long.
type Plan struct {
	Retries Retries
	Policy  retry.Policy
}

// Settle ends the attempt in flight. A failure is tried again while retries are left, after the time that the plan, the
// receiver's Retry-After and the random number u, at least 0 and below 1, make; 410 is final. An attempt that this
// process has interrupted is released.
func (p Progress) Settle(o Outcome, plan Plan, now time.Time, u float64) (Progress, error) {
	if p.r.Status != InFlight {
		return p, p.conflict("settle an attempt of")
	}
	next := Record{Attempts: p.r.Attempts, Forgiven: p.r.Forgiven}
	spent := p.r.Attempts - p.r.Forgiven
	switch {
	case o.Class() == ClassInterrupted:
		return p.Release(now)
	case o.Success():
		next.Status, next.DeliveredAt = Delivered, now
	case o.Gone() || spent > plan.Retries.Int():
		next.Status = Dead
	default:
		next.DueAt = now.Add(plan.Policy.NextAfter(spent, u, o.RetryAfter))
	}
	return Progress{next}, nil
}

// Release gives the attempt in flight back, as if it had not begun: the delivery is due now, and neither the count nor the
// budget is charged.
func (p Progress) Release(now time.Time) (Progress, error) {
	if p.r.Status != InFlight {
		return p, p.conflict("release an attempt of")
	}
	return Progress{Record{Attempts: p.r.Attempts - 1, Forgiven: p.r.Forgiven, DueAt: now}}, nil
}

// Redeliver makes the delivery due now, with a fresh budget, whatever has become of it. One that is in flight is left
// alone: its attempt is being made already.
func (p Progress) Redeliver(now time.Time) (Progress, error) {
	if p.r.Status == InFlight {
		return p, p.conflict("redeliver")
	}
	return Progress{Record{Attempts: p.r.Attempts, Forgiven: p.r.Attempts, DueAt: now}}, nil
}

// Cancel calls the delivery off. The outcome of an attempt in flight no longer counts.
func (p Progress) Cancel() (Progress, error) {
	if p.r.Status != Pending && p.r.Status != InFlight {
		return p, p.conflict("cancel")
	}
	return Progress{Record{Status: Canceled, Attempts: p.r.Attempts, Forgiven: p.r.Forgiven}}, nil
}

func (p Progress) conflict(verb string) error {
	return transitionError(fmt.Sprintf("cannot %s a delivery that is %s", verb, p.r.Status))
}

// transitionError is a transition that the delivery's status does not have.
type transitionError string

func (e transitionError) Error() string { return string(e) }

func (transitionError) Unwrap() error { return domain.ErrConflict }

// Retries is how many times a failed delivery is tried again within one budget: 0 to retry.MaxRetries.
type Retries struct{ n uint8 }

// NewRetries checks a number of retries.
func NewRetries(n int) (Retries, error) {
	if n < 0 || n > retry.MaxRetries {
		return Retries{}, domain.Invalid("max_retries", "must be from 0 to %d, not %d", retry.MaxRetries, n)
	}
	return Retries{uint8(n)}, nil
}

// Int returns the number.
func (r Retries) Int() int { return int(r.n) }
