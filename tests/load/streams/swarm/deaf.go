//go:build linux

package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/matric/matric-events/tests/load/streams/target"
	"github.com/matric/matric-events/tests/load/streams/wire"
)

// Deaf is a client that subscribes and then never reads.
type Deaf struct {
	conn   *net.TCPConn
	target target.Target
}

const (
	deafBuffer  = 4 << 10
	deafSegment = 536 // what every host takes. Loopback's 64 KiB let the server send megabytes before anything stalls
	deafTimeout = 10 * time.Second
)

// Deafen subscribes a client whose buffers are small, so that the server soon has nowhere to write to.
func Deafen(server netip.AddrPort, t target.Target) (*Deaf, error) {
	dialer := net.Dialer{Timeout: deafTimeout, Control: func(_, _ string, raw syscall.RawConn) (err error) {
		return errors.Join(raw.Control(func(fd uintptr) {
			err = errors.Join(
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, deafBuffer),
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, deafSegment),
			)
		}), err)
	}}
	nc, err := dialer.DialContext(context.Background(), "tcp", server.String())
	if err != nil {
		return nil, err
	}
	d := &Deaf{conn: nc.(*net.TCPConn), target: t}
	if err := d.subscribe(server); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return d, nil
}

// subscribe reads no further than the response to the handshake, byte by byte.
func (d *Deaf) subscribe(server netip.AddrPort) error {
	_ = d.conn.SetDeadline(time.Now().Add(deafTimeout)) // a socket just opened takes one
	if _, err := d.conn.Write(d.target.Handshake(server.String(), "")); err != nil {
		return err
	}
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")) && len(head) < maxHead; head = append(head, one[0]) {
		if _, err := d.conn.Read(one); err != nil {
			return err
		}
	}
	if !bytes.HasPrefix(head, []byte(d.target.Accepted())) {
		return fmt.Errorf("handshake: %.60s", head)
	}
	if d.target.Hello != "" {
		_, err := d.conn.Write(wire.AppendText(nil, []byte(d.target.Hello)))
		return err
	}
	return nil
}

// Waiting returns how many bytes wait for the client to read them, on its side and on the server's.
func (d *Deaf) Waiting() int {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0
	}
	return queued(table, d.conn.LocalAddr().(*net.TCPAddr).Port)
}

// queued adds up what the sockets at both ends of a connection hold, proc_pid_net(5): tx_queue of the one whose peer has the
// port, and rx_queue of the one that has it.
func queued(table []byte, port int) (bytes int) {
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		tx, rx, _ := strings.Cut(f[4], ":")
		switch {
		case strings.HasSuffix(f[2], suffix):
			bytes += hex(tx)
		case strings.HasSuffix(f[1], suffix):
			bytes += hex(rx)
		}
	}
	return bytes
}

func hex(s string) int {
	n, _ := strconv.ParseInt(s, 16, 64) // the kernel writes numbers
	return int(n)
}

// End reads at last, all there is, and tells how the server has dealt with the client.
func (d *Deaf) End() string {
	_ = d.conn.SetDeadline(time.Now().Add(time.Second))
	all, err := io.ReadAll(d.conn)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "still connected"
	case err != nil:
		return fmt.Sprintf("cut off after %d KiB: %v", len(all)>>10, errors.Unwrap(err))
	}
	how := fmt.Sprintf("cut off after %d KiB", len(all)>>10)
	if reason := lastWords(all); !d.target.SSE && reason != "" {
		how += ": " + reason
	}
	return how
}

// lastWords returns the reason in the Close frame at the end of a stream, if it has one.
func lastWords(b []byte) string {
	var ws wire.WebSocket
	for {
		m, size, err := ws.Next(b)
		if err != nil || size == 0 {
			return ""
		}
		if m.Kind == wire.Close {
			return wire.CloseReason(m.Payload)
		}
		b = b[size:]
	}
}

// Close resets the connection.
func (d *Deaf) Close() {
	_ = d.conn.SetLinger(0) // then it closes in the usual way
	_ = d.conn.Close()
}
