package delivery_test

import (
	"context"
	"sync"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

const sendTimeout = 15 * time.Second

// script is how an endpoint behaves.
type script struct {
	takes      time.Duration // to answer
	hangs      bool          // until the timeout
	status     int           // 200 when zero
	failures   int           // how many attempts get the status before the others get 200; none means all
	retryAfter time.Duration
}

// sent is one attempt that was made.
type sent struct {
	webhook.Request
	at      time.Time
	outcome webhook.Outcome
}

// sender is a ports.Sender to endpoints that follow scripts.
type sender struct {
	mu       sync.Mutex
	scripts  map[string]script
	under    map[string]int // attempts under way; under "" those of all
	most     map[string]int // at once
	attempts map[domain.UUID]int
	success  map[domain.UUID]int // how many attempts went well
	log      []sent
	crashed  chan struct{}
}

func newSender() *sender {
	return &sender{
		scripts: map[string]script{}, under: map[string]int{}, most: map[string]int{},
		attempts: map[domain.UUID]int{}, success: map[domain.UUID]int{}, crashed: make(chan struct{}),
	}
}

// plays has an endpoint follow a script from the next attempt on.
func (s *sender) plays(name string, p script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[urlOf(name)] = p
}

// cut ends all attempts at once, as if nobody had ever known of their outcomes.
func (s *sender) cut() { close(s.crashed) }

func (s *sender) forgive() { s.crashed = make(chan struct{}) }

// Send implements ports.Sender.
func (s *sender) Send(ctx context.Context, r webhook.Request) webhook.Outcome {
	url := r.URL.Reveal()
	play, crashed := s.begin(url, r.Delivery)
	start := time.Now()
	o := webhook.Outcome{StartedAt: start, StatusCode: play.status, RetryAfter: play.retryAfter}
	wait := play.takes
	if play.hangs {
		wait, o.StatusCode, o.Fault = sendTimeout, 0, webhook.ClassTimeout
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			o = webhook.Outcome{StartedAt: start, Fault: webhook.ClassInterrupted}
		case <-crashed:
			o = webhook.Outcome{StartedAt: start, Fault: webhook.ClassInterrupted}
		}
	}
	o.Timings.Total = time.Since(start)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under[url]--
	s.under[""]--
	if o.Success() {
		s.success[r.Delivery]++
	}
	s.log = append(s.log, sent{Request: r, at: start, outcome: o})
	return o
}

func (s *sender) begin(url string, delivery domain.UUID) (script, chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts[delivery]++
	for _, count := range []string{url, ""} {
		s.under[count]++
		s.most[count] = max(s.most[count], s.under[count])
	}
	p := s.scripts[url]
	if p.status == 0 {
		p.status = 200
	}
	if next := p; p.failures > 0 {
		if next.failures--; next.failures == 0 {
			next = script{}
		}
		s.scripts[url] = next
	}
	return p, s.crashed
}

// to returns the attempts that were made at an endpoint, in the order of their ends.
func (s *sender) to(name string) (list []sent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.log {
		if a.URL.Reveal() == urlOf(name) {
			list = append(list, a)
		}
	}
	return list
}

func (s *sender) atOnce(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most[urlOf(name)]
}
