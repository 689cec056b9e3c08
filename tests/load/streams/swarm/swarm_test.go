//go:build linux

package swarm

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/load/streams/tally"
	"github.com/matric/matric-events/tests/load/streams/target"
	"github.com/matric/matric-events/tests/load/streams/wire"
)

// serve accepts connections, takes their requests and lets a script answer, until the test ends.
func serve(t *testing.T, script func(net.Conn, *bufio.Reader)) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				in := bufio.NewReader(nc)
				if _, err := http.ReadRequest(in); err == nil {
					script(nc, in)
				}
				_ = nc.Close()
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

const (
	switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
	streaming = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
)

func events(seqs ...uint64) (frames []byte) {
	for _, seq := range seqs {
		frames = wire.AppendServerText(frames, wire.AppendStamp(nil, wire.Stamp{Seq: seq, Sent: tally.Now()}))
	}
	return frames
}

// join opens a swarm of two clients, one of them timed.
func join(t *testing.T, addr netip.AddrPort, tg target.Target) (*Swarm, Opened) {
	s, err := New(Options{Server: addr, Target: tg, Clients: 2, Timed: 1, Remember: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, s.Open()
}

// await waits until a condition holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so after ten seconds: %s", what)
		}
	}
}

// A server that loses, repeats and reorders is caught, on timed and other clients alike, also in what follows right behind
// the handshake; and how it ends connections is told.
func TestFaultsAreCaught(t *testing.T) {
	addr := serve(t, func(nc net.Conn, _ *bufio.Reader) {
		_, _ = nc.Write(append([]byte(switching), events(1, 2, 2)...))
		for _, b := range events(5, 4, 7) { // 3 and 6 are lost, 4 is late
			_, _ = nc.Write([]byte{b})
		}
		_, _ = nc.Write([]byte{0x88, 6, 0x0f, 0xa8, 's', 'l', 'o', 'w'})
	})
	s, opened := join(t, addr, target.Target{Path: "/"})
	if opened.OK != 2 || len(opened.Failed) != 0 || opened.Duration.Count() != 2 {
		t.Fatalf("opened %+v; want 2", opened)
	}
	await(t, "both are closed", func() bool { return s.Live() == 0 })
	c, ended := s.Counts()
	if want := (tally.Counts{Received: 12, Lost: 4, Duplicated: 2, Reordered: 2}); c != want {
		t.Errorf("counts %+v; want %+v", c, want)
	}
	if ended["close 4008 slow"] != 2 || ended.Total() != 2 {
		t.Errorf("ended %v; want close 4008 slow", ended)
	}
}

