//go:build unix

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

	"github.com/matric/matric-events/adapters/internal/web"
)

// canPeek says that meet works here.
const canPeek = true

// maxHead bounds the head of a request that is answered here. Longer ones are for the HTTP server to refuse.
const maxHead = 8 << 10

// errElsewhere says that a request is for the HTTP server, to be answered or refused.
var errElsewhere = errors.New("stream: for the HTTP server")

// meeting is a look at a connection's first request, which stays in the socket meanwhile.
type meeting struct {
	buf    []byte
	head   []byte // in buf, once it is complete
	remote string
	answer []byte // that is sent if all is well
}

var meetings = sync.Pool{New: func() any { return &meeting{buf: make([]byte, maxHead)} }}

func (m *meeting) end() {
	*m = meeting{buf: m.buf, answer: m.answer[:0]}
	meetings.Put(m)
}

// meet reports whether it has served the connection, or ended it; if not, nothing has been taken from it.
func (e *Engine) meet(nc *net.TCPConn, paths Paths) (served bool) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return false
	}
	m, err := awaitHead(nc, raw, paths)
	switch {
	case err != nil: // it sent nothing in time, or has gone
		_ = nc.Close()
		return true
	case m == nil:
		return false
	}
	defer m.end()
	m.remote = nc.RemoteAddr().String()
	o, err := m.read(&e.opts.Origins, paths)
	return err == nil && e.serveInPlace(m, nc, raw, o)
}

// read reads the request and makes the answer. An error means that it is not to be answered here.
func (m *meeting) read(origins *web.Origins, paths Paths) (*opening, error) {
	if !ordinary(m.head) {
		return nil, errElsewhere
	}
	target, query := m.target()
	values, err := url.ParseQuery(query)
	if err != nil || values.Has("token") {
		return nil, errElsewhere
	}
	if host, once := field(m.head, "Host"); !once || !ordinaryHost(host) {
		return nil, errElsewhere
	}
	switch target {
	case paths.WebSocket:
		return m.upgrade(origins, values)
	case paths.Events:
		return m.stream(origins)
	}
	return nil, errElsewhere
}

// awaitHead looks at the socket until the head of a request is there, and returns it; nil when it cannot be one for the paths.
// While it waits it holds no buffer: what was there is still there at the next look.
func awaitHead(nc *net.TCPConn, raw syscall.RawConn, paths Paths) (found *meeting, err error) {
	waits, done, seen := false, false, 0
	look := func(fd uintptr) bool {
		m := meetings.Get().(*meeting)
		n, _, err := syscall.Recvfrom(int(fd), m.buf, syscall.MSG_PEEK)
		switch {
		case again(err):
		case err != nil || n <= 0:
			done = true // the HTTP server will see the same
		default:
			done = m.examine(seen, n, paths)
			seen = n
		}
		if m.head != nil {
			found = m
		} else {
			m.end()
		}
		return done || !waits
	}
	if err := raw.Read(look); err != nil || done {
		return found, err
	}
	waits = true
	if err := nc.SetReadDeadline(time.Now().Add(headTimeout)); err != nil {
		return nil, err
	}
	if err := raw.Read(look); err != nil {
		return nil, err
	}
	return found, nc.SetReadDeadline(time.Time{})
}

// examine looks at the first n bytes, and reports whether that is enough. Only what was not seen before is searched, so that
// a head in small pieces costs no more than one in large ones.
func (m *meeting) examine(seen, n int, paths Paths) (done bool) {
	if got := string(m.buf[:min(n, 64)]); !begins(got, "GET "+paths.WebSocket) && !begins(got, "GET "+paths.Events) {
		return true
	}
	from := max(0, seen-len("\n\r\n")+1)
	fresh := m.buf[from:n]
	end := bytes.Index(fresh, []byte("\n\r\n"))
	if lf := bytes.Index(fresh, []byte("\n\n")); lf >= 0 && (end < 0 || lf < end) {
		return true // an end that only the HTTP server knows
	}
	if end < 0 {
		return n == len(m.buf)
	}
	if head := m.buf[:from+end+len("\n\r\n")]; bytes.HasSuffix(head, []byte("\r\n\r\n")) { // else likewise
		m.head = head
	}
	return true
}

// begins reports whether two texts are the same as far as both go.
func begins(got, want string) bool {
	n := min(len(got), len(want))
	return got[:n] == want[:n]
}

// target returns the path and the query of the first line.
func (m *meeting) target() (path, query string) {
	line, _, _ := bytes.Cut(m.head, []byte("\r\n"))
	_, rest, _ := strings.Cut(string(line), " ")
	uri, _, _ := strings.Cut(rest, " ")
	path, query, _ = strings.Cut(uri, "?")
	return path, query
}

// serveInPlace answers a request that nothing is wrong with, and reports whether it has.
func (e *Engine) serveInPlace(m *meeting, nc *net.TCPConn, raw syscall.RawConn, o *opening) bool {
	if !e.enlist() {
		return false
	}
	defer e.crew.Done()
	place, refusal := e.registry.Reserve(o.format.transport(), o.ip())
	if refusal != nil {
		return false // and the HTTP server is refused as well, and says why
	}
	at := e.feed.Head() // from the client's view it is connected, and gets what comes, as soon as it has the answer
	if err := take(raw, m.head); err != nil {
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
