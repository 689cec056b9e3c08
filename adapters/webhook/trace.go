package webhook

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/matric/matric-events/domain/webhook"
)

// stage is how far an attempt has got.
type stage uint8

const (
	dialing   stage = iota
	shaking         // in the TLS handshake, or it has failed
	connected       // there was a connection to send on
	answered        // the first byte of an answer has come
)

// A trace takes the times of one attempt. The transport may go on dialing when the attempt has found another connection or
// has ended, and calls from there: the mutex guards all members, and the stage never falls.
type trace struct {
	start time.Time

	mu        sync.Mutex
	stage     stage
	timings   webhook.Timings
	dnsStart  time.Time
	dialStart time.Time
	tlsStart  time.Time
}

// hooks returns what the transport is to call.
func (t *trace) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { t.begin(&t.dnsStart, dialing) },
		DNSDone:           func(httptrace.DNSDoneInfo) { t.end(&t.timings.DNS, &t.dnsStart, dialing) },
		ConnectStart:      func(string, string) { t.begin(&t.dialStart, dialing) },
		ConnectDone:       func(string, string, error) { t.end(&t.timings.Connect, &t.dialStart, dialing) },
		TLSHandshakeStart: func() { t.begin(&t.tlsStart, shaking) },
		TLSHandshakeDone: func(tls.ConnectionState, error) {
			t.end(&t.timings.TLS, &t.tlsStart, shaking)
		},
		GotConn:              func(httptrace.GotConnInfo) { t.reach(connected) },
		GotFirstResponseByte: func() { t.end(&t.timings.FirstByte, &t.start, answered) },
	}
}

// begin notes the start of a phase. Of several addresses that are tried, the first one's counts.
func (t *trace) begin(phase *time.Time, s stage) {
	t.reach(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	if phase.IsZero() {
		*phase = time.Now()
	}
}

func (t *trace) end(length *time.Duration, phase *time.Time, s stage) {
	t.reach(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	*length = time.Since(*phase)
}

func (t *trace) reach(s stage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stage = max(t.stage, s)
}

// result returns the times, the attempt being over now, and how far it got.
func (t *trace) result() (webhook.Timings, stage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timings.Total = time.Since(t.start)
	return t.timings, t.stage
}
