package sqlstore

import (
	"net"
	"syscall"
	"testing"
)

// A connection on which nothing is acknowledged ends in seconds. Loopback cannot lose a packet: what the kernel was told is
// all that a test can see.
func TestPostgresConnectionsDoNotOutliveTheirPeer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := dialer{}.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		for option, want := range map[int]int{tcpUserTimeout: 11_000, syscall.TCP_KEEPIDLE: 5, syscall.TCP_KEEPINTVL: 2, syscall.TCP_KEEPCNT: 3} {
			if got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, option); err != nil || got != want {
				t.Errorf("option %d is %d, %v; want %d", option, got, err, want)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
}
