//go:build !unix

package stream

import (
	"errors"
	"net"
)

// direct would be a socket without what package net has around it; there is none here.
type direct struct{ raw any }

func newDirect(net.Conn) (d direct) { return d }

func (*direct) write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (*direct) read(func([]byte)) error { return errors.ErrUnsupported }
