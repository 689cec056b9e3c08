//go:build unix

package stream

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// direct is a TCP socket without what package net has around it: writes that do not wait, and reads that need no buffer
// while there is nothing.
type direct struct {
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // writeOnce; made once and not for each write, which then allocates nothing

	out      []byte // what to write; set during a write only, like the result
	wrote    int
	writeErr error

	in      *[]byte // what is read into; set during a read only, like the result
	got     int
	readErr error
}

var readBuffers = sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}

// newDirect returns the zero value for a connection that is no TCP socket.
func newDirect(nc net.Conn) (d direct) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil { // else it is closed; a write will tell
			d.raw = raw
		}
	}
	return d
}

func (d *direct) writeOnce(fd uintptr) bool {
	d.wrote, d.writeErr = syscall.Write(int(fd), d.out)
	return true // done, whatever came of it: do not wait for the socket
}

func (d *direct) readNext(fd uintptr) bool {
	d.in = readBuffers.Get().(*[]byte)
	d.got, d.readErr = syscall.Read(int(fd), *d.in)
	if again(d.readErr) {
		readBuffers.Put(d.in)
		return false
	}
	return true
}

func again(err error) bool {
	return err == syscall.EAGAIN || err == syscall.EINTR //nolint:errorlint // of a system call
}

// write writes what the kernel takes at once.
func (d *direct) write(b []byte) (int, error) {
	if d.attempt == nil {
		d.attempt = d.writeOnce
	}
	d.out = b
	err := d.raw.Write(d.attempt)
	d.out = nil
	switch {
	case err != nil:
		return 0, err
	case again(d.writeErr):
		return 0, nil
	}
	return max(d.wrote, 0), d.writeErr
}

// read waits for bytes and passes them to take, which must be done with them when it returns. One goroutine at a time may
// call it.
func (d *direct) read(take func(b []byte)) error {
	if err := d.raw.Read(d.readNext); err != nil {
		return err
	}
	defer readBuffers.Put(d.in)
	switch {
	case d.readErr != nil:
		return d.readErr
	case d.got <= 0:
		return io.EOF
	}
	take((*d.in)[:d.got])
	return nil
}
