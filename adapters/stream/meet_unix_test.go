//go:build unix

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

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/app/eventlog"
)

// meetingPaths are those of the rig.
var meetingPaths = Paths{WebSocket: "/ws", Events: "/events"}

// look has a meeting look at a head in pieces, and reports whether that was enough.
func (m *meeting) look(head []byte, piece int) (done bool) {
	n := copy(m.buf, head)
	for seen, at := 0, min(piece, n); at > seen; seen, at = at, min(at+piece, n) {
		if done = m.examine(seen, at, meetingPaths); done {
			break
		}
	}
	return done
}

func newMeeting() *meeting { return &meeting{buf: make([]byte, maxHead), remote: "192.0.2.1:7"} }

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
			if m.look([]byte(head), maxHead); m.head == nil {
				return
			}
			if o, err := m.read(&web.Origins{}, meetingPaths); err == nil {
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
	f.Add([]byte("GET /events?types=job HTTP/1.1\r\nHost: hub.example\r\nLast-Event-ID: x\r\n\r\n"), 5)
	e := New(eventlog.New(origin, eventlog.Options{Capacity: 1}), nil, nil, Options{})
	f.Fuzz(func(t *testing.T, head []byte, piece int) {
		m, whole := newMeeting(), newMeeting()
		done := m.look(head, 1+int(uint(piece)%64))
		if d := whole.look(head, maxHead); d != done || !bytes.Equal(m.head, whole.head) {
			t.Fatalf("in pieces %v, %q, at once %v, %q", done, m.head, d, whole.head)
		}
		if m.head == nil {
			return
		}
		if !bytes.HasPrefix(head, m.head) || !bytes.HasSuffix(m.head, []byte("\r\n\r\n")) {
			t.Fatalf("%q of %q", m.head, head)
		}
		o, err := m.read(&e.opts.Origins, meetingPaths)
		if err != nil {
			return
		}
		// What the HTTP server reads.
		br := bufio.NewReaderSize(bytes.NewReader(m.head), 2*maxHead)
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("answered, and no request: %v", err)
		}
		if rest, _ := io.ReadAll(br); len(rest) > 0 {
			t.Fatalf("%q is left of the head", rest)
		}
		if r.Method != http.MethodGet || r.URL.Host != "" || !validHost(r.Host) || r.ContentLength != 0 || r.Header.Get("Authorization") != "" || r.URL.Query().Has("token") {
			t.Fatalf("not to be answered: %s %s of host %q, %v", r.Method, r.URL, r.Host, r.Header)
		}
		if r.URL.Path == meetingPaths.Events {
			r.RemoteAddr = m.remote
			want, err := eventsRequest(r)
			if err != nil || want.filter.Types != o.filter.Types || want.lastEventID != o.lastEventID || want.format|chunked != o.format {
				t.Fatalf("%+v, and %+v, %v", o, want, err)
			}
			return
		}
		if err := e.checkHandshake(httptest.NewRecorder(), r); err != nil || r.URL.Path != meetingPaths.WebSocket {
			t.Fatalf("%s: the HTTP server says %v", r.URL, err)
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
