package stream

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/app/eventlog"
)

// servers are the ways to an event stream that cannot be hijacked, and to one on TLS.
var servers = map[string]setup{
	"HTTP/2 on TLS":      {tls: true},
	"HTTP/2 unencrypted": {},
	"HTTP/1.1 on TLS":    {tls: true},
	"not hijackable":     {wrap: unhijackable},
}

// get opens an event stream with net/http's client.
func (r *rig) get(name, path string, header http.Header) (c *sseClient, cancel func()) {
	r.t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	transport.Protocols.SetHTTP1(!strings.HasPrefix(name, "HTTP/2"))
	transport.Protocols.SetHTTP2(name == "HTTP/2 on TLS")
	transport.Protocols.SetUnencryptedHTTP2(name == "HTTP/2 unencrypted")
	r.t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.server.URL+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = res.Body.Close() })
	if want := 1 + b2i(strings.HasPrefix(name, "HTTP/2")); res.ProtoMajor != want {
		r.t.Fatalf("%s, want HTTP/%d", res.Proto, want)
	}
	return (&sseClient{t: r.t}).take(res), cancel
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// What a goroutine writes counts like what the loop writes.
func TestStatsCountWhatIsStreamed(t *testing.T) {
	for name, s := range servers {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, s)
			c, _ := r.get(name, "/events?types=job", nil)
			c.mustGetHello()
			r.publish(progress(1))
			c.mustGetEvents(progress(1))
			least := uint64(len(jsonOf(progress(1))))
			if s := r.engine.Stats().SSE; s.Events != 1 || s.Writes < 1 || s.Writes > 2 || s.Bytes < least || s.Bytes > 4*least {
				t.Errorf("%d events in %d bytes in %d writes", s.Events, s.Bytes, s.Writes)
			}
		})
	}
}

func TestStreamedEvents(t *testing.T) {
	for name, s := range servers {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, s)
			r.publish(progress(1), progress(2))
			c, _ := r.get(name, "/events", http.Header{"Last-Event-Id": {id(1).String()}})
			if c.res.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" || c.res.Header.Get("X-Accel-Buffering") != "no" {
				t.Errorf("%v", c.res.Header)
			}
			c.mustGetHello()
			c.mustGet("event: QueueStatus\ndata: " + snapshotJSON(1))
			c.mustGetEvents(progress(2))
			for n := 3; n < 600; n++ {
				r.publish(progress(n))
			}
			for n := 3; n < 600; n++ {
				c.mustGetEvents(progress(n))
			}
			drained := make(chan error, 1)
			go func() { drained <- r.registry.Drain(context.Background()) }()
			if got := c.message(); !strings.HasPrefix(got, "retry: ") {
				t.Errorf("%q, want the time to retry", got)
			}
			c.mustEnd()
			if err := await(t, "drain", drained); err != nil {
				t.Error(err)
			}
			r.mustClose("1012")
		})
	}
}

func TestStreamedClientCancels(t *testing.T) {
	for name, s := range servers {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, s)
			c, cancel := r.get(name, "/events", nil)
			c.mustGetHello()
			cancel()
			r.mustClose("connection lost")
		})
	}
}

// A slow client costs the others nothing and is told what it missed.
func TestStreamedSlowClient(t *testing.T) {
	for name, s := range servers {
		t.Run(name, func(t *testing.T) {
			s.log = eventlog.Options{Capacity: 50}
			r := newRig(t, s)
			slow, _ := r.get(name, "/events", nil)
			slow.mustGetHello()
			fast, _ := r.get(name, "/events", nil)
			fast.mustGetHello()
			fast.message() // the QueueStatus
			const events = 2000
			for n := range events {
				r.publish(sized(n, 4000))
				fast.mustGetEvents(sized(n, 4000))
			}
			slow.message() // the QueueStatus
			checkGaps(t, events, slow.numbers(events-1))
		})
	}
}

func TestStreamedWriteStall(t *testing.T) {
	for name, s := range servers {
		t.Run(name, func(t *testing.T) {
			s.options.WriteTimeout = 100 * time.Millisecond
			r := newRig(t, s)
			c, _ := r.get(name, "/events", nil)
			c.mustGetHello()
			for n := range 1500 { // beyond what clients and kernels take in unread
				r.publish(sized(n, 8000))
			}
			r.mustClose("") // HTTP/2 tells of its deadline as if the client had left
		})
	}
}

// The engine's end does not wait for a client that reads nothing.
func TestStopWithAStalledStream(t *testing.T) {
	for name, s := range servers {
		t.Run(name, func(t *testing.T) {
			s.options.WriteTimeout = time.Hour
			r := newRig(t, s)
			c, _ := r.get(name, "/events", nil)
			c.mustGetHello()
			for n := range 1500 {
				r.publish(sized(n, 8000))
			}
			r.stop()
			r.mustClose("server stopped")
		})
	}
}

func TestWebSocketOnTLS(t *testing.T) {
	r := newRig(t, setup{tls: true})
	nc := tls.Client(r.dial(), &tls.Config{InsecureSkipVerify: true})
	c := r.upgrade(nc, handshake("/ws", "Sec-WebSocket-Protocol: "+subprotocol))
	c.mustGet(snapshotJSON(1))
	for n := range 300 {
		r.publish(sized(n, 500))
	}
	for n := range 300 {
		c.mustGetEvents(sized(n, 500))
	}
	c.sendClose(1000, "bye")
	c.mustGetClose(1000)
	c.mustEnd()
	r.mustClose("peer 1000")
}

// HTTP/2 has no Upgrade; what it must not send it does not send.
func TestWebSocketOverHTTP2(t *testing.T) {
	r := newRig(t, setup{tls: true})
	res, err := r.server.Client().Get(r.server.URL + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	mustBeProblem(t, res, http.StatusUpgradeRequired)
	if res.ProtoMajor != 2 || res.Header.Get("Upgrade") != "" {
		t.Errorf("%s %v", res.Proto, res.Header)
	}
}
