package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// Health finds out whether events get through, part by part, in an order in which the first part that fails is the one at
// fault and not one that waits for it:
//
//	log      the log answers
//	streams  the loops that write to clients answer
//	store    a canary can be committed to the outbox
//	webhooks what was published is stored for the webhooks that want it
//	hub      the bridge could publish
//	source   the canary has come out of the outbox and through the bridge
//
// A part that hangs is one that fails, whatever it makes of a context. Use NewHealth.
type Health struct {
	log      answering
	streams  alive
	bridge   *Bridge
	canaries *Canaries
	tell     func(part string, err error)

	turn chan struct{} // full while somebody checks

	mu    sync.Mutex // guards all below
	hangs map[string]time.Time
	last  error
}

// answering is what Health asks of the log.
type answering interface {
	Stats() eventlog.Stats
	Head() domain.Seq
	Stored(ctx context.Context, from, through domain.Seq) error
}

// alive is what Health asks of the streams.
type alive interface {
	// Alive returns nil once every loop has answered, and an error when ctx ends before.
	Alive(ctx context.Context) error
}

// HealthParts are the names of the parts, in the order in which they are checked.
var HealthParts = []string{"log", "streams", "store", "webhooks", "hub", "source"}

// How often Run checks, and for how long: a part that hangs is told of within the sum of both.
const (
	healthInterval = 5 * time.Second
	healthTimeout  = 2 * time.Second
)

// NewHealth returns the health of what it is given. tell hears of each check of Run; the part is empty when all is well.
func NewHealth(log answering, streams alive, bridge *Bridge, canaries *Canaries, tell func(part string, err error)) *Health {
	return &Health{log: log, streams: streams, bridge: bridge, canaries: canaries, tell: tell, turn: make(chan struct{}, 1), hangs: map[string]time.Time{}}
}

// PartError says which part failed. Its text begins with the part's name and a colon.
type PartError struct {
	Part string
	Err  error
}

func (e *PartError) Error() string { return e.Part + ": " + e.Err.Error() }

// Unwrap returns what the part failed with.
func (e *PartError) Unwrap() error { return e.Err }

// Run checks from time to time until ctx ends, so that a part that hangs is told of although nobody asks.
func (h *Health) Run(ctx context.Context) error {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		err := h.checkWithin(ctx, healthTimeout)
		if ctx.Err() != nil {
			return nil // it was cut off by the end
		}
		part := ""
		if failed, ok := errors.AsType[*PartError](err); ok {
			part = failed.Part
		}
		h.tell(part, err)
	}
}

func (h *Health) checkWithin(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return h.Check(ctx)
}

// Check returns nil once a canary has come through, or a *PartError. It returns when ctx ends, whatever hangs. While one
// check is under way others wait for it, and if that takes too long, get the result of the one before.
func (h *Health) Check(ctx context.Context) error {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
	}
	if by, ok := ctx.Deadline(); ctx.Err() != nil || ok && time.Until(by) < healthTimeout/10 { // too short for a fair check
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.last
	}
	canary := h.canaries.hatch()
	defer canary.forget()
	var err error
	for _, step := range []struct {
		part  string
		check func(context.Context) error
	}{
		{"log", h.logAnswers},
		{"streams", h.streams.Alive},
		{"store", canary.send},
		{"webhooks", h.webhooksStore},
		{"hub", h.bridge.Pass},
		{"source", canary.await},
	} {
		if err = h.bounded(ctx, step.part, step.check); err != nil {
			break
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = err
	return err
}

// Live returns nil unless the process can only be helped by a new start: while a store is away, say, waiting helps.
func (h *Health) Live(ctx context.Context) error {
	if err := h.bounded(ctx, "log", h.logAnswers); err != nil {
		return err
	}
	return h.bounded(ctx, "streams", h.streams.Alive)
}

func (h *Health) logAnswers(context.Context) error {
	h.log.Stats()
	return nil
}

func (h *Health) webhooksStore(ctx context.Context) error {
	return h.log.Stored(ctx, 0, h.log.Head())
}

// bounded calls check, and does not wait for it when ctx ends. A call that hangs is the last one to its part until it
// returns, lest they pile up.
func (h *Health) bounded(ctx context.Context, part string, check func(context.Context) error) error {
	h.mu.Lock()
	since, hangs := h.hangs[part]
	if !hangs {
		h.hangs[part] = time.Now()
	}
	h.mu.Unlock()
	if hangs && time.Since(since) > healthTimeout {
		return &PartError{part, fmt.Errorf("has not answered for %s", time.Since(since).Round(time.Second))}
	}
	done := make(chan error, 1)
	go func() { // what hangs must not hang us
		err := check(ctx)
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.hangs, part)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return &PartError{part, err}
		}
		return nil
	case <-ctx.Done():
		select {
		case err := <-done:
			if err == nil { // just in time
				return nil
			}
		default:
		}
		return &PartError{part, ctx.Err()}
	}
}
