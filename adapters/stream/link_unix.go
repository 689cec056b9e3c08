//go:build unix

package stream

import (
	"errors"
	"net"
	"syscall"
)

// directWriter writes to a socket without waiting for it. It is made once and not for each write, which then allocates
// nothing.
type directWriter struct {
	raw     syscall.RawConn
	attempt func(fd uintptr) bool

	out []byte // what to write; set during a write only
	n   int
	err error
}

// newDirectWriter returns nil for a connection that is no TCP socket.
func newDirectWriter(nc net.Conn) *directWriter {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil // it is closed; a write will tell
	}
	w := &directWriter{raw: raw}
	w.attempt = func(fd uintptr) bool {
		w.n, w.err = syscall.Write(int(fd), w.out)
		return true // done, whatever came of it: do not wait for the socket
	}
	return w
}

// write writes what the kernel takes at once.
func (w *directWriter) write(b []byte) (int, error) {
	w.out = b
	err := w.raw.Write(w.attempt)
	w.out = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(w.err, syscall.EAGAIN) || errors.Is(w.err, syscall.EINTR):
		return 0, nil
	}
	return max(w.n, 0), w.err
}
