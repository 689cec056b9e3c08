package webhook

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
)

// Bounds of what is taken of a response's body.
const (
	MaxRead = 64 << 10 // read; a longer body counts as ended
	MaxKept = 4 << 10  // kept for people to look at
)

// StatusGone is the answer by which a receiver asks never to be called again (RFC 9110, section 15.5.11).
const StatusGone = 410

// Request is one attempt to be sent.
type Request struct {
	Delivery domain.UUID
	Webhook  domain.UUID
	Event    domain.UUID
	Type     domain.Type
	Attempt  int // from 1, over the delivery's whole life
	URL      URL
	Headers  Headers
	Keys     signing.Keys
	Body     []byte        // the event's bytes; never written to
	Trace    *domain.Trace // the attempt's place in the trace that the event happened in; nil when there is none
}

// Class says what kept an attempt from succeeding. The zero Class is nothing did, or the status says it all.
type Class uint8

// The classes.
const (
	ClassNone           Class = iota
	ClassDNS                  // the name has no address, or the resolver did not say
	ClassBlockedAddress       // the address is one that the server does not connect to
	ClassConnect              // no connection could be made
	ClassTLS                  // the handshake failed, typically over the certificate
	ClassTimeout              // the attempt's time was up, in whatever phase
	ClassReset                // the connection ended before an answer was there
	ClassBadStatus            // an answer other than 2xx and 3xx
	ClassRedirect             // a 3xx answer: redirects are not followed
	ClassBadResponse          // the answer is not HTTP, its head is too large, or its body ended early
	ClassInterrupted          // this process stopped; says nothing about the receiver, and is never stored

	classEnd
)

var classNames = [classEnd]string{
	"", "dns", "blocked_address", "connect", "tls", "timeout", "reset", "bad_status", "redirect", "bad_response",
	"interrupted",
}

// String returns the name on the wire; the empty string for ClassNone.
func (c Class) String() string {
	if c >= classEnd {
		return ""
	}
	return classNames[c]
}

// ParseClass accepts the names on the wire, and the empty string.
func ParseClass(s string) (Class, bool) {
	for c, name := range classNames {
		if name == s {
			return Class(c), true
		}
	}
	return ClassNone, false
}

// Timings say where the time of an attempt went. What did not happen, as most of it on a connection used again, is zero.
type Timings struct {
	DNS, Connect, TLS time.Duration // lengths of the phases
	FirstByte, Total  time.Duration // from the start to the first and the last byte of the answer
}

// Outcome is what became of one attempt.
type Outcome struct {
	StartedAt  time.Time
	Timings    Timings
	StatusCode int           // zero when no answer came
	Fault      Class         // what went wrong beside the status; ClassNone when nothing did
	Detail     string        // the fault in words: without URL or secret, but of our own network, so for logs only
	Body       string        // the start of the response's body, as KeepBody returns it
	RetryAfter time.Duration // what the receiver asks for; zero when it does not
}

// Class returns why the attempt did not succeed, and ClassNone for one that did: a 2xx answer without any fault. The
// status of any other answer counts more than a fault in reading its body.
func (o Outcome) Class() Class {
	switch {
	case o.Fault == ClassInterrupted:
		return ClassInterrupted
	case o.StatusCode >= 300 && o.StatusCode <= 399:
		return ClassRedirect
	case o.StatusCode != 0 && (o.StatusCode < 200 || o.StatusCode > 299):
		return ClassBadStatus
	case o.Fault == ClassNone && o.StatusCode == 0:
		return ClassBadResponse // no answer and no reason: nothing that can be taken for success
	}
	return o.Fault
}

// Success reports whether the receiver has the event.
func (o Outcome) Success() bool { return o.Class() == ClassNone }

// Gone reports whether the receiver asks never to be called again.
func (o Outcome) Gone() bool { return o.StatusCode == StatusGone && o.Fault != ClassInterrupted }

// KeepBody returns the start of a response's body in a form that every store and every client can take: valid UTF-8 of at
// most MaxKept bytes, without NUL, cut between characters.
func KeepBody(body []byte) string {
	text := string(body[:min(len(body), MaxKept)])
	if cut := incomplete(text); len(body) > MaxKept {
		text = text[:len(text)-cut]
	}
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) <= MaxKept {
		return text
	}
	text = text[:MaxKept]
	return text[:len(text)-incomplete(text)]
}

// incomplete returns how many bytes at the end of s begin a character that the rest is missing of.
func incomplete(s string) int {
	for n := 1; n < utf8.UTFMax && n <= len(s); n++ {
		if tail := s[len(s)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRuneInString(tail) {
				return n
			}
			return 0
		}
	}
	return 0
}
