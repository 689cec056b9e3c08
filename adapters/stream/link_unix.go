//go:build unix

package stream

import (
	"errors"
	"net"
	"syscall"
)

// socket is a connection's way to the kernel. It is made once and not for each write, which then allocates nothing.
type socket struct {
	raw     syscall.RawConn
	attempt func(fd uintptr) bool

	out []byte // what to write; set during a write only
	n   int
	err error
}

// newSocket returns nil for a connection that is no TCP socket.
func newSocket(nc net.Conn) *socket {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil // it is closed; write will tell
	}
	s := &socket{raw: raw}
	s.attempt = func(fd uintptr) bool {
		s.n, s.err = syscall.Write(int(fd), s.out)
		return true // done, whatever came of it: do not wait for the socket
	}
	return s
}

// tryWrite writes what the kernel takes at once.
func (s *socket) tryWrite(b []byte) (int, error) {
	s.out = b
	err := s.raw.Write(s.attempt)
	s.out = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(s.err, syscall.EAGAIN) || errors.Is(s.err, syscall.EINTR):
		return 0, nil
	}
	return max(s.n, 0), s.err
}
