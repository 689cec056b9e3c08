package e2e_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/matric/matric-events/tests/harness"
)

const socketPath = "/api/v1/ws"

// opening is a WebSocket's opening handshake, with more header lines.
func opening(path string, lines ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: hub.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
}

// plain is a GET without more.
func plain(path string, lines ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: hub.example\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
}

// socket is a bare connection to a server.
type socket struct {
	*net.TCPConn
	r *bufio.Reader
}

// dial connects, from one of loopback's addresses. The connection has a deadline, and ends with the test.
func dial(t *testing.T, s *harness.Server, from string) *socket {
	t.Helper()
	d := net.Dialer{Timeout: harness.Patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	nc, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(2 * harness.Patience))
	return newSocket(nc)
}

func newSocket(nc net.Conn) *socket { return &socket{nc.(*net.TCPConn), bufio.NewReader(nc)} }

// ask sends a request and returns the answer. The body has been read, unless the connection is a WebSocket now.
func (c *socket) ask(request string) (res *http.Response, body string, err error) {
	if _, err := io.WriteString(c, request); err != nil {
		return nil, "", err
	}
	method, _, _ := strings.Cut(request, " ")
	if res, err = http.ReadResponse(c.r, &http.Request{Method: method}); err != nil || res.StatusCode == http.StatusSwitchingProtocols {
		return res, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

// mustAsk is ask for an answer that must have the status.
func (c *socket) mustAsk(t *testing.T, want int, request string) (res *http.Response, body string) {
	t.Helper()
	res, body, err := c.ask(request)
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	if res.StatusCode != want {
		t.Fatalf("%.80q: %s %s; want %d", request, res.Status, body, want)
	}
	return res, body
}

// upgrade makes the connection a WebSocket.
func (c *socket) upgrade(t *testing.T, path string, lines ...string) *socket {
	t.Helper()
	c.mustAsk(t, http.StatusSwitchingProtocols, opening(path, lines...))
	return c
}

// text returns the next message.
func (c *socket) text(t *testing.T) string {
	t.Helper()
	h, err := ws.ReadHeader(c.r)
	if err != nil || h.OpCode != ws.OpText {
		t.Fatalf("frame %+v, %v", h, err)
	}
	b := make([]byte, h.Length)
	if _, err := io.ReadFull(c.r, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// await repeats what is to come true until it has.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(harness.Patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: not %s", harness.Patience, what)
		}
	}
}

// ofSize is a handshake whose head has exactly so many bytes.
func ofSize(path string, size int) string {
	const line = "X-Padding: "
	return opening(path, line+strings.Repeat("x", size-len(opening(path, line))))
}

// TestHandshakeOnTheRealServer is about what only the whole program has: its own limits, routes and tokens.
func TestHandshakeOnTheRealServer(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t)
	const maxHead = 8 << 10
	for name, tt := range map[string]struct {
		request string
		status  int
	}{
		"as browsers do it":                    {opening(socketPath), http.StatusSwitchingProtocols},
		"with a query":                         {opening(socketPath + "?types=note"), http.StatusSwitchingProtocols},
		"a head of 8 KiB":                      {ofSize(socketPath, maxHead), http.StatusSwitchingProtocols},
		"a head over 8 KiB":                    {ofSize(socketPath, maxHead+1), http.StatusRequestHeaderFieldsTooLarge},
		"a head of 64 KiB":                     {ofSize(socketPath, 64<<10), http.StatusRequestHeaderFieldsTooLarge},
		"a query of 8 KiB":                     {opening(socketPath + "?x=" + strings.Repeat("x", maxHead)), http.StatusRequestHeaderFieldsTooLarge},
		"a head of 8 KiB for another path":     {strings.Replace(ofSize("/livez", maxHead), "Upgrade: websocket", "X-Another: aspect ", 1), http.StatusOK},
		"a head over 8 KiB for another path":   {ofSize("/livez", maxHead+1), http.StatusRequestHeaderFieldsTooLarge},
		"very many fields":                     {opening(socketPath, strings.Repeat("X: y\r\n", 3000)+"X: z"), http.StatusRequestHeaderFieldsTooLarge},
		"no upgrade":                           {plain(socketPath), http.StatusUpgradeRequired},
		"no upgrade, with a query":             {plain(socketPath + "?types=note"), http.StatusUpgradeRequired},
		"a path that begins so":                {plain(socketPath + "x"), http.StatusNotFound},
		"an upgrade of a path that begins so":  {opening(socketPath + "x"), http.StatusNotFound},
		"a path below":                         {plain(socketPath + "/"), http.StatusNotFound},
		"an upgrade of a path below":           {opening(socketPath + "/"), http.StatusNotFound},
		"an upgrade of a path above":           {opening("/api/v1"), http.StatusNotFound},
		"POST":                                 {strings.Replace(opening(socketPath, "Content-Length: 0"), "GET", "POST", 1), http.StatusMethodNotAllowed},
		"two Host lines":                       {opening(socketPath, "Host: hub.example"), http.StatusBadRequest},
		"two Connection lines":                 {opening(socketPath, "Connection: keep-alive"), http.StatusSwitchingProtocols},
		"our origin":                           {opening(socketPath, "Origin: http://hub.example"), http.StatusSwitchingProtocols},
		"a foreign origin":                     {opening(socketPath, "Origin: http://evil.example"), http.StatusForbidden},
		"a foreign origin before our own":      {opening(socketPath, "Origin: http://evil.example", "Origin: http://hub.example"), http.StatusForbidden},
		"a value that goes on in another line": {opening(socketPath, "X-Folded: a\r\n b"), http.StatusSwitchingProtocols},
		"version 8":                            {strings.Replace(opening(socketPath), "Version: 13", "Version: 8", 1), http.StatusUpgradeRequired},
		"a query that cannot be read":          {opening(socketPath + "?types=%zz"), http.StatusBadRequest},
		"no type that we know":                 {opening(socketPath + "?types=nonsense"), http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s, "127.0.0.1")
			c.mustAsk(t, tt.status, tt.request)
			_ = c.Close()
		})
	}
	t.Run("the version is spelled as in the RFC", func(t *testing.T) {
		c := dial(t, s, "127.0.0.1")
		if _, err := io.WriteString(c, strings.Replace(opening(socketPath, "Connection: close"), "Version: 13", "Version: 8", 1)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(c); err != nil || !strings.Contains(string(answer), "\r\nSec-WebSocket-Version: 13\r\n") {
			t.Errorf("%v: %s", err, answer)
		}
	})
	t.Run("after other requests", func(t *testing.T) {
		c := dial(t, s, "127.0.0.1")
		c.mustAsk(t, http.StatusOK, plain("/livez"))
		c.mustAsk(t, http.StatusNotFound, plain("/nowhere"))
		c.mustAsk(t, http.StatusUpgradeRequired, plain(socketPath))
		c.mustAsk(t, http.StatusRequestHeaderFieldsTooLarge, ofSize("/livez", maxHead+1))
		c.upgrade(t, socketPath)
		if got := c.text(t); !strings.HasPrefix(got, `{"type":"QueueStatus"`) {
			t.Errorf("first frame %s", got)
		}
	})
}

