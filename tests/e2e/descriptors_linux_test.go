package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/matric/matric-events/tests/harness"
)

// descriptors returns how many files the server has open.
func descriptors(t *testing.T, s *harness.Server) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestOutOfDescriptors fills a server until it can open no more files. Nobody who is in loses anything, and there is room
// again as soon as somebody has left.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t)
	s.Call(202, "POST", "/api/v1/note-events", `{"operation":"created","note_id":"0194e6a0-0000-7000-8000-000000000001"}`) // the store has what it needs
	most := uint64(descriptors(t, s) + 24)
	if err := unix.Prlimit(s.PID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
		t.Fatal(err)
	}
	producer := dial(t, s, "127.0.0.1") // has its place before
	producer.mustAsk(t, http.StatusOK, plain("/livez"))

	var clients []*socket
	for len(clients) < 60 {
		c := dial(t, s, "127.0.0.1") // the kernel takes it, whatever the server does
		if _, err := io.WriteString(c, opening(socketPath+"?types=note")); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	// Those who get in do so at once, one after the other; the others wait.
	in := 0
	for in < len(clients) && answered(t, clients[in]) {
		in++
	}
	if in < 8 || in == len(clients) {
		t.Fatalf("%d of %d got in with %d descriptors", in, len(clients), most)
	}
	if n := descriptors(t, s); uint64(n) < most {
		t.Errorf("%d descriptors of %d", n, most)
	}
	const event = `{"operation":"created","note_id":"0194e6a0-0000-7000-8000-000000000002"}`
	producer.mustAsk(t, http.StatusAccepted, fmt.Sprintf("POST /api/v1/note-events HTTP/1.1\r\nHost: hub.example\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(event), event))
	for _, c := range clients[:in] {
		if got := c.text(t); !strings.HasPrefix(got, `{"type":"NoteUpdated"`) {
			t.Errorf("got %s", got)
		}
	}
	producer.mustAsk(t, http.StatusOK, plain("/livez"))

	// Who leaves makes room: in the end everybody has been in.
	for i, c := range clients {
		if i >= in && !answered(t, c) {
			t.Fatalf("client %d is not served when %d have left", i, i)
		}
		_ = c.Close()
	}
	dial(t, s, "127.0.0.1").mustAsk(t, http.StatusOK, plain("/livez"))
	_ = dial(t, s, "127.0.0.1").upgrade(t, socketPath).Close()
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// answered reports whether a client's handshake is answered, or else that nothing comes for a while.
func answered(t *testing.T, c *socket) bool {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	defer c.SetReadDeadline(time.Now().Add(2 * harness.Patience))
	res, err := http.ReadResponse(c.r, nil)
	if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // it comes unwrapped
		return false
	}
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	return true
}