func TestRefusalsAreTold(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n": "handshake: HTTP/1.1 503 Service Unavailable",
		"":                                    "closed without a word",
		strings.Repeat("HTTP/1.1 101 ", 1000): "handshake: no end of the response's head",
	} {
		_, opened := join(t, serve(t, func(nc net.Conn, _ *bufio.Reader) { _, _ = nc.Write([]byte(answer)) }), target.Target{Path: "/"})
		if opened.OK != 0 || opened.Failed[want] != 2 {
			t.Errorf("%.40q: %+v; want %q twice", answer, opened, want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, opened := join(t, netip.MustParseAddrPort(l.Addr().String()), target.Target{Path: "/"}); opened.Failed["connect: connection refused"] != 2 {
		t.Errorf("nobody listens: %+v", opened)
	}
}

// Clients say hello, wait until the subscription is live, and answer Pings and pings.
func TestConversation(t *testing.T) {
	tg := target.Target{Path: "/", Hello: "hello", Ready: "welcome", Ping: "{}"}
	heard := make(chan string, 2)
	addr := serve(t, func(nc net.Conn, in *bufio.Reader) {
		_, _ = nc.Write([]byte(switching))
		hello := clientFrame(in)
		time.Sleep(20 * time.Millisecond) // in which nobody may count as subscribed
		_, _ = nc.Write(wire.AppendServerText([]byte{0x89, 1, '!'}, []byte("{}\n"+`{"welcome":1}`)))
		heard <- fmt.Sprint(hello, clientFrame(in), clientFrame(in))
	})
	s, opened := join(t, addr, tg)
	if opened.OK != 2 || opened.Duration.Millis(100) < 20 {
		t.Errorf("opened %d, the slowest in %v ms; want 2 after 20 ms", opened.OK, opened.Duration.Millis(100))
	}
	for range 2 {
		if got := <-heard; got != "81 hello8a !81 {}" {
			t.Errorf("heard %q", got)
		}
	}
	await(t, "both are closed", func() bool { return s.Live() == 0 })
}

// clientFrame reads a short frame of a client.
func clientFrame(in *bufio.Reader) string {
	head := make([]byte, 6)
	if _, err := in.Read(head[:1]); err != nil {
		return err.Error()
	}
	for i := 1; i < 6; i++ {
		head[i], _ = in.ReadByte()
	}
	payload := make([]byte, head[1]&127)
	for i := range payload {
		payload[i], _ = in.ReadByte()
	}
	return fmt.Sprintf("%x %s", head[0], payload)
}

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// An event stream in chunks, cut within a line; dropped clients come back to where they were.
func TestEventStreamAndReturn(t *testing.T) {
	again := make(chan struct{})
	addr := serve(t, func(nc net.Conn, in *bufio.Reader) {
		select {
		case <-again:
			_, _ = nc.Write([]byte(streaming + chunk(`data: {"event_id":"b","m":"stamp=0-2-1;`) + chunk("\"}\n")))
		default:
			_, _ = nc.Write([]byte(streaming + chunk(`data: {"event_id":"a","`)))
			_, _ = nc.Write([]byte(chunk("m\":\"stamp=0-1-1;\"}\n")))
		}
		_, _ = in.ReadByte() // until the client is gone
	})
	s, _ := join(t, addr, target.Target{SSE: true, Path: "/"})
	await(t, "the first event", func() bool { return s.Silent() == 0 })
	if last := s.loops[0].conns[1].lastID; last != "a" {
		t.Errorf("last event_id %q; want a", last)
	}
	s.Drop()
	if s.Live() != 0 {
		t.Errorf("%d clients are connected", s.Live())
	}
	close(again)
	if opened := s.Open(); opened.OK != 2 {
		t.Fatalf("back: %+v", opened)
	}
	if missing := s.Await([]uint64{2}, 10*time.Second); missing != 0 {
		t.Errorf("%d events are missing", missing)
	}
	c, ended := s.Counts()
	if want := (tally.Counts{Received: 4}); c != want || ended.Total() != 0 {
		t.Errorf("counts %+v, ended %v; want %+v and none", c, ended, want)
	}
	if s.Arrived() != 2 {
		t.Errorf("arrived %d; want 2", s.Arrived())
	}
}

func TestTooManyClients(t *testing.T) {
	_, err := New(Options{Server: netip.MustParseAddrPort("127.0.0.1:1"), Clients: 1 << 30})
	if err == nil || !strings.Contains(err.Error(), "a process may open") {
		t.Errorf("error %v; want the limit on open files", err)
	}
	if _, err := New(Options{Server: netip.MustParseAddrPort("192.0.2.1:80"), Clients: 1}); err == nil {
		t.Error("no error for a server that is not on loopback")
	}
}

func TestDeaf(t *testing.T) {
	stop := errors.New("")
	addr := serve(t, func(nc net.Conn, _ *bufio.Reader) {
		_, _ = nc.Write([]byte(switching))
		_ = nc.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		for stop = nil; stop == nil; {
			_, stop = nc.Write(events(1))
		}
	})
	d, err := Deafen(addr, target.Target{Path: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	await(t, "something waits", func() bool { return d.Waiting() > deafBuffer })
	time.Sleep(400 * time.Millisecond)
	if how := d.End(); !strings.HasPrefix(how, "cut off after") {
		t.Errorf("ended: %s", how)
	}
}

func TestQueued(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 0100007F:C350 01 00000100:00000007 00:00000000 00000000     0        0 1
   1: 0100007F:C350 0100007F:1F90 01 00000003:00000020 00:00000000 00000000     0        0 2
   2: 0100007F:C351 0100007F:1F90 01 00000FFF:00000FFF 00:00000000 00000000     0        0 3
`
	if got := queued([]byte(table), 0xC350); got != 0x120 {
		t.Errorf("queued = %d; want 288", got)
	}
}
