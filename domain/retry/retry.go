// Package retry says when a failed delivery is tried again: exponential backoff with jitter, and the receiver's own
// Retry-After.
//
// Everything here is pure. The schedule is that of github.com/cenkalti/backoff/v4, whose backoff is an object that counts
// along; deliveries outlive the process, so it is rebuilt from the stored attempt number each time, under a clock that
// stands still and without its own jitter. This package is the one place in the domain that may import a module from
// outside, and it imports that one only.
package retry

import (
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// The schedule when nothing else is asked for: 5 s, 20 s, 80 s, … 8 h, 8 h: about 40 hours over DefaultRetries.
const (
	DefaultInitial = 5 * time.Second
	DefaultMax     = 8 * time.Hour
	DefaultRetries = 11
	MaxRetries     = 20

	multiplier = 4
	spread     = 0.2 // of the interval, either way
	longest    = 365 * 24 * time.Hour
)

// steps is after how many attempts every sensible schedule stands at its cap: from 1 ns, times 4 each, past 290 years.
const steps = 32

// Policy is how the time between attempts grows. The zero Policy is the default schedule.
type Policy struct {
	Initial time.Duration // before the first retry; zero means DefaultInitial
	Max     time.Duration // cap of the interval, before jitter; zero means DefaultMax
}

// Validate reports a schedule that makes no sense.
func (p Policy) Validate() error {
	p = p.withDefaults()
	switch {
	case p.Initial < 0 || p.Max < p.Initial:
		return fmt.Errorf("retry: the first interval %s must be positive and at most the longest, %s", p.Initial, p.Max)
	case p.Max > longest:
		return fmt.Errorf("retry: the longest interval %s must be at most %s", p.Max, longest)
	}
	return nil
}

// Next returns how long to wait after the attempt with this number, counted from 1, has failed. The random number u, at
// least 0 and below 1, spreads it evenly over 20 % either way, so that what failed together does not return together.
func (p Policy) Next(attempt int, u float64) time.Duration {
	interval := p.interval(attempt)
	return time.Duration(float64(interval) * (1 - spread + 2*spread*u))
}

// NextAfter is Next for a receiver that has asked for patience: no sooner than it says, and no sooner than the schedule
// has it, so that a busy receiver which answers "in one second" over and over does not use up its retries in as many
// seconds.
func (p Policy) NextAfter(attempt int, u float64, retryAfter time.Duration) time.Duration {
	return max(p.Next(attempt, u), min(retryAfter, MaxAfter))
}

func (p Policy) interval(attempt int) time.Duration {
	p = p.withDefaults()
	b := backoff.NewExponentialBackOff(
		backoff.WithClockProvider(standstill{}),
		backoff.WithInitialInterval(p.Initial),
		backoff.WithMultiplier(multiplier),
		backoff.WithMaxInterval(p.Max),
		backoff.WithMaxElapsedTime(0), // never gives up: the number of retries is for the caller to count
		backoff.WithRandomizationFactor(0),
	)
	interval := b.NextBackOff()
	for range min(attempt, steps) - 1 {
		interval = b.NextBackOff()
	}
	return min(interval, p.Max) // the library does not hold the first interval to the cap
}

func (p Policy) withDefaults() Policy {
	if p.Initial == 0 {
		p.Initial = DefaultInitial
	}
	if p.Max == 0 {
		p.Max = DefaultMax
	}
	return p
}

// standstill keeps the library from reading the system's clock.
type standstill struct{}

// Now implements backoff.Clock.
func (standstill) Now() time.Time { return time.Time{} }
