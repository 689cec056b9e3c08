//go:build !unix

package stream

import "net"

// canPeek says that meet works here.
const canPeek = false

func (*Engine) meet(*net.TCPConn, Paths) bool { return false }
