package webhook

import (
	"context"
	"errors"
	"net"
	"net/url"
	"syscall"

	"github.com/matric/matric-events/domain/webhook"
)

// classify says what a failure of the transport, or in reading the body, means. caller is the context that Send was given,
// attempt the one with the attempt's own deadline.
func classify(caller, attempt context.Context, err error, s stage) webhook.Class {
	switch {
	case errors.Is(err, errBlocked):
		return webhook.ClassBlockedAddress
	case caller.Err() != nil:
		return webhook.ClassInterrupted
	case attempt.Err() != nil:
		return webhook.ClassTimeout
	case isA[*net.DNSError](err):
		return webhook.ClassDNS
	case timedOut(err):
		return webhook.ClassTimeout
	case s == dialing:
		return webhook.ClassConnect
	case s == shaking:
		return webhook.ClassTLS
	case s == connected, errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return webhook.ClassReset
	}
	return webhook.ClassBadResponse
}

// timedOut reports whether a limit of the system, or of a phase by a hair before the attempt's, has run out.
func timedOut(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

const maxDetail = 256

// describe returns the words of an error for a log, without the URL that it may be wrapped in.
func describe(err error) string {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	text := err.Error()
	return webhook.KeepBody([]byte(text[:min(len(text), maxDetail)]))
}
