package mcp

import (
	"net/http"
	"strings"
	"time"

	"github.com/matric/matric-events/adapters/internal/web"
)

// answer is a response whose writes end in time, and whose errors are problems like those of the rest of the interface: the
// SDK writes them as plain text.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	refused int // the status of an error whose text is yet to come
}

// Unwrap lets http.ResponseController flush.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if status >= 400 && strings.HasPrefix(a.Header().Get("Content-Type"), "text/plain") {
		a.refused = status
		return
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.refused != 0 {
		web.Problem(a.ResponseWriter, &web.StatusError{Status: a.refused, Detail: strings.TrimSpace(string(p))})
		return len(p), nil
	}
	_ = a.control.SetWriteDeadline(time.Now().Add(a.timeout)) // where there is none, as in tests, all is well
	return a.ResponseWriter.Write(p)
}

// end lets the connection be used for another answer.
func (a *answer) end() { _ = a.control.SetWriteDeadline(time.Time{}) }
