package stream

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/matric/matric-events/app/eventlog"
)

// look has a meeting look at a head in pieces, and returns its size, zero when it is for the HTTP server or not complete.
func (m *meeting) look(head []byte, prefix string, piece int) (size int, done bool) {
	n := copy(m.head, head)
	for at := min(piece, n); !done && at > 0; at = min(at+piece, n) {
		if size, done = m.examine(at, prefix); at == n {
			break
		}
	}
	return size, done
}

func newMeeting() *meeting { return &meeting{head: make([]byte, maxHead), remote: "192.0.2.1:7"} }

// ambiguous heads are those that another reader of HTTP may read in another way, or refuses. They are for the HTTP server,
// which refuses them, or knows what it does.
func ambiguous() map[string]string {
	first := func(line string) string { return started(line) }
	return map[string]string{
		"blank before the colon":           strings.Replace(handshake("/ws"), "Host:", "Host :", 1),
		"blank before the key's colon":     with("Sec-WebSocket-Key: "+key, "Sec-WebSocket-Key : AAAAAAAAAAAAAAAAAAAAAA=="),
		"blank before the first field":     strings.Replace(handshake("/ws"), "\r\nHost", "\r\n Host", 1),
		"a value goes on as another field": with("X-Name: a\r\n Origin: http://hub.example"),
		"an origin goes on":                with("Origin: http://hub.example\r\n .evil.example:80"),
		"a name that is none":              with("X Name: x"),
		"a name of another world":          with("X-Näme: x"),
		"an empty name":                    with(": x"),
		"NUL in a value":                   with("X-Name: a\x00b"),
		"DEL in a value":                   with("X-Name: a\x7fb"),
		"CR in a value":                    with("X-Name: a\rb"),
		"a line that ends with LF":         strings.Replace(handshake("/ws"), "\r\nHost", "\nHost", 1),
		"a head that ends with LF":         strings.Replace(handshake("/ws"), "\r\nHost: hub.example", "\r\nHost: hub.example\n\nX: y", 1),
		"two LF before the end":            strings.TrimSuffix(handshake("/ws"), "\r\n") + "\n\r\n\r\n",
		"a host that is none":              with("Host: hub example"),
		"a host in brackets":               with("Host: <hub>"),
		"a control character in the query": first("GET /ws?a=\x01 HTTP/1.1"),
		"DEL in the query":                 first("GET /ws?a=\x7f HTTP/1.1"),
		"a version with a letter":          first("GET /ws HTTP/1.;"),
		"a version with two digits":        first("GET /ws HTTP/01.1"),
		"a version to come":                first("GET /ws HTTP/1.11"),
		"two blanks":                       first("GET /ws  HTTP/1.1"),
		"a tab":                            first("GET /ws\tHTTP/1.1"),
		"two versions":                     with("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"),
	}
}

func TestAmbiguousHeadsAreForTheHTTPServer(t *testing.T) {
	for name, head := range ambiguous() {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			size, _ := m.look([]byte(head), "GET /ws", maxHead)
			if size == 0 {
				return
			}
			if o, err := m.handshake(size, "/ws"); err == nil {
				t.Errorf("%q is answered: %+v", head, o)
			}
		})
	}
}

// validHost reports whether the HTTP server takes a host for one.
func validHost(host string) bool {
	return strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789!$%&'()*+,-.:;=[]_~") == "" && !strings.ContainsAny(host, " <>\"/\\?#@^`{|}\t")
}

// FuzzHead has nothing be answered ahead of the HTTP server that the HTTP server would not answer likewise.
func FuzzHead(f *testing.F) {
	for _, o := range openers() {
		if len(o.request) < 1000 {
			f.Add([]byte(o.request), 7)
		}
	}
	for _, head := range ambiguous() {
		f.Add([]byte(head), 3)
	}
	f.Add([]byte(handshake("/ws?types=note&token=x")), 1)
	f.Add([]byte(handshake("/ws", "Authorization: Bearer x")+"\x81\x80\x00\x00\x00\x00"), 1)
	f.Add([]byte(handshake("/ws", "Content-Length: 4")+"abcd"), 500)
	e := New(eventlog.New(origin, eventlog.Options{Capacity: 1}), nil, nil, Options{})
	f.Fuzz(func(t *testing.T, head []byte, piece int) {
		const prefix, path = "GET /ws", "/ws"
		m, at := newMeeting(), newMeeting()
		size, done := m.look(head, prefix, 1+int(uint(piece)%64))
		if n, d := at.look(head, prefix, maxHead); n != size || d != done {
			t.Fatalf("in pieces %d, %v, at once %d, %v", size, done, n, d)
		}
		if size > len(head) || size > 0 && !bytes.HasSuffix(head[:size], []byte("\r\n\r\n")) {
			t.Fatalf("size %d of %d", size, len(head))
		}
		if size == 0 {
			return
		}
		o, err := m.handshake(size, path)
		if err != nil {
			return
		}
		// What the HTTP server reads.
		br := bufio.NewReaderSize(bytes.NewReader(head[:size]), 2*maxHead)
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("answered, and no request: %v", err)
		}
		if rest, _ := io.ReadAll(br); len(rest) > 0 {
			t.Fatalf("%q is left of the head", rest)
		}
		if r.Method != http.MethodGet || r.URL.Path != path || r.URL.Host != "" || r.Host != m.host || !validHost(r.Host) {
			t.Fatalf("%s %s of host %q, and %q", r.Method, r.URL, r.Host, m.host)
		}
		if o := r.Header.Values("Origin"); len(o) > 1 || len(o) == 1 && o[0] != m.origin || len(o) == 0 && m.origin != "" {
			t.Fatalf("origin %q, and %q", o, m.origin)
		}
		if len(r.Header.Values("Sec-WebSocket-Key")) != 1 || len(r.Header.Values("Sec-WebSocket-Version")) != 1 || r.ContentLength != 0 || r.Header.Get("Authorization") != "" || r.URL.Query().Has("token") {
			t.Fatalf("not to be answered: %v", r.Header)
		}
		if err := e.checkHandshake(httptest.NewRecorder(), r); err != nil && e.opts.Origins.AllowPage(m.origin, m.host) {
			t.Fatalf("the HTTP server says %v", err)
		}
		q, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			t.Fatal(err)
		}
		want, err := socketQuery(q)
		if err != nil || want.format != o.format || want.filter.Types != o.filter.Types || want.skip != o.skip || want.lastEventID != o.lastEventID {
			t.Fatalf("%+v, and %+v, %v", o, want, err)
		}
		// The answer is the one to this key.
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(m.answer)), r)
		if err != nil || res.StatusCode != switching || res.Header.Get("Sec-WebSocket-Accept") != acceptOf(strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key"))) {
			t.Fatalf("answer %q, %v", m.answer, err)
		}
		if o.modern != (res.Header.Get("Sec-WebSocket-Protocol") == subprotocol) {
			t.Fatalf("modern %v, answer %q", o.modern, m.answer)
		}
	})
}
