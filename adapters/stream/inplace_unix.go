//go:build unix

package stream

import (
	"bufio"
	"bytes"
	"net/http"
	"net/url"
	"slices"

	"github.com/gobwas/ws"

	"github.com/matric/matric-events/adapters/internal/web"
)

// What is read here is also read by the HTTP server when it gets the request, with the same result or a reason why not.

// upgrade reads an opening handshake (RFC 6455 section 4.2) and makes the answer. An error means that it is not to be
// answered here.
func (m *meeting) upgrade(origins *web.Origins, query url.Values) (*opening, error) {
	if _, once := field(m.head, "Sec-WebSocket-Version"); !once {
		return nil, errElsewhere
	}
	if key, once := field(m.head, "Sec-WebSocket-Key"); !once || !validKey(key) {
		return nil, errElsewhere
	}
	var host, origin string
	upgrader := ws.Upgrader{
		ReadBufferSize: maxHead,
		Protocol:       func(p []byte) bool { return string(p) == subprotocol },
		OnHost:         func(v []byte) error { return set(&host, v) },
		OnHeader: func(name, v []byte) error {
			switch string(name) {
			case "Origin":
				return set(&origin, v)
			case "Authorization", "Content-Length", "Transfer-Encoding", "Expect":
				return errElsewhere
			}
			return nil
		},
	}
	hs, err := upgrader.Upgrade(&upgraderConn{bytes.NewReader(m.head), m})
	if err != nil {
		return nil, err
	}
	o, err := socketQuery(query)
	if err != nil || !origins.AllowPage(origin, host) {
		return nil, errElsewhere
	}
	o.modern, o.remote = hs.Protocol == subprotocol, m.remote
	return &o, nil
}

// set sets what must stand there once.
func set(to *string, value []byte) error {
	if *to != "" || len(value) == 0 {
		return errElsewhere
	}
	*to = string(value)
	return nil
}

// upgraderConn is the connection that ws.Upgrader sees: the head and no byte more, and an answer that is sent later, if at all.
type upgraderConn struct {
	*bytes.Reader
	to *meeting
}

func (x *upgraderConn) Write(p []byte) (int, error) {
	x.to.answer = append(x.to.answer, p...)
	return len(p), nil
}

// unusual are the fields that make a request for an event stream one for the HTTP server.
var unusual = []string{"Authorization", "Connection", "Content-Length", "Transfer-Encoding", "Expect", "Upgrade"}

// stream reads a request for an event stream and makes the head of the answer. An error means that it is not to be
// answered here.
func (m *meeting) stream(origins *web.Origins) (*opening, error) {
	r, err := http.ReadRequest(bufio.NewReaderSize(bytes.NewReader(m.head), len(m.head)))
	if err != nil || !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 {
		return nil, errElsewhere
	}
	has := func(name string) bool { return r.Header[name] != nil && r.Header.Get(name) != "keep-alive" }
	if slices.ContainsFunc(unusual, has) {
		return nil, errElsewhere
	}
	r.RemoteAddr = m.remote
	o, err := eventsRequest(r)
	if err != nil {
		return nil, errElsewhere
	}
	h := http.Header{}
	eventsHeader(h)
	origins.CORS(h, r)
	m.answer = o.head(r, h)
	return o, nil
}