func TestCredentialsOfAWebSocket(t *testing.T) {
	t.Parallel()
	tokens := t.TempDir() + "/tokens"
	if err := os.WriteFile(tokens, []byte("secret-of-ann ann\nsecret-of-bob bob\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, required := range []string{"", "--require-auth"} {
		flags := []string{"--auth-tokens-file", tokens}
		if required != "" {
			flags = append(flags, required)
		}
		s := harness.Serve(t, flags...)
		anonymous := http.StatusSwitchingProtocols
		if required != "" {
			anonymous = http.StatusUnauthorized
		}
		for name, tt := range map[string]struct {
			request, user string
			status        int
		}{
			"no token":                {opening(socketPath), "", anonymous},
			"in the header":           {opening(socketPath, "Authorization: Bearer secret-of-ann"), "ann", http.StatusSwitchingProtocols},
			"in another case":         {opening(socketPath, "authorization: bearer secret-of-ann"), "ann", http.StatusSwitchingProtocols},
			"in the query":            {opening(socketPath + "?token=secret-of-bob&types=note"), "bob", http.StatusSwitchingProtocols},
			"in the query, escaped":   {opening(socketPath + "?%74oken=secret%2Dof-bob"), "bob", http.StatusSwitchingProtocols},
			"the header goes before":  {opening(socketPath+"?token=nonsense", "Authorization: Bearer secret-of-ann"), "ann", http.StatusSwitchingProtocols},
			"wrong in the header":     {opening(socketPath, "Authorization: Bearer nonsense"), "", http.StatusUnauthorized},
			"wrong in the query":      {opening(socketPath + "?token=nonsense"), "", http.StatusUnauthorized},
			"empty in the query":      {opening(socketPath + "?token="), "", http.StatusUnauthorized},
			"empty in the header":     {opening(socketPath, "Authorization: "), "", http.StatusUnauthorized},
			"of another kind":         {opening(socketPath, "Authorization: Basic c2VjcmV0LW9mLWFubjo="), "", http.StatusUnauthorized},
			"two of them":             {opening(socketPath, "Authorization: Bearer secret-of-ann", "Authorization: Bearer secret-of-bob"), "", http.StatusUnauthorized},
			"right behind a wrong":    {opening(socketPath + "?token=nonsense&token=secret-of-bob"), "", http.StatusUnauthorized},
			"wrong, and no handshake": {plain(socketPath + "?token=nonsense"), "", http.StatusUnauthorized},
		} {
			t.Run(strings.TrimSpace(required+" "+name), func(t *testing.T) {
				c := dial(t, s, "127.0.0.1")
				c.mustAsk(t, tt.status, tt.request)
				if tt.status != http.StatusSwitchingProtocols {
					return
				}
				await(t, "listed as "+tt.user, func() bool {
					for _, l := range listed(t, s, "secret-of-bob") {
						if l.Remote == c.LocalAddr().String() {
							return l.User == tt.user
						}
					}
					return false
				})
				_ = c.Close()
			})
		}
		if log := s.Stderr(); strings.Contains(log, "secret-of-") || strings.Contains(log, "c2VjcmV0") {
			t.Errorf("a token was logged:\n%s", log)
		}
	}
}

type listing struct{ Transport, Remote, User string }

// listed returns the server's connections.
func listed(t *testing.T, s *harness.Server, token string) (list []listing) {
	t.Helper()
	_, body := dial(t, s, "127.0.0.1").mustAsk(t, http.StatusOK, plain("/api/v1/connections", "Authorization: Bearer "+token, "Connection: close"))
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	return list
}
