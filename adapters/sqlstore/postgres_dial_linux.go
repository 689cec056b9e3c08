package sqlstore

import (
	"errors"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT (tcp(7)): how long what was sent may remain without acknowledgement.
const tcpUserTimeout = 18

func limitSilence(conn syscall.RawConn, limit time.Duration) (err error) {
	controlled := conn.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(limit.Milliseconds()))
	})
	return errors.Join(controlled, err)
}
