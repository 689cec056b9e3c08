// Package web is what the HTTP adapters share, so that all of them answer alike: problem details (RFC 9457), JSON answers,
// times of the wire, who is calling and from where, and which web pages may (RFC 6454).
//
// Problem alone decides which status an error of the domain gets. The text of an error that is not the domain's, or of this
// package, never reaches a client; Problem reports it as internal instead, for the caller to log. Everything here is safe for
// concurrent use and keeps no state.
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/matric/matric-events/domain"
)

// Details is an RFC 9457 problem. Error repeats Detail for clients that look there.
type Details struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Error  string `json:"error"`
	Field  string `json:"field,omitempty"`
	Index  *int   `json:"index,omitempty"`
}

// StatusError is an error with an HTTP status of its own, for what only the edge knows of: methods, media types, sizes.
type StatusError struct {
	Status     int
	Detail     string
	RetryAfter time.Duration
}

func (e *StatusError) Error() string { return e.Detail }

// Problem answers with what is wrong, as Describe puts it. It reports whether that is an internal fault, for the caller to
// log.
func Problem(w http.ResponseWriter, err error) (internal bool) {
	d, retryAfter, internal := Describe(err)
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((retryAfter+time.Second-1)/time.Second)))
	}
	if d.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	write(w, "application/problem+json", d.Status, d)
	return internal
}

// Describe puts an error in words for clients. Only texts meant for them go out: those of FieldErrors, StatusErrors and
// conflicts; an internal fault is 500 without its text, and reported as such.
func Describe(err error) (d Details, retryAfter time.Duration, internal bool) {
	d = Details{Type: "about:blank", Status: http.StatusInternalServerError, Detail: "internal error"}
	fe, isField := errors.AsType[*domain.FieldError](err)
	se, isStatus := errors.AsType[*StatusError](err)
	switch {
	case isField:
		d.Status, d.Detail, d.Field = http.StatusBadRequest, fe.Error(), fe.Field
		if fe.Index != domain.NoIndex {
			d.Index = &fe.Index
		}
	case isStatus:
		d.Status, d.Detail, retryAfter = se.Status, se.Detail, se.RetryAfter
	case errors.Is(err, domain.ErrNotFound):
		d.Status, d.Detail = http.StatusNotFound, "not found"
	case errors.Is(err, domain.ErrConflict):
		d.Status, d.Detail = http.StatusConflict, conflict(err)
	case errors.Is(err, domain.ErrUnauthorized):
		d.Status, d.Detail = http.StatusUnauthorized, "the token is missing or not valid"
	case errors.Is(err, domain.ErrUnavailable):
		d.Status, d.Detail, retryAfter = http.StatusServiceUnavailable, "not available at the moment; try again", time.Second
		internal = true
	default:
		internal = true
	}
	d.Title, d.Error = http.StatusText(d.Status), d.Detail
	return d, retryAfter, internal
}

// conflict returns what clients may read of a conflict: the text of the domain's own error, whatever it is wrapped in. A
// wrap of ErrConflict alone ends with the text of that and has none for clients; nor has a database's error, which
// adapters join to ErrConflict.
func conflict(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		if errors.Unwrap(err) == domain.ErrConflict && !strings.HasSuffix(err.Error(), ": "+domain.ErrConflict.Error()) { //nolint:errorlint // the one place that wants exactly this one
			return err.Error()
		}
	}
	return "it is not possible in the present state"
}

// JSON answers with a value.
func JSON(w http.ResponseWriter, status int, v any) { write(w, "application/json", status, v) }

func write(w http.ResponseWriter, mediaType string, status int, v any) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)                        // what we show can be encoded
	_ = Send(w, body.Bytes(), AnswerTimeout) // the client has gone
}

// AnswerTimeout is Send's for answers that are no streams.
const AnswerTimeout = 10 * time.Second

// piece is what a client has to take within a timeout.
const piece = 16 << 10

// Send writes a body to a client that reads it, and fails for one that does not take the next 16 KiB within the timeout: it would
// hold the body in memory, and up the end of the server, for as long as it likes. The deadline stays for what net/http has
// yet to flush, which then takes it away.
func Send(w http.ResponseWriter, body []byte, timeout time.Duration) error {
	control := http.NewResponseController(w)
	for part := range slices.Chunk(body, piece) {
		_ = control.SetWriteDeadline(time.Now().Add(timeout)) // where there is none, as in tests, all is well
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

type userKey struct{}

// WithUser returns a context that knows who is calling.
func WithUser(ctx context.Context, user string) context.Context {
	return context.WithValue(ctx, userKey{}, user)
}

// User returns who is calling, or the empty string for anonymous.
func User(ctx context.Context) string {
	user, _ := ctx.Value(userKey{}).(string)
	return user
}

// RemoteIP returns the address that the request came from, without the port.
func RemoteIP(r *http.Request) string { return Host(r.RemoteAddr) }

// Host returns an address without its port.
func Host(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// Stamp writes a time of the wire; the zero time is left out.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(domain.TimeLayout)
}

// OrEmpty returns a list that JSON shows as one when there is nothing in it.
func OrEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
