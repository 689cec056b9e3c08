//go:build linux

package limit

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/load/streams/wire"
)

// subscriber joins one end of a pair of sockets to the server and returns the other.
func subscriber(t *testing.T, s *Server) net.Conn {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.joined = append(s.joined, pair[0])
	f := os.NewFile(uintptr(pair[1]), "subscriber")
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// Whatever the batch, every subscriber gets every event once and in order; one that does not read is cut off and does not
// keep the others from theirs.
func TestFanOut(t *testing.T) {
	for _, batch := range []int{1, 4, 16} {
		s := New(batch)
		s.patience = 100 * time.Millisecond
		good, deaf := subscriber(t, s), subscriber(t, s)
		var want strings.Builder
		for i := range 300 {
			event := fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 2000))
			want.Write(wire.AppendServerText(nil, event))
			s.frames <- wire.AppendServerText(nil, event)
		}
		close(s.frames)
		done := make(chan struct{})
		go func() { s.fanOut(); close(done) }()
		_ = good.SetDeadline(time.Now().Add(20 * time.Second))
		if got, err := io.ReadAll(good); err != nil || string(got) != want.String() {
			t.Errorf("batch %d: %d bytes of %d, %v", batch, len(got), want.Len(), err)
		}
		<-done
		if got, err := io.ReadAll(deaf); err != nil || len(got) >= want.Len() {
			t.Errorf("batch %d: %d bytes in a buffer that is smaller, %v", batch, len(got), err)
		}
	}
}
