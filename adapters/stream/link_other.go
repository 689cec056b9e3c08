//go:build !unix

package stream

import "net"

// socket would be a way to write without blocking; there is none here.
type socket struct{}

func newSocket(net.Conn) *socket { return nil }

func (*socket) tryWrite([]byte) (int, error) { return 0, nil }
