package stream

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"

	"github.com/matric/matric-events/adapters/internal/web"
)

// canPeek says that meet works here.
const canPeek = true

// maxHead bounds the head of a handshake that is answered here. Longer ones are for the HTTP server to refuse.
const maxHead = 8 << 10

// errElsewhere says that a request is for the HTTP server, to be answered or refused.
var errElsewhere = errors.New("stream: for the HTTP server")

var meetings = sync.Pool{New: func() any { return &meeting{head: make([]byte, maxHead)} }}

// meeting is a look at a connection's first request, which stays in the socket meanwhile.
type meeting struct {
	head   []byte
	seen   int // of head
	answer []byte

	reader            bytes.Reader // of the head, for ws.Upgrader
	uri, host, origin string
	remote            string
}

// Read and Write are the connection that ws.Upgrader sees: the head and no byte more, and an answer that is sent later,
// if at all.
func (m *meeting) Read(p []byte) (int, error) { return m.reader.Read(p) }

func (m *meeting) Write(p []byte) (int, error) { m.answer = append(m.answer, p...); return len(p), nil }

// meet reports whether it has served the connection, which is a WebSocket then, or has ended; if not, nothing has been
// taken from it.
func (e *Engine) meet(nc *net.TCPConn, path string) (served bool) {
	m := meetings.Get().(*meeting)
	defer func() {
		*m = meeting{head: m.head, answer: m.answer[:0]}
		meetings.Put(m)
	}()
	raw, err := nc.SyscallConn()
	if err != nil {
		return false
	}
	size, err := m.await(nc, raw, "GET "+path)
	switch {
	case err != nil: // it sent nothing in time, or has gone
		_ = nc.Close()
		return true
	case size == 0:
		return false
	}
	return e.upgradeInPlace(m, nc, raw, size, path)
}

// await looks at the socket until the head of a request is there, and returns its size; 0 once it cannot begin with the
// prefix, or is too long.
func (m *meeting) await(nc *net.TCPConn, raw syscall.RawConn, prefix string) (size int, err error) {
	waited, done := false, false
	look := func(fd uintptr) bool {
		n, _, recvErr := syscall.Recvfrom(int(fd), m.head, syscall.MSG_PEEK)
		switch {
		case recvErr == syscall.EAGAIN || recvErr == syscall.EINTR: //nolint:errorlint // of a system call
			return !waited
		case recvErr != nil || n <= 0: // the HTTP server will see the same
			done = true
			return true
		}
		size, done = m.examine(n, prefix)
		return done || !waited
	}
	if err = raw.Read(look); err != nil || done {
		return size, err
	}
	if err = nc.SetReadDeadline(time.Now().Add(headTimeout)); err != nil {
		return 0, err
	}
	waited = true
	if err = raw.Read(look); err != nil {
		return 0, err
	}
	return size, nc.SetReadDeadline(time.Time{})
}

// examine looks at the first n bytes of the head. Only what is new is searched, so that a head in small pieces costs no
// more than one in large ones.
func (m *meeting) examine(n int, prefix string) (size int, done bool) {
	known := min(n, len(prefix))
	if string(m.head[:known]) != prefix[:known] {
		return 0, true
	}
	from := max(0, m.seen-3)
	m.seen = n
	fresh := m.head[from:n]
	end := bytes.Index(fresh, []byte("\r\n\r\n"))
	if lf := bytes.Index(fresh, []byte("\n\n")); lf >= 0 && (end < 0 || lf < end) { // an end that only the HTTP server knows
		return 0, true
	}
	if end >= 0 {
		return from + end + 4, true
	}
	return 0, n == len(m.head)
}

// upgradeInPlace answers an opening handshake that nothing is wrong with (RFC 6455 section 4.2), and reports whether it
// has.
func (e *Engine) upgradeInPlace(m *meeting, nc *net.TCPConn, raw syscall.RawConn, size int, path string) bool {
	m.remote = nc.RemoteAddr().String()
	o, err := m.handshake(size, path)
	if err != nil || !e.opts.Origins.AllowPage(m.origin, m.host) {
		return false
	}
	if !e.enlist() {
		return false
	}
	defer e.crew.Done()
	place, refusal := e.registry.Reserve("websocket", web.Host(m.remote))
	if refusal != nil {
		return false // and the HTTP server is refused as well, and says why
	}
	at := e.feed.Head() // from the client's view it is connected, and gets what comes, as soon as it has the answer
	if err := take(raw, m.head[:size]); err != nil {
		place.Leave("handshake")
		_ = nc.Close()
		return true
	}
	e.connect(context.Background(), e.adopt(nc), place, at, o, bytes.Clone(m.answer), nil)
	return true
}

// take takes from the socket what has been seen there.
func take(raw syscall.RawConn, seen []byte) (err error) {
	controlErr := raw.Read(func(fd uintptr) bool {
		for len(seen) > 0 && err == nil {
			var n int
			n, err = syscall.Read(int(fd), seen)
			seen = seen[max(n, 0):]
			if n == 0 && err == nil {
				err = net.ErrClosed
			}
		}
		return true
	})
	return errors.Join(controlErr, err)
}

// handshake reads the opening handshake. An error means that it is not to be answered here.
func (m *meeting) handshake(size int, path string) (*opening, error) {
	head := m.head[:size]
	if !ordinary(head) {
		return nil, errElsewhere
	}
	if _, once := field(head, "Sec-WebSocket-Version"); !once {
		return nil, errElsewhere
	}
	if key, once := field(head, "Sec-WebSocket-Key"); !once || !validKey(key) {
		return nil, errElsewhere
	}
	m.reader.Reset(head)
	upgrader := ws.Upgrader{
		ReadBufferSize: maxHead,
		Protocol:       func(p []byte) bool { return string(p) == subprotocol },
		OnRequest:      func(uri []byte) error { return m.set(&m.uri, uri) },
		OnHost:         func(host []byte) error { return m.set(&m.host, host) },
		OnHeader: func(name, value []byte) error {
			switch string(name) {
			case "Origin":
				return m.set(&m.origin, value)
			case "Authorization", "Content-Length", "Transfer-Encoding", "Expect":
				return errElsewhere
			}
			return nil
		},
	}
	hs, err := upgrader.Upgrade(m)
	if err != nil {
		return nil, err
	}
	target, query, _ := strings.Cut(m.uri, "?")
	values, err := url.ParseQuery(query)
	if err != nil || target != path || values.Has("token") || !ordinaryHost(m.host) {
		return nil, errElsewhere
	}
	o, err := socketQuery(values)
	o.modern, o.remote = hs.Protocol == subprotocol, m.remote
	return &o, err
}

// set sets what may stand there once.
func (m *meeting) set(to *string, value []byte) error {
	if *to != "" || len(value) == 0 {
		return errElsewhere
	}
	*to = string(value)
	return nil
}

// field returns the value of a header field, and whether it stands in the head exactly once.
func field(head []byte, name string) (value string, once bool) {
	count := 0
	for line := range bytes.Lines(head) {
		if k, v, ok := bytes.Cut(line, []byte(":")); ok && strings.EqualFold(string(k), name) {
			count++
			value = string(bytes.TrimSpace(v))
		}
	}
	return value, count == 1
}
