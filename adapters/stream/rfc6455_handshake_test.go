package stream

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"
)

// opener is a client's opening handshake, and the status that it gets (RFC 6455 section 4, RFC 9112, RFC 9110).
type opener struct {
	section, name string
	request       string
	status        int
}

const switching = http.StatusSwitchingProtocols

// openers returns all of them.
func openers() []opener {
	return slices.Concat(requestLines(), hosts(), upgrades(), versions(), keys(), origins(), subprotocols(), fieldSyntax())
}

// with is the handshake of a browser with the lines given in place of those of the same names.
func with(lines ...string) string { return strings.Join(edited(lines), "\r\n") }

func edited(lines []string) []string {
	head := strings.Split(handshake("/ws"), "\r\n")
	at := len(head) - 2
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		if i := slices.IndexFunc(head, func(l string) bool { return strings.HasPrefix(l, name+":") }); i > 0 {
			at = i
		}
		head = slices.DeleteFunc(head, func(l string) bool { return strings.HasPrefix(l, name+":") })
	}
	return slices.Insert(head, min(at, len(head)-2), lines...)
}

// lacking is the handshake without a line.
func lacking(name string) string { return strings.Replace(with(name+": "), name+": \r\n", "", 1) }

// started is the handshake with another first line.
func started(line string) string {
	_, rest, _ := strings.Cut(handshake("/ws"), "\r\n")
	return line + "\r\n" + rest
}

func requestLines() []opener {
	return []opener{
		{"4.1", "as browsers do it", handshake("/ws"), switching},
		{"4.1", "with a query", handshake("/ws?types=note&job_id=&x=y"), switching},
		{"4.1", "with an empty query", handshake("/ws?"), switching},
		{"4.1", "with a query of percent signs", handshake("/ws?%74ypes=%6Eote"), switching},
		{"4.2.1", "HTTP/1.0", started("GET /ws HTTP/1.0"), http.StatusUpgradeRequired},
		{"4.2.1", "HTTP/0.9", started("GET /ws HTTP/0.9"), http.StatusHTTPVersionNotSupported},
		{"4.2.1", "HTTP/2.0 as text", started("GET /ws HTTP/2.0"), http.StatusHTTPVersionNotSupported},
		{"4.2.1", "no version", started("GET /ws"), http.StatusBadRequest},
		{"4.2.1", "no HTTP", started("GET /ws WS/1.1"), http.StatusBadRequest},
		{"4.2.1", "POST", started("POST /ws HTTP/1.1"), http.StatusUpgradeRequired},
		{"4.2.1", "PUT", started("PUT /ws HTTP/1.1"), http.StatusUpgradeRequired},
		{"4.2.1", "get", started("get /ws HTTP/1.1"), http.StatusUpgradeRequired},
		{"4.1", "absolute form", started("GET http://hub.example/ws HTTP/1.1"), switching},
		{"4.1", "a path that begins so", handshake("/wsx"), http.StatusNotFound},
		{"4.1", "a path below", handshake("/ws/"), http.StatusNotFound},
		{"4.1", "a path in another case", handshake("/WS"), http.StatusNotFound},
		{"4.1", "the path in percent signs", handshake("/%77s"), switching},
		{"4.1", "a broken escape in the path", handshake("/ws%zz"), http.StatusBadRequest},
		{"4.1", "a blank in the query", handshake("/ws?a b"), http.StatusBadRequest},
	}
}

func hosts() []opener {
	return []opener{
		{"4.2.1", "no Host", lacking("Host"), http.StatusBadRequest},
		{"4.2.1", "two Host lines", with("Host: hub.example", "Host: evil.example"), http.StatusBadRequest},
		{"4.2.1", "two equal Host lines", with("Host: hub.example", "Host: hub.example"), http.StatusBadRequest},
		{"4.2.1", "Host with a port", with("Host: hub.example:8080"), switching},
		{"4.2.1", "Host in IPv6", with("Host: [::1]:8080"), switching},
	}
}

