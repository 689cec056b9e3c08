package e2e_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
)

// mustBeRefused fails unless a new client of every kind is turned away as it should be.
func mustBeRefused(t *testing.T, s *harness.Server, from string) {
	t.Helper()
	for _, request := range []string{opening(socketPath), plain("/api/v1/events"), plain("/api/v1/events/poll?wait=1")} {
		res, body := dial(t, s, from).mustAsk(t, http.StatusServiceUnavailable, request)
		if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 1 || !strings.Contains(body, "limit") {
			t.Errorf("%.40q: Retry-After %q, %s", request, res.Header.Get("Retry-After"), body)
		}
	}
	// A browser's EventSource gives up for good on any other status.
	res, body := dial(t, s, from).mustAsk(t, http.StatusOK, plain("/api/v1/events", "Accept: text/event-stream"))
	if !strings.HasPrefix(body, "retry: ") || strings.Contains(body, "data:") || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		t.Errorf("an EventSource gets %v %q", res.Header, body)
	}
	// What is no connection to stay has no limit.
	dial(t, s, from).mustAsk(t, http.StatusOK, plain("/api/v1/events/poll"))
	dial(t, s, from).mustAsk(t, http.StatusOK, plain("/livez"))
}

// becomes waits until a client gets in: the server notices later than the client that another one has gone.
func becomes(t *testing.T, s *harness.Server, from string) (c *socket) {
	t.Helper()
	await(t, "admitted", func() bool {
		c = dial(t, s, from)
		res, _, err := c.ask(opening(socketPath))
		if err == nil && res.StatusCode == http.StatusSwitchingProtocols {
			return true
		}
		_ = c.Close()
		return false
	})
	return c
}

func TestLimitOfConnections(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, "--max-connections", "8")
	var clients []*socket
	for i := range 8 {
		c := dial(t, s, "127.0.0.1")
		switch i % 3 {
		case 0:
			c.upgrade(t, socketPath) // on the shared port
		case 1:
			c.mustAsk(t, http.StatusOK, plain("/livez"))
			c.upgrade(t, socketPath) // through the HTTP server
		default:
			if _, err := io.WriteString(c, plain("/api/v1/events")); err != nil {
				t.Fatal(err)
			}
			if res, err := http.ReadResponse(c.r, nil); err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%v, %v", res, err)
			}
		}
		clients = append(clients, c)
	}
	for range 3 {
		mustBeRefused(t, s, "127.0.0.1")
		mustBeRefused(t, s, "127.0.0.2")
	}
	for i := range clients { // one for one, whatever it was
		_ = clients[i].Close()
		clients[i] = becomes(t, s, "127.0.0.1")
		mustBeRefused(t, s, "127.0.0.1")
	}
}

func TestLimitOfConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, "--max-connections-per-ip", "3")
	var first *socket
	for range 3 {
		first = dial(t, s, "127.0.0.1").upgrade(t, socketPath)
	}
	mustBeRefused(t, s, "127.0.0.1")
	for range 3 {
		dial(t, s, "127.0.0.2").upgrade(t, socketPath)
	}
	mustBeRefused(t, s, "127.0.0.2")
	_ = first.Close()
	becomes(t, s, "127.0.0.1")
	mustBeRefused(t, s, "127.0.0.1")
	mustBeRefused(t, s, "127.0.0.2")
}

// Whatever the crowd, no more get in than the bound and what time has added to it; and that much does get in.
func TestLimitOfHandshakesPerSecond(t *testing.T) {
	t.Parallel()
	const bound = 20
	s := harness.Serve(t, "--max-handshakes-per-second", strconv.Itoa(bound))
	var mu sync.Mutex // guards in and out
	in, out := 0, 0
	start := time.Now()
	var crowd sync.WaitGroup
	for range 4 {
		crowd.Go(func() {
			for {
				mu.Lock()
				enough := in >= 4*bound && out > 0
				mu.Unlock()
				if enough || time.Since(start) > harness.Patience {
					return
				}
				d := net.Dialer{Timeout: harness.Patience}
				nc, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
				if err != nil {
					t.Error(err)
					return
				}
				_ = nc.SetDeadline(time.Now().Add(harness.Patience))
				c := newSocket(nc)
				res, _, err := c.ask(opening(socketPath))
				_ = c.Close()
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				switch res.StatusCode {
				case http.StatusSwitchingProtocols:
					in++
				case http.StatusServiceUnavailable:
					out++
				default:
					t.Errorf("%s", res.Status)
				}
				mu.Unlock()
			}
		})
	}
	crowd.Wait()
	took := time.Since(start)
	if most := bound + int(took.Seconds()*bound) + 1; in < 4*bound || in > most || out == 0 {
		t.Errorf("in %v %d got in and %d did not; want %d to %d in", took, in, out, 4*bound, most)
	}
}

// Connections that do not come to the point are ended, whichever part of the server has them, and keep nobody waiting.
func TestSlowHeadsAreEnded(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t)
	endless := "GET " + socketPath + " HTTP/1.1\r\nHost: hub.example\r\n"
	var rest sync.WaitGroup
	for name, tt := range map[string]struct {
		begin string
		slow  bool // one byte of a head that never ends after the other
	}{
		"nothing":                              {},
		"one byte":                             {begin: "G"},
		"the path and no more":                 {begin: "GET " + socketPath},
		"a handshake but for its last byte":    {begin: strings.TrimSuffix(opening(socketPath), "\n")},
		"a handshake that goes on":             {begin: endless, slow: true},
		"a request for another path":           {begin: "GET /livez HTTP/1.1\r\nHost: hub"},
		"a request that goes on":               {begin: "GET /livez HTTP/1.1\r\n", slow: true},
		"a second request after a whole first": {begin: plain("/livez") + "GET " + socketPath},
	} {
		c := dial(t, s, "127.0.0.1")
		if _, err := io.WriteString(c, tt.begin); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		if tt.slow {
			rest.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
					}
					if _, err := io.WriteString(c, "X"); err != nil {
						return
					}
				}
			})
		}
		rest.Go(func() {
			defer close(stop)
			if _, err := io.Copy(io.Discard, c.r); err != nil {
				if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // it comes unwrapped
					t.Errorf("%s: still open after %v", name, 2*harness.Patience)
				}
			}
		})
	}
	for range 20 {
		c := dial(t, s, "127.0.0.1").upgrade(t, socketPath)
		if got := c.text(t); !strings.HasPrefix(got, `{"type":"QueueStatus"`) {
			t.Errorf("first frame %s", got)
		}
		_ = c.Close()
	}
	rest.Wait()
	dial(t, s, "127.0.0.1").upgrade(t, socketPath)
}
