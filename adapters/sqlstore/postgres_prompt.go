package sqlstore

import (
	"context"
	"net"
	"time"

	"github.com/lib/pq"
)

// promptDialer opens connections to a server that answers in time, or is given up. The driver returns from a call whose
// context has ended only when the server has answered; when the network swallows the answers, that is when TCP gives up, a
// quarter of an hour later.
type promptDialer struct{ net.Dialer }

var (
	_ pq.Dialer        = promptDialer{}
	_ pq.DialerContext = promptDialer{}
)

// DialContext implements pq.DialerContext, which the driver uses. The other methods come with pq.Dialer.
func (d promptDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return promptConn{conn}, nil
}

// Dial implements pq.Dialer.
func (d promptDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialTimeout implements pq.Dialer.
func (d promptDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

type promptConn struct{ net.Conn }

// Read is only called when an answer is due.
func (c promptConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(sessionTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}