func upgrades() []opener {
	return []opener{
		{"4.2.1", "Upgrade in another case", with("Upgrade: WebSocket"), switching},
		{"4.2.1", "Upgrade in upper case", with("Upgrade: WEBSOCKET"), switching},
		{"4.2.1", "Upgrade in a list", with("Upgrade: h2c, websocket"), switching},
		{"4.2.1", "Upgrade on two lines", with("Upgrade: h2c", "Upgrade: websocket"), switching},
		{"4.2.1", "no Upgrade", lacking("Upgrade"), http.StatusUpgradeRequired},
		{"4.2.1", "empty Upgrade", with("Upgrade: "), http.StatusUpgradeRequired},
		{"4.2.1", "Upgrade to h2c", with("Upgrade: h2c"), http.StatusUpgradeRequired},
		{"4.2.1", "Upgrade to something longer", with("Upgrade: websockets"), http.StatusUpgradeRequired},
		{"4.2.1", "Connection in lower case", with("Connection: upgrade"), switching},
		{"4.2.1", "Connection in upper case", with("Connection: UPGRADE"), switching},
		{"4.2.1", "Connection in a list", with("Connection: keep-alive, Upgrade"), switching},
		{"4.2.1", "Connection in a list without blanks", with("Connection: keep-alive,Upgrade"), switching},
		{"4.2.1", "Connection in a list with empty elements", with("Connection: , Upgrade ,"), switching},
		{"4.2.1", "Connection on two lines", with("Connection: keep-alive", "Connection: Upgrade"), switching},
		{"4.2.1", "Connection on two lines, the first one ours", with("Connection: Upgrade", "Connection: keep-alive"), switching},
		{"4.2.1", "no Connection", lacking("Connection"), http.StatusUpgradeRequired},
		{"4.2.1", "empty Connection", with("Connection: "), http.StatusUpgradeRequired},
		{"4.2.1", "Connection: keep-alive", with("Connection: keep-alive"), http.StatusUpgradeRequired},
		{"4.2.1", "Connection that contains the word", with("Connection: upgrade-insecure"), http.StatusUpgradeRequired},
	}
}

func versions() []opener {
	rows := []opener{
		{"4.2.1", "version 13 with blanks around", with("Sec-WebSocket-Version: \t 13 \t"), switching},
		{"11.3.5", "version 13 twice", with("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"), http.StatusBadRequest},
		{"11.3.5", "version 13, and 8 on another line", with("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"), http.StatusBadRequest},
		{"4.4", "no version", lacking("Sec-WebSocket-Version"), http.StatusUpgradeRequired},
	}
	for _, v := range []string{"", "0", "1", "7", "8", "12", "14", "25", "255", "256", "-13", "+13", "013", "13.0", "1 3", "13, 8", "8, 13", "thirteen"} {
		rows = append(rows, opener{"4.4", "version " + v, with("Sec-WebSocket-Version: " + v), http.StatusUpgradeRequired})
	}
	return rows
}

func keys() (rows []opener) {
	for value, why := range map[string]string{
		"AQIDBAUGBwgJCgsMDQ4PEA==": "another one", "AAAAAAAAAAAAAAAAAAAAAA==": "zeros", "/////////////////////w==": "ones",
		"\t " + key + " ": "blanks around",
	} {
		rows = append(rows, opener{"4.2.1", "key: " + why, with("Sec-WebSocket-Key: " + value), switching})
	}
	for value, why := range map[string]string{
		"": "empty", "AQIDBAUGBwgJCgsMDQ4P": "15 bytes", "AQIDBAUGBwgJCgsMDQ4PEBE=": "17 bytes", "AQIDBAUGBwgJCgsMDQ4PEA": "no padding",
		"AQIDBAUGBwgJCgsMDQ4PEA=": "half the padding", "AQIDBAUGBwgJCgsMDQ4PEA===": "more padding", "_____________________w==": "the other alphabet",
		"AQIDBAUGBwg JCgsMDQ4PEA==": "blank inside", "AQIDBAUGBwgJCgsMDQ4PEA==, AQIDBAUGBwgJCgsMDQ4PEA==": "a list", `"AQIDBAUGBwgJCgsMDQ4PEA=="`: "quoted",
		"!!!!!!!!!!!!!!!!!!!!!!==": "no base64", "ÄÄÄÄÄÄÄÄÄÄÄ==": "not ASCII",
	} {
		rows = append(rows, opener{"4.2.1", "key: " + why, with("Sec-WebSocket-Key: " + value), http.StatusBadRequest})
	}
	return append(rows,
		opener{"4.2.1", "no key", lacking("Sec-WebSocket-Key"), http.StatusBadRequest},
		opener{"11.3.1", "the key twice", with("Sec-WebSocket-Key: "+key, "Sec-WebSocket-Key: "+key), http.StatusBadRequest},
		opener{"11.3.1", "two keys", with("Sec-WebSocket-Key: "+key, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), http.StatusBadRequest},
	)
}

