//go:build !linux

package stream

import (
	"net"
	"time"
)

// poller would tell which sockets are ready; here every connection has a goroutine instead.
type poller struct{}

type event struct{}

func newPoller() (*poller, error) { return nil, nil }

func (*poller) watch()                 {}
func (*poller) ready() <-chan []event  { return nil }
func (*poller) close()                 {}
func (*poller) handle(*shard, []event) {}

// socket would be a link on the poller.
type socket struct{ netLink }

func newSocket(*net.TCPConn, time.Duration) *socket { return nil }
