package stream

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// maxIdleCost is what the README promises of an idle connection, in bytes.
const maxIdleCost = 2 << 10

// TestIdleConnectionCost measures heap and stacks for connections whose clients are bare sockets, which cost Go nothing. It
// does so in a process of its own: what other tests have left behind goes away at any time.
func TestIdleConnectionCost(t *testing.T) {
	const connections = 400
	if os.Getenv("MEASURE_ALONE") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestIdleConnectionCost$", "-test.v")
		cmd.Env = append(os.Environ(), "MEASURE_ALONE=1")
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Error(err)
		}
		return
	}
	for name, request := range map[string]string{
		"WebSocket":    handshake("/ws"),
		"event stream": "GET /events HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		r := newRig(t, setup{})
		to := r.server.Listener.Addr().(*net.TCPAddr)
		r.connectBare(to, request) // for what is made once
		before := footprint()
		for range connections {
			r.connectBare(to, request)
		}
		cost := (footprint() - before) / connections
		if cost > maxIdleCost {
			t.Errorf("%s: %d bytes are more than %d", name, cost, maxIdleCost)
		}
		t.Logf("%s: %d bytes for each of %d", name, cost, connections)
	}
}

// connectBare connects a socket that Go's poller does not know, and returns once the engine has taken it in.
func (r *rig) connectBare(to *net.TCPAddr, request string) {
	r.t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		r.t.Fatal(err)
	}
	if _, err := syscall.Write(fd, []byte(request)); err != nil {
		r.t.Fatal(err)
	}
	await(r.t, "connection", r.watcher.opened)
}

func footprint() uint64 {
	for range 5 { // stacks shrink by half each time
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