func origins() []opener {
	return []opener{
		{"10.2", "own page", with("Origin: http://hub.example"), switching},
		{"10.2", "own page on TLS", with("Origin: https://hub.example"), switching},
		{"10.2", "foreign page", with("Origin: http://evil.example"), http.StatusForbidden},
		{"10.2", "null", with("Origin: null"), http.StatusForbidden},
		{"10.2", "own page in an element of a list", with("Origin: http://hub.example http://evil.example"), http.StatusForbidden},
		{"10.2", "foreign page, then our own", with("Origin: http://evil.example", "Origin: http://hub.example"), http.StatusForbidden},
		{"10.2", "our own page, then a foreign one", with("Origin: http://hub.example", "Origin: http://evil.example"), http.StatusForbidden},
		{"10.2", "our own page, and a foreign one in the next line", with("Origin: http://hub.example\r\n .evil.example:80"), http.StatusForbidden},
		{"10.2", "foreign page, in lower case", with("origin: http://evil.example"), http.StatusForbidden},
		{"10.2", "foreign page, in upper case", with("ORIGIN: http://evil.example"), http.StatusForbidden},
	}
}

func subprotocols() []opener {
	return []opener{
		{"4.2.2", "our subprotocol", with("Sec-WebSocket-Protocol: " + subprotocol), switching},
		{"4.2.2", "among others", with("Sec-WebSocket-Protocol: a, b," + subprotocol), switching},
		{"4.2.2", "on a line of its own", with("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: "+subprotocol), switching},
		{"4.2.2", "none of ours", with("Sec-WebSocket-Protocol: a, b"), switching},
		{"4.2.2", "no token", with("Sec-WebSocket-Protocol: a b (,"), http.StatusBadRequest},
		{"9.1", "extensions that we have not", with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x"), switching},
		{"9.1", "extensions on two lines", with("Sec-WebSocket-Extensions: a", "Sec-WebSocket-Extensions: b"), switching},
	}
}

// fieldSyntax is that of RFC 9112 section 5, and of the names' case in RFC 9110 section 5.1.
func fieldSyntax() []opener {
	return []opener{
		{"9110 5.1", "names in lower case", lowerNames(handshake("/ws")), switching},
		{"9110 5.1", "names in upper case", upperNames(handshake("/ws")), switching},
		{"9112 5", "no blank behind the colon", strings.ReplaceAll(handshake("/ws"), ": ", ":"), switching},
		{"9112 5", "tabs behind the colon", strings.ReplaceAll(handshake("/ws"), ": ", ":\t\t"), switching},
		{"9110 5.5", "a value of another world", with("X-Name: ä"), switching},
		{"9112 2.2", "a blank before the first field", strings.Replace(handshake("/ws"), "\r\nHost", "\r\n Host", 1), http.StatusBadRequest},
		{"9112 5.1", "a blank before the colon", strings.Replace(handshake("/ws"), "Host:", "Host :", 1), http.StatusBadRequest},
		{"9110 5.1", "a name that is none", with("X Name: x"), http.StatusBadRequest},
		{"9110 5.1", "a name of another world", with("X-Näme: x"), http.StatusBadRequest},
		{"9110 5.1", "an empty name", with(": x"), http.StatusBadRequest},
		{"9110 5.5", "NUL in a value", with("X-Name: a\x00b"), http.StatusBadRequest},
		{"9110 5.5", "CR in a value", with("X-Name: a\rb"), http.StatusBadRequest},
		{"9110 7.2", "a host that is none", with("Host: hub example"), http.StatusBadRequest},
		{"9112 3", "a control character in the query", started("GET /ws?a=\x01 HTTP/1.1"), http.StatusBadRequest},
		{"9112 2.3", "a version that is none", started("GET /ws HTTP/1.;"), http.StatusBadRequest},
		{"9112 5", "a line without a colon", with("nonsense"), http.StatusBadRequest},
		{"9112 5.2", "a value that goes on in the next line", with("X-Name: a\r\n b"), switching},
	}
}

func eachName(head string, change func(string) string) string {
	lines := strings.Split(head, "\r\n")
	for i, line := range lines[1:] {
		if name, value, found := strings.Cut(line, ":"); found {
			lines[i+1] = change(name) + ":" + value
		}
	}
	return strings.Join(lines, "\r\n")
}

func lowerNames(head string) string { return eachName(head, strings.ToLower) }
func upperNames(head string) string { return eachName(head, strings.ToUpper) }

// TestRFC6455Handshake also has both ways to a WebSocket, on the shared port and through the HTTP server, agree.
func TestRFC6455Handshake(t *testing.T) {
	for shape, options := range shapes {
		for arrival, piece := range map[string]int{"at once": maxHead, "byte by byte": 1} {
			t.Run(shape+" "+arrival, func(t *testing.T) {
				r := newRig(t, setup{options: options})
				for _, o := range openers() {
					t.Run(o.section+" "+o.name, func(t *testing.T) {
						nc := r.dial()
						defer nc.Close()
						var sending sync.WaitGroup
						defer sending.Wait()
						sending.Go(func() {
							for b := range slices.Chunk([]byte(o.request), piece) {
								if _, err := nc.Write(b); err != nil {
									return // it has been refused
								}
							}
						})
						mustAnswer(t, &wsClient{t: t, nc: nc, r: bufio.NewReader(nc)}, o)
					})
				}
			})
		}
	}
}

// mustAnswer fails unless the status is right; if it is that of success, the rest of the answer has to be, too, and the
// connection to work.
func mustAnswer(t *testing.T, c *wsClient, o opener) {
	t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != o.status {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // it may not end
		t.Fatalf("%s %s; want %d", res.Status, body, o.status)
	}
	if o.status == http.StatusUpgradeRequired && o.section == "4.4" && res.Header.Get("Sec-WebSocket-Version") != "13" {
		t.Errorf("the answer does not say which version is wanted: %v", res.Header) // section 4.4
	}
	if o.status != switching {
		return
	}
	sent := o.request[strings.Index(strings.ToLower(o.request), "sec-websocket-key:")+len("sec-websocket-key:"):]
	sent, _, _ = strings.Cut(sent, "\r\n")
	if h := res.Header; !strings.EqualFold(h.Get("Upgrade"), "websocket") || !strings.EqualFold(h.Get("Connection"), "upgrade") ||
		h.Get("Sec-WebSocket-Accept") != acceptOf(strings.TrimSpace(sent)) || h.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("answer %v", h)
	}
	if asked := strings.Contains(o.request, subprotocol); asked != (res.Header.Get("Sec-WebSocket-Protocol") == subprotocol) {
		t.Errorf("subprotocol %q", res.Header.Get("Sec-WebSocket-Protocol"))
	}
	c.write(join(clientFrame(ws.OpPing, true, "alive"), closeWith(1000, "")))
	f := c.frame()
	for f.Header.OpCode == ws.OpText { // the QueueStatus, wherever the filter wants it
		f = c.frame()
	}
	if f.Header.OpCode != ws.OpPong || string(f.Payload) != "alive" {
		t.Errorf("the answer to a ping is opcode %x %q", f.Header.OpCode, f.Payload)
	}
	c.mustGetClose(1000)
}

// acceptOf computes a server's proof (section 4.2.2).
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
