package sqlstore

import (
	"context"
	"net"
	"syscall"
	"time"

	"github.com/lib/pq"
)

// peerPatience is after how long without a sign of life a server is gone, to the kernel. TCP alone takes a quarter of an hour
// to find that out, and the driver returns from a call only when it has an answer or an error, whatever the context says.
const peerPatience = 11 * time.Second

// dialer opens connections to a server.
type dialer struct {
	// answer is how long the server may take to answer, when it is asked for nothing that takes long. Zero means any time.
	answer time.Duration
}

var (
	_ pq.Dialer        = dialer{}
	_ pq.DialerContext = dialer{}
)

// DialContext implements pq.DialerContext, which is what the driver calls.
func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	with := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control: func(network, _ string, conn syscall.RawConn) error {
			if network == "unix" {
				return nil
			}
			return limitSilence(conn, peerPatience)
		},
	}
	conn, err := with.DialContext(ctx, network, address)
	if err != nil || d.answer == 0 {
		return conn, err
	}
	return promptConn{conn, d.answer}, nil
}

// Dial implements pq.Dialer.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialTimeout implements pq.Dialer.
func (d dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// promptConn is a connection to a server that answers in time, or is given up.
type promptConn struct {
	net.Conn
	answer time.Duration
}

// Read is only called when an answer is due.
func (c promptConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.answer)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}
