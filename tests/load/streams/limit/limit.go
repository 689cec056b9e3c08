//go:build linux

// Package limit is the cheapest fan-out that a machine can do over TCP without knowing more than a server of events may: an
// event is framed once and written to each socket with one bare system call, all from one thread. There is no queue, buffer
// or goroutine per connection, no filter, no heartbeat, no resume.
//
// With a batch of B, up to B events that wait share one write: what a server gains by coalescing at a high rate. At a low
// rate both are the same, and no server can spend less. It speaks as much WebSocket as the target "ws" needs. Linux only.
package limit

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/matric/matric-events/tests/load/streams/wire"
)

// queue is how many published events may wait. An event is acknowledged once it waits.
const queue = 1024

// Server fans out to the subscribers that Serve has accepted.
type Server struct {
	batch    int
	patience time.Duration // how long a subscriber that does not read may hold up the others, before it is cut off
	frames   chan []byte
	mu       sync.Mutex // guards joined, which Serve hands to the thread that writes
	joined   []int
}

// New makes a server whose writes hold up to batch events.
func New(batch int) *Server {
	return &Server{batch: max(batch, 1), patience: time.Second, frames: make(chan []byte, queue)}
}

// Serve accepts subscribers and publishers until the listener is closed.
func (s *Server) Serve(l net.Listener) error {
	go s.fanOut()
	for {
		nc, err := l.Accept()
		if err != nil {
			close(s.frames)
			return err
		}
		go s.handle(nc)
	}
}

// handle takes requests until the connection ends or has become a subscriber's.
func (s *Server) handle(nc net.Conn) {
	defer nc.Close()
	for in := bufio.NewReaderSize(nc, 4096); ; {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if req.Method == http.MethodGet {
			_ = s.subscribe(nc, req.Header.Get("Sec-WebSocket-Key")) // the client sees that it is not served
			return
		}
		event, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		s.frames <- wire.AppendServerText(nil, event)
		if _, err := io.WriteString(nc, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

// subscribe answers the handshake, RFC 6455, section 4.2.2, and keeps nothing of the connection but a bare descriptor.
func (s *Server) subscribe(nc net.Conn, key string) error {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:])); err != nil {
		return err
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(f uintptr) { fd, dupErr = syscall.Dup(int(f)) })
	if err := errors.Join(err, dupErr); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joined = append(s.joined, fd)
	return nil
}
