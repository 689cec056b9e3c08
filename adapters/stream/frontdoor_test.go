package stream

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"golang.org/x/sync/errgroup"
)

// Tests of the port that WebSockets and the HTTP server share.

// A client may send all that it has to say at once, or byte by byte, and does not have to wait for the answer.
func TestWhatComesWithTheHandshakeIsNotLost(t *testing.T) {
	frames := join(
		text(true, `{"type":"ping","id":1}`), clientFrame(ws.OpPing, true, "between"), text(false, `{"type":"pi`), more(true, `ng","id":2}`),
		text(true, `{"type":"ping","id":"`+strings.Repeat("3", 200)+`"}`),
	)
	for shape, options := range shapes {
		for _, before := range []string{"", "GET /poll HTTP/1.1\r\nHost: hub.example\r\n\r\n"} {
			for _, piece := range []int{1, 2, 61, 100 << 10} {
				t.Run(shape, func(t *testing.T) {
					r := newRig(t, setup{options: options})
					nc := r.dial()
					c := &wsClient{t: t, nc: nc, r: bufio.NewReader(nc)}
					for b := range slices.Chunk([]byte(before+handshake("/ws?types=note")+string(frames)), piece) {
						c.write(b)
					}
					if before != "" {
						mustGetPoll(t, c.r)
					}
					mustSwitch(t, c.r)
					c.mustGet(`{"type":"pong","id":1}`)
					if f := c.frame(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "between" {
						t.Errorf("opcode %x %q", f.Header.OpCode, f.Payload)
					}
					c.mustGet(`{"type":"pong","id":2}`, `{"type":"pong","id":"`+strings.Repeat("3", 200)+`"}`)
					r.publish(updated(1))
					c.mustGetEvents(updated(1))
				})
			}
		}
	}
}

func mustSwitch(t *testing.T, br *bufio.Reader) {
	t.Helper()
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
}

func mustGetPoll(t *testing.T, br *bufio.Reader) {
	t.Helper()
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	var polled pollResponse
	if err := json.NewDecoder(res.Body).Decode(&polled); err != nil || res.StatusCode != http.StatusOK || polled.Cursor.IsZero() {
		t.Fatalf("%s, %+v, %v", res.Status, polled, err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
}

// A connection that was used for requests can become a WebSocket, as good as any other.
func TestAConnectionIsUsedAgainForTheUpgrade(t *testing.T) {
	for shape, options := range shapes {
		t.Run(shape, func(t *testing.T) {
			r := newRig(t, setup{options: options})
			nc := r.dial()
			c := &wsClient{t: t, nc: nc, r: bufio.NewReader(nc)}
			for range 3 {
				c.write([]byte("GET /poll HTTP/1.1\r\nHost: hub.example\r\n\r\n"))
				mustGetPoll(t, c.r)
			}
			c.write([]byte("GET /ws HTTP/1.1\r\nHost: hub.example\r\n\r\n")) // refused, and the connection stays
			res, err := http.ReadResponse(c.r, nil)
			if err != nil || res.StatusCode != http.StatusUpgradeRequired {
				t.Fatalf("%v, %v", res, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			c.write([]byte(handshake("/ws")))
			mustSwitch(t, c.r)
			c.mustGet(snapshotJSON(1))
			r.publish(progress(1))
			c.mustGetEvents(progress(1))
			c.sendClose(1000, "")
			c.mustGetClose(1000)
			c.mustEnd()
			r.mustClose("peer 1000")
		})
	}
}

// What is no handshake reaches the HTTP server as it came, in pieces or not.
func TestOthersPassTheFrontDoor(t *testing.T) {
	const get = " HTTP/1.1\r\nHost: hub.example\r\n\r\n"
	r := newRig(t, setup{})
	for name, tt := range map[string]struct {
		request string
		status  int
	}{
		"another path":                   {"GET /poll" + get, http.StatusOK},
		"HEAD":                           {"HEAD /events" + get, http.StatusOK},
		"the path that begins so":        {"GET /wsx" + get, http.StatusNotFound},
		"a path below":                   {"GET /ws/" + get, http.StatusNotFound},
		"a path next to it":              {"GET /w" + get, http.StatusNotFound},
		"the path without an upgrade":    {"GET /ws" + get, http.StatusUpgradeRequired},
		"likewise, with a query":         {"GET /ws?types=note" + get, http.StatusUpgradeRequired},
		"POST":                           {"POST /ws HTTP/1.1\r\nHost: hub.example\r\nContent-Length: 2\r\n\r\n{}", http.StatusUpgradeRequired},
		"an upgrade with a body":         {handshake("/wsx", "Content-Length: 2") + "{}", http.StatusNotFound},
		"an upgrade that asks to go on":  {handshake("/wsx", "Expect: 100-continue"), http.StatusNotFound},
		"lines that end with LF only":    {"GET /poll HTTP/1.1\nHost: hub.example\n\n", http.StatusOK},
		"likewise, of the path":          {"GET /ws HTTP/1.1\nHost: hub.example\n\n", http.StatusUpgradeRequired},
		"likewise, but for the last one": {"GET /ws HTTP/1.1\nHost: hub.example\n\r\n", http.StatusUpgradeRequired},
		"an empty line before":           {"\r\nGET /poll" + get, http.StatusBadRequest},
		"nonsense":                       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc and what TLS has more\r\n\r\n", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{1, 100 << 10} {
				nc := r.dial()
				for b := range slices.Chunk([]byte(tt.request), piece) {
					if _, err := nc.Write(b); err != nil {
						break // it has been refused
					}
				}
				method, _, _ := strings.Cut(tt.request, " ")
				res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
				if err != nil || res.StatusCode != tt.status {
					t.Errorf("in pieces of %d: %v, %v; want %d", piece, res, err, tt.status)
				}
				_ = nc.Close()
			}
		})
	}
}

// HTTP/2 without TLS begins with a preface of its own (RFC 9113 section 3.4).
func TestHTTP2PassesTheFrontDoor(t *testing.T) {
	r := newRig(t, setup{})
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings := []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}
	for _, piece := range []int{1, 100} {
		nc := r.dial()
		for b := range slices.Chunk(append([]byte(preface), settings...), piece) {
			if _, err := nc.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		var head [9]byte
		if _, err := io.ReadFull(nc, head[:]); err != nil || head[3] != 4 {
			t.Errorf("frame %x, %v; want SETTINGS", head, err)
		}
		_ = nc.Close()
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	for path, status := range map[string]int{"/poll": http.StatusOK, "/ws": http.StatusUpgradeRequired} {
		res, err := (&http.Client{Transport: transport, Timeout: patience}).Get(r.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.ProtoMajor != 2 || res.StatusCode != status {
			t.Errorf("%s: %s %s; want %d", path, res.Proto, res.Status, status)
		}
	}
	r.join("/ws")
}

// Whoever takes time over the first request keeps nobody else waiting, and is let go with the listener.
func TestSlowHeadsKeepNobodyWaiting(t *testing.T) {
	r := newRig(t, setup{})
	var slow []io.Reader
	for i := range 60 {
		nc := r.dial()
		if _, err := io.WriteString(nc, handshake("/ws")[:i*2]); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, nc)
	}
	for range 3 {
		r.join("/ws")
		mustBeProblem(t, r.request("GET /ws HTTP/1.1\r\nHost: hub.example\r\n\r\n"), http.StatusUpgradeRequired)
	}
	if n := r.registry.Len(); n != 3 {
		t.Errorf("%d connections; those who have asked for nothing yet are none", n)
	}
	if err := r.server.Listener.Close(); err != nil {
		t.Error(err)
	}
	for _, nc := range slow[1:4] { // not yet at the end of the path: nobody but the front door can have them
		if n, err := nc.Read(make([]byte, 1)); n > 0 || err == nil || isTimeout(err) {
			t.Errorf("read %d bytes, %v; want the end", n, err)
		}
	}
}

// A peer that goes away in the middle of its handshake leaves nothing behind.
func TestPeersThatLeaveDuringTheHandshake(t *testing.T) {
	for shape, options := range shapes {
		t.Run(shape, func(t *testing.T) {
			r := newRig(t, setup{options: options})
			whole := handshake("/ws")
			for i := range len(whole) {
				nc := r.dial()
				if i%2 == 0 {
					_ = nc.SetLinger(0) // resets
				}
				_, _ = io.WriteString(nc, whole[:i])
				_ = nc.Close()
			}
			r.join("/ws")
			if n := r.registry.Len(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// A crowd that comes at once, some of it slowly, is served as everybody else.
func TestManyHandshakesAtOnce(t *testing.T) {
	for shape, options := range shapes {
		t.Run(shape, func(t *testing.T) {
			r := newRig(t, setup{options: options})
			var g errgroup.Group
			for i := range 100 {
				nc := r.dial()
				g.Go(func() error {
					for b := range slices.Chunk([]byte(handshake("/ws?types=note")), 1+i*7) {
						if _, err := nc.Write(b); err != nil {
							return err
						}
					}
					br := bufio.NewReader(nc)
					if _, err := http.ReadResponse(br, nil); err != nil {
						return err
					}
					f, err := readFrame(br)
					if err == nil && !bytes.Equal(f.Payload, []byte(jsonOf(updated(1)))) {
						t.Errorf("frame %q", f.Payload)
					}
					return err
				})
			}
			for range 100 {
				await(t, "connection", r.watcher.opened)
			}
			r.publish(updated(1))
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}
