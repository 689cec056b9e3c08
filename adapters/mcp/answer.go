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
	refused int     // the status of an error whose text is yet to come
	by      *caller // while it is held, there is nothing to write
}

// FlushError is for http.ResponseController.
func (a *answer) FlushError() error {
	if a.by.held() {
		return nil
	}
	return a.control.Flush()
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.by.held() {
		return
	}
	if status >= 400 && strings.HasPrefix(a.Header().Get("Content-Type"), "text/plain") {
		a.refused = status
		return
	}
	unbuffered(a.Header())
	a.ResponseWriter.WriteHeader(status)
}

// unbuffered has nginx pass a stream on as it comes, which otherwise keeps it back until it has some kilobytes.
func unbuffered(h http.Header) {
	if h.Get("Content-Type") == "text/event-stream" {
		h.Set("X-Accel-Buffering", "no")
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.by.held() {
		return len(p), nil
	}
	if a.refused != 0 {
		web.Problem(a.ResponseWriter, &web.StatusError{Status: a.refused, Detail: strings.TrimSpace(string(p))})
		return len(p), nil
	}
	unbuffered(a.Header())                                    // no header may have been written yet
	_ = a.control.SetWriteDeadline(time.Now().Add(a.timeout)) // where there is none, as in tests, all is well
	return a.ResponseWriter.Write(p)
}
