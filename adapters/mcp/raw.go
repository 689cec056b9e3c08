package mcp

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// rawAnswer is a response on a connection that is taken over. Its end is the connection's (RFC 9112, section 6.3).
type rawAnswer struct {
	conn   net.Conn
	header http.Header
	begun  bool
	broken bool // an error came after the answer had begun
}

// takeOver takes the connection of a request that is about to be answered from net/http, with the headers of the layers
// before. What the client sends before it has its answer is lost with the connection.
func takeOver(a *answer) (*rawAnswer, error) {
	conn, _, err := a.control.Hijack()
	if err != nil {
		return nil, err
	}
	raw := &rawAnswer{conn: conn, header: http.Header{}}
	for name, values := range a.Header() {
		if name == "Vary" || strings.HasPrefix(name, "Access-Control-") {
			raw.header[name] = values
		}
	}
	return raw, nil
}

// resume serves a request on a connection that was taken over.
func (s *Server) resume(r *http.Request, by *caller, raw *rawAnswer, timeout time.Duration) {
	defer func() {
		if v := recover(); v != nil {
			s.opts.Fault(fmt.Errorf("panic: %v", v))
		}
	}()
	s.serve(&answer{ResponseWriter: raw, control: http.NewResponseController(raw), timeout: timeout, by: by}, by.asks(r))
}

// Header implements http.ResponseWriter.
func (a *rawAnswer) Header() http.Header { return a.header }

// SetWriteDeadline is for http.ResponseController.
func (a *rawAnswer) SetWriteDeadline(t time.Time) error { return a.conn.SetWriteDeadline(t) }

// WriteHeader implements http.ResponseWriter.
func (a *rawAnswer) WriteHeader(status int) {
	if a.begun {
		a.broken = a.broken || status >= 400
		return
	}
	a.begun = true
	unbuffered(a.header)
	a.header.Set("Connection", "close")
	a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = a.header.Write(&head) // to memory
	head.WriteString("\r\n")
	_, _ = a.conn.Write(head.Bytes()) // the next write tells
}

// Write implements http.ResponseWriter.
func (a *rawAnswer) Write(p []byte) (int, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	if a.broken {
		return 0, net.ErrClosed
	}
	return a.conn.Write(p)
}

// send sends a notification ahead of the answer.
func (a *rawAnswer) send(method string, params any) error {
	data, err := marshal(params)
	if err == nil {
		data, err = jsonrpc.EncodeMessage(&jsonrpc.Request{Method: method, Params: data})
	}
	if err != nil {
		return err
	}
	a.header.Set("Content-Type", "text/event-stream")
	a.header.Set("Cache-Control", "no-cache, no-transform")
	if err := a.SetWriteDeadline(time.Now().Add(streamTimeout)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a, "event: message\ndata: %s\n\n", data)
	return err
}
