package stream

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/app/eventlog"
)

func TestProtocolPingIsAnswered(t *testing.T) {
	c := newRig(t, setup{}).join("/ws")
	for _, payload := range []string{"", "hello", strings.Repeat("x", ws.MaxControlFramePayloadSize)} {
		c.write(clientFrame(ws.OpPing, true, payload))
		if f := c.frame(); f.Header.OpCode != ws.OpPong || string(f.Payload) != payload {
			t.Errorf("answer to %q: opcode %x %q", payload, f.Header.OpCode, f.Payload)
		}
	}
	c.write(clientFrame(ws.OpPong, true, "nobody asked")) // RFC 6455 section 5.5.3: no answer
	c.send(`{"type":"ping"}`)
	c.mustGet(`{"type":"pong"}`)
}

func TestCloseHandshake(t *testing.T) {
	body := func(code ws.StatusCode, reason string) string { return string(ws.NewCloseFrameBody(code, reason)) }
	for name, tt := range map[string]struct {
		payload string
		want    ws.StatusCode
	}{
		"normal":                  {body(1000, ""), 1000},
		"with a reason":           {body(1001, "going"), 1001},
		"no code":                 {"", ws.StatusNoStatusRcvd},
		"registered since":        {body(1012, ""), 1012},
		"of the application":      {body(4999, ""), 4999},
		"half a code":             {"\x03", 1002},
		"never on the wire":       {body(1005, ""), 1002},
		"out of range":            {body(5000, ""), 1002},
		"reason is not UTF-8":     {body(1000, "\xff"), 1007},
		"reason with half a rune": {body(1000, "\xe2\x82"), 1007},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{})
			c := r.join("/ws")
			c.write(clientFrame(ws.OpClose, true, tt.payload))
			c.send(`{"type":"ping"}`) // what follows a close frame is not looked at
			if reason := c.mustGetClose(tt.want); tt.want < 1003 && len(reason) > 50 {
				t.Errorf("reason %q", reason)
			}
			_ = c.nc.(*net.TCPConn).CloseWrite()
			c.mustEnd()
			await(t, "connection closed", r.watcher.closed)
		})
	}
}

func TestViolationsCloseWithTheirCode(t *testing.T) {
	for name, tt := range map[string]struct {
		send []byte
		want ws.StatusCode
	}{
		"binary":                             {clientFrame(ws.OpBinary, true, "x"), 1003},
		"not UTF-8":                          {clientFrame(ws.OpText, true, "{\xff}"), 1007},
		"not masked":                         {ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))), 1002},
		"reserved opcode":                    {clientFrame(3, true, ""), 1002},
		"longer than 64 KiB":                 {clientFrame(ws.OpText, true, strings.Repeat("x", 64<<10+1)), 1009},
		"longer than 64 KiB, announced only": {clientFrame(ws.OpText, true, strings.Repeat("x", 64<<10+1))[:14], 1009},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{})
			c := r.join("/ws")
			c.write(tt.send)
			r.publish(progress(1)) // nothing follows a close frame
			f := c.frame()
			for f.Header.OpCode == ws.OpText {
				f = c.frame()
			}
			if code, reason := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || code != tt.want || reason == "" {
				t.Errorf("opcode %x, code %d %q, want %d", f.Header.OpCode, code, reason, tt.want)
			}
			_ = c.nc.Close()
			await(t, "connection closed", r.watcher.closed)
		})
	}
}

// A message of exactly the bound is taken.
func TestTheLongestMessage(t *testing.T) {
	c := newRig(t, setup{}).join("/ws")
	text := `{"type":"ping","id":1,"pad":"` + strings.Repeat("x", 64<<10)
	c.send(text[:64<<10-2] + `"}`)
	c.mustGet(`{"type":"pong","id":1}`)
}

// TestWhatTimeCallsFor moves a connection's clock by hand, with the times that the server runs with.
func TestWhatTimeCallsFor(t *testing.T) {
	for name, tt := range map[string]struct {
		format format
		want   map[time.Duration]string
	}{
		"websocket": {websocket, map[time.Duration]string{
			30 * time.Second: "\x89\x00", 60 * time.Second: "\x89\x00", 90 * time.Second: "\x88\x06\x03\xe9idle",
		}},
		"event stream": {0, map[time.Duration]string{
			15 * time.Second: ": keepalive\n\n", 30 * time.Second: ": keepalive\n\n", 45 * time.Second: ": keepalive\n\n",
			60 * time.Second: ": keepalive\n\n", 75 * time.Second: ": keepalive\n\n", 90 * time.Second: ": keepalive\n\n",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(eventlog.New(origin, eventlog.Options{}), nil, nil, Options{})
			s := newShard(e)
			c := &conn{format: tt.format, shard: s}
			got := map[time.Duration]string{}
			for s.now = 0; s.now <= 90*time.Second; s.now += time.Second {
				if s.now < c.due() {
					continue
				}
				if c.expire(); len(c.own) > 0 {
					got[s.now] = string(c.own)
					c.own, c.wrote = nil, s.now
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHeartbeat(t *testing.T) {
	r := newRig(t, setup{options: Options{Heartbeat: 40 * time.Millisecond, IdleTimeout: time.Hour}})
	c := r.join("/ws?on_lag=skip")
	for range 3 {
		if f := c.frame(); f.Header.OpCode != ws.OpPing {
			t.Fatalf("opcode %x, want a ping", f.Header.OpCode)
		}
	}
}

// Whoever answers pings stays, however idle.
func TestPongsKeepAConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{options: Options{Heartbeat: 100 * time.Millisecond, IdleTimeout: 2 * time.Second}})
	c := r.join("/ws")
	for start := time.Now(); time.Since(start) < 3*time.Second; {
		if f := c.frame(); f.Header.OpCode != ws.OpPing {
			t.Fatalf("opcode %x, want a ping", f.Header.OpCode)
		}
		c.write(clientFrame(ws.OpPong, true, ""))
	}
	c.send(`{"type":"ping"}`)
	for f := c.frame(); f.Header.OpCode != ws.OpText; f = c.frame() {
	}
}

func TestIdleTimeout(t *testing.T) {
	for name, behave := range map[string]func(c *wsClient){
		"the peer never answers": func(*wsClient) {},
		"the peer answers":       func(c *wsClient) { c.sendClose(1001, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{options: Options{IdleTimeout: 80 * time.Millisecond, WriteTimeout: time.Second}})
			c := r.join("/ws")
			c.mustGetClose(1001)
			behave(c)
			c.mustEnd()
			r.mustClose("1001")
		})
	}
}

func TestKick(t *testing.T) {
	r := newRig(t, setup{})
	c, other := r.joinModern("/ws"), r.join("/ws")
	r.kick(c)
	c.mustGetClose(1008)
	r.publish(progress(1))
	other.mustGetEvents(progress(1))
	c.send(`{"type":"subscribe","last_event_id":"x"}`) // too late: nothing follows a close frame, no notice either
	c.sendClose(1008, "")
	c.mustEnd()
	r.mustClose("1008")
}

func TestPeerThatVanishes(t *testing.T) {
	for name, leave := range map[string]func(nc *net.TCPConn){
		"reset":             func(nc *net.TCPConn) { _ = nc.SetLinger(0); _ = nc.Close() },
		"end of file":       func(nc *net.TCPConn) { _ = nc.Close() },
		"half a frame":      func(nc *net.TCPConn) { _, _ = nc.Write(clientFrame(ws.OpText, true, "hello")[:4]); _ = nc.CloseWrite() },
		"half a connection": func(nc *net.TCPConn) { _ = nc.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{})
			c, s := r.join("/ws"), r.events("/events")
			leave(c.nc.(*net.TCPConn))
			leave(s.nc.(*net.TCPConn))
			r.publish(progress(1), progress(2), progress(3)) // into the void
			await(t, "connection closed", r.watcher.closed)
			await(t, "connection closed", r.watcher.closed)
			if n := r.registry.Len(); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	r := newRig(t, setup{})
	legacy, modern, json, sse := r.join("/ws"), r.joinModern("/ws"), r.join("/ws"), r.events("/events")
	json.send(`{"type":"ping"}`)
	json.mustGet(`{"type":"pong"}`)
	drained := make(chan error, 1)
	go func() { drained <- r.registry.Drain(context.Background()) }()
	for _, c := range []*wsClient{modern, json} {
		if got := c.text(); !strings.HasPrefix(got, `{"type":"Draining","reconnect_in_ms":`) {
			t.Errorf("got %s", got)
		}
	}
	if got := sse.message(); !strings.HasPrefix(got, "retry: ") {
		t.Errorf("got %q", got)
	}
	sse.mustEnd()
	for _, c := range []*wsClient{legacy, modern, json} { // the legacy client gets the close frame and no notice
		c.mustGetClose(1012)
		c.sendClose(1012, "")
		c.mustEnd()
	}
	if err := await(t, "drain", drained); err != nil {
		t.Error(err)
	}
	mustBeProblem(t, r.request(handshake("/ws")), 503)
}

// What was on its way before the drain still arrives, before the close frame.
func TestDrainDeliversWhatIsQueued(t *testing.T) {
	r := newRig(t, setup{})
	c := r.join("/ws")
	c.send("refresh")
	c.mustGet(snapshotJSON(2))
	r.publish(progress(1))
	c.mustGetEvents(progress(1))
	go r.registry.Drain(context.Background())
	c.mustGetClose(1012)
	c.send(`{"type":"ping"}`) // too late for a reply
	c.sendClose(1012, "")
	c.mustEnd()
}

func TestRunEndsWithConnectionsInEveryState(t *testing.T) {
	r := newRig(t, slowSetup())
	r.join("/ws")
	slow, closing := r.join("/ws?on_lag=skip"), r.join("/ws")
	r.events("/events")
	r.kick(closing)
	closing.mustGetClose(1008)
	flood := clientFrame(ws.OpPing, true, strings.Repeat("p", 125))
	slow.write(bytes.Repeat(flood, 2000)) // its reader waits for room
	r.flood()
	r.stop() // returns when everything has ended
	for range 4 {
		await(t, "connection closed", r.watcher.closed)
	}
	if n := r.registry.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// A connection that comes while the engine stops ends like the others.
func TestStopWhileClientsConnect(t *testing.T) {
	r := newRig(t, setup{})
	done := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				nc, err := net.Dial("tcp", r.server.Listener.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				_ = nc.SetDeadline(time.Now().Add(patience))
				_, _ = nc.Write([]byte(handshake("/ws")))
				var head [12]byte
				_, err = nc.Read(head[:])
				_ = nc.Close()
				if err == nil && string(head[9:12]) == "503" {
					return
				}
			}
		}()
	}
	await(t, "connection", r.watcher.opened)
	r.stop()
	for range 8 {
		await(t, "client", done)
	}
}

// kick closes the connection of a client as an operator would.
func (r *rig) kick(c *wsClient) {
	r.t.Helper()
	for _, d := range r.registry.List() {
		if d.Remote == c.nc.(net.Conn).LocalAddr().String() {
			if err := r.registry.Kick(d.ID); err != nil {
				r.t.Fatal(err)
			}
			return
		}
	}
	r.t.Fatal("no such connection")
}
