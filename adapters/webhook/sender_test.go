package webhook_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/matric/matric-events/adapters/webhook"
	"github.com/matric/matric-events/domain/signing"
	dw "github.com/matric/matric-events/domain/webhook"
)

// serve starts an HTTP receiver on this machine.
func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return srv
}

func TestWhatIsSent(t *testing.T) {
	var got *http.Request
	var body []byte
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	})
	req := request(t, srv.URL+"/hook?token=x")
	var err error
	if req.Headers, err = dw.NewHeaders(map[string]string{"Authorization": "Bearer k", "x-tenant": "7"}); err != nil {
		t.Fatal(err)
	}
	o := sender(t, webhook.Options{AllowCIDR: loopback, UserAgent: "matric-events/test"}).Send(t.Context(), req)
	if !o.Success() {
		t.Fatalf("%+v", o)
	}

	if got.Method != http.MethodPost || got.RequestURI != "/hook?token=x" || got.ContentLength != int64(len(req.Body)) {
		t.Errorf("%s %s, %d bytes", got.Method, got.RequestURI, got.ContentLength)
	}
	if diff := cmp.Diff(req.Body, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	now := time.Now()
	v := signing.Verifier{Secrets: []signing.Secret{req.Keys.Current()}}
	if err := v.Verify(got.Header.Get, body, now); err != nil {
		t.Errorf("Standard Webhooks: %v", err)
	}
	if err := v.VerifyBody(got.Header.Get, body); err != nil {
		t.Errorf("X-Matric-Signature: %v", err)
	}
	stock, err := standardwebhooks.NewWebhook(secretText)
	if err != nil {
		t.Fatal(err)
	}
	if err := stock.Verify(body, got.Header); err != nil {
		t.Errorf("stock verifier: %v", err)
	}
	rest := got.Header.Clone()
	for _, signed := range []string{"Webhook-Signature", "Webhook-Timestamp", "X-Matric-Signature"} {
		rest.Del(signed)
	}
	want := http.Header{
		"Content-Type":      {"application/json"},
		"Content-Length":    {"23"},
		"User-Agent":        {"matric-events/test"},
		"X-Matric-Event":    {"JobCompleted"},
		"X-Matric-Delivery": {"00000000-0000-0000-0000-000000000001"},
		"X-Matric-Attempt":  {"3"},
		"Webhook-Id":        {"00000000-0000-0000-0000-000000000002"},
		"Authorization":     {"Bearer k"},
		"X-Tenant":          {"7"},
	}
	if diff := cmp.Diff(want, rest); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		status     int
		retryAfter string
		class      dw.Class
		after      time.Duration
	}{
		{status: 200},
		{status: 202},
		{status: 204},
		{status: 301, class: dw.ClassRedirect},
		{status: 307, class: dw.ClassRedirect},
		{status: 400, class: dw.ClassBadStatus},
		{status: 410, class: dw.ClassBadStatus},
		{status: 429, retryAfter: "120", class: dw.ClassBadStatus, after: 2 * time.Minute},
		{status: 429, retryAfter: "Fri, 01 Jan 2100 00:00:00 GMT", class: dw.ClassBadStatus, after: 24 * time.Hour},
		{status: 503, retryAfter: "soon", class: dw.ClassBadStatus},
		{status: 500, class: dw.ClassBadStatus},
	} {
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if tt.retryAfter != "" {
				w.Header().Set("Retry-After", tt.retryAfter)
			}
			w.WriteHeader(tt.status)
			if tt.status != http.StatusNoContent {
				fmt.Fprintf(w, "answer %d", tt.status)
			}
		})
		o := sender(t, webhook.Options{AllowCIDR: loopback}).Send(t.Context(), request(t, srv.URL))
		if o.StatusCode != tt.status || o.Class() != tt.class || o.Fault != dw.ClassNone || o.RetryAfter != tt.after ||
			tt.status != 204 && o.Body != fmt.Sprintf("answer %d", tt.status) {
			t.Errorf("%d %q: %+v", tt.status, tt.retryAfter, o)
		}
	}
}

func TestSwitchingProtocolsIsNoSuccess(t *testing.T) {
	r := receive(t, answer("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello", hold))
	o := sender(t, webhook.Options{AllowCIDR: loopback}).Send(t.Context(), request(t, r.url()))
	if o.StatusCode != 101 || o.Class() != dw.ClassBadStatus || o.Body != "" {
		t.Errorf("%+v", o)
	}
}

// However a receiver spends the time, the attempt is over at its deadline; a test that hangs here has found one that is
// not.
func TestSlowReceiversMeetTheDeadline(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		reason string
		scheme string
		body   []byte
		handle func(net.Conn)
		status int
	}{
		{reason: "says nothing", handle: hold},
		{reason: "does not read", body: bytes.Repeat([]byte("x"), 32<<20)}, // more than the sockets' buffers take
		{reason: "stops in the head", handle: answer(ok, hold)},
		{reason: "drips the head", handle: answer(ok, drip("X-Drip: 1\r\n"))},
		{reason: "drips within one line of the head", handle: answer(ok+"X-Drip: ", drip("1"))},
		{reason: "goes on with 1xx", handle: answer("", drip("HTTP/1.1 100 Continue\r\n\r\n"))},
		{reason: "stops one byte before what is read", handle: answer(ok+"\r\n"+strings.Repeat("x", 64<<10-1), hold), status: 200},
		{reason: "stops before the body", handle: answer(ok+"Content-Length: 5\r\n\r\n", hold), status: 200},
		{reason: "drips the body", handle: answer(ok+"Content-Length: 1000000\r\n\r\n", drip("x")), status: 200},
		{reason: "drips chunks", handle: answer(ok+"Transfer-Encoding: chunked\r\n\r\n", drip("1\r\nx\r\n")), status: 200},
		{reason: "drips a body until the connection closes", handle: answer(ok+"\r\n", drip("x")), status: 200},
		{reason: "never shakes hands", scheme: "https", handle: hold},
		{reason: "drips a handshake", scheme: "https", handle: drip("\x16\x03\x03\x3f\xff")},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Parallel()
			handle := tt.handle
			if handle == nil {
				handle = func(net.Conn) { <-t.Context().Done() }
			}
			r := receive(t, handle)
			url := r.url()
			if tt.scheme != "" {
				url = strings.Replace(url, "http", tt.scheme, 1)
			}
			req := request(t, url)
			if tt.body != nil {
				req.Body = tt.body
			}
			o := sender(t, webhook.Options{AllowCIDR: loopback, Timeout: short}).Send(t.Context(), req)
			if o.Class() != dw.ClassTimeout || o.StatusCode != tt.status {
				t.Errorf("%+v", o)
			}
		})
	}
}

// What is beyond 64 KiB need not come.
func TestWhatIsReadIsEnough(t *testing.T) {
	r := receive(t, answer("HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", 64<<10), hold))
	if o := sender(t, webhook.Options{AllowCIDR: loopback}).Send(t.Context(), request(t, r.url())); !o.Success() {
		t.Errorf("%+v", o)
	}
}

func TestStatusOfAFailureCountsMoreThanItsBody(t *testing.T) {
	t.Parallel()
	r := receive(t, answer("HTTP/1.1 410 Gone\r\nContent-Length: 1000\r\n\r\nleave", hold))
	o := sender(t, webhook.Options{AllowCIDR: loopback, Timeout: 20 * short}).Send(t.Context(), request(t, r.url())) // all that comes must be in time
	if !o.Gone() || o.Class() != dw.ClassBadStatus || o.Fault != dw.ClassTimeout || o.Body != "leave" {
		t.Errorf("%+v", o)
	}
}

func TestBrokenReceivers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		reason string
		handle func(net.Conn)
		class  dw.Class
	}{
		{"closes without an answer", answer("", closeNow), dw.ClassReset},
		{"resets without an answer", answer("", reset), dw.ClassReset},
		{"resets in the body", answer(ok+"Content-Length: 9\r\n\r\nx", func(c net.Conn) { reset(c) }), dw.ClassReset},
		{"ends the body early", answer(ok+"Content-Length: 9\r\n\r\nx", closeNow), dw.ClassBadResponse},
		{"ends a chunked body early", answer(ok+"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", closeNow), dw.ClassBadResponse},
		{"sends chunks that are none", answer(ok+"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", closeNow), dw.ClassBadResponse},
		{"ends the head early", answer(ok+"Content-", closeNow), dw.ClassBadResponse},
		{"speaks no HTTP", answer("220 mail.example.com ESMTP\r\n", closeNow), dw.ClassBadResponse},
		{"has two lengths", answer(ok+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", closeNow), dw.ClassBadResponse},
		{"has an endless head", answer(ok, func(c net.Conn) {
			_, _ = io.WriteString(c, strings.Repeat("X-Long: "+strings.Repeat("x", 1000)+"\r\n", 200))
			hold(c)
		}), dw.ClassBadResponse},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			r := receive(t, tt.handle)
			o := sender(t, webhook.Options{AllowCIDR: loopback}).Send(t.Context(), request(t, r.url()))
			if o.Class() != tt.class {
				t.Errorf("class %q: %+v", o.Class(), o)
			}
			if o.Detail == "" || strings.Contains(o.Detail, "do-not-print") || strings.Contains(o.Detail, secretText) {
				t.Errorf("detail %q", o.Detail)
			}
			if n := r.accepts.Load(); n != 1 {
				t.Errorf("%d connections for one attempt", n)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 8<<20))
	_ = z.Close()
	for _, tt := range []struct {
		reason string
		handle http.HandlerFunc
		want   string
	}{
		{"empty", func(http.ResponseWriter, *http.Request) {}, ""},
		{"short", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "thanks") }, "thanks"},
		{
			"cut to what is kept, between characters",
			func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a"+strings.Repeat("é", 5000)) },
			"a" + strings.Repeat("é", 2047),
		},
		{
			"exactly what is read",
			func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 64<<10)) },
			strings.Repeat("x", 4<<10),
		},
		{
			"endless",
			func(w http.ResponseWriter, _ *http.Request) {
				for err := error(nil); err == nil; {
					_, err = w.Write(bytes.Repeat([]byte("x"), 32<<10))
				}
			},
			strings.Repeat("x", 4<<10),
		},
		{"not text", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a\xff\x00b") }, "a\uFFFD\uFFFDb"},
		{
			"compressed, and left so",
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(bomb.Bytes())
			},
			dw.KeepBody(bomb.Bytes()),
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			srv := serve(t, tt.handle)
			o := sender(t, webhook.Options{AllowCIDR: loopback}).Send(t.Context(), request(t, srv.URL))
			if diff := cmp.Diff(tt.want, o.Body); diff != "" || !o.Success() {
				t.Errorf("%q (-want +got):\n%s", o.Class(), diff)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(srv.Close)
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	here := resolver(func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	for _, tt := range []struct {
		reason string
		opts   webhook.Options
		url    string
		class  dw.Class
	}{
		{"trusted", webhook.Options{RootCAs: roots}, srv.URL, dw.ClassNone},
		{"trusted by name", webhook.Options{RootCAs: roots, Resolver: here}, "https://example.com:" + port, dw.ClassNone},
		{"unknown authority", webhook.Options{}, srv.URL, dw.ClassTLS},
		{"other name", webhook.Options{RootCAs: roots, Resolver: here}, "https://example.org:" + port, dw.ClassTLS},
		{"no TLS there", webhook.Options{RootCAs: roots}, strings.Replace(plain.URL, "http", "https", 1), dw.ClassTLS},
		{"TLS where plain HTTP is spoken", webhook.Options{}, strings.Replace(srv.URL, "https", "http", 1), dw.ClassBadStatus},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			tt.opts.AllowCIDR = loopback
			o := sender(t, tt.opts).Send(t.Context(), request(t, tt.url))
			if o.Class() != tt.class || tt.class == dw.ClassNone && o.Timings.TLS == 0 {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // the point of the test
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	o := sender(t, webhook.Options{AllowCIDR: loopback, RootCAs: roots}).Send(t.Context(), request(t, srv.URL))
	if o.Class() != dw.ClassTLS {
		t.Errorf("%+v", o)
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	o := sender(t, webhook.Options{AllowCIDR: loopback}).Send(t.Context(), request(t, "http://"+l.Addr().String()))
	if o.Class() != dw.ClassConnect {
		t.Errorf("closed port: %+v", o)
	}
	none := resolver(func() netip.Addr { return netip.Addr{} })
	o = sender(t, webhook.Options{Resolver: none}).Send(t.Context(), request(t, "https://nobody.example/"))
	if o.Class() != dw.ClassDNS {
		t.Errorf("unknown name: %+v", o)
	}
	silent := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	o = sender(t, webhook.Options{Resolver: silent, Timeout: short}).Send(t.Context(), request(t, "https://slow.example/"))
	if o.Class() != dw.ClassTimeout && o.Class() != dw.ClassDNS {
		t.Errorf("resolver that hangs: %+v", o)
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	accepts := 0
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			accepts++
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	s := sender(t, webhook.Options{AllowCIDR: loopback})
	for i := range 5 {
		o := s.Send(t.Context(), request(t, srv.URL))
		if !o.Success() {
			t.Fatalf("%+v", o)
		}
		if first := i == 0; (o.Timings.Connect > 0) != first || o.Timings.FirstByte <= 0 || o.Timings.Total < o.Timings.FirstByte {
			t.Errorf("attempt %d: %+v", i, o.Timings)
		}
	}
	srv.Close() // waits for the server's goroutines, which write accepts
	if accepts != 1 {
		t.Errorf("%d connections for five attempts", accepts)
	}
}

func TestStoppingInterrupts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := receive(t, answer("", func(c net.Conn) { cancel(); hold(c) }))
	o := sender(t, webhook.Options{AllowCIDR: loopback}).Send(ctx, request(t, r.url()))
	if o.Class() != dw.ClassInterrupted {
		t.Errorf("%+v", o)
	}

	ctx, cancel = context.WithCancel(t.Context())
	r = receive(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", func(c net.Conn) { cancel(); hold(c) }))
	o = sender(t, webhook.Options{AllowCIDR: loopback}).Send(ctx, request(t, r.url()))
	if o.Class() != dw.ClassInterrupted {
		t.Errorf("in the body: %+v", o)
	}
}

func TestTheCallersDeadlineInterruptsToo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	r := receive(t, hold)
	o := sender(t, webhook.Options{AllowCIDR: loopback}).Send(ctx, request(t, r.url()))
	if o.Class() != dw.ClassInterrupted {
		t.Errorf("%+v", o)
	}
}

func TestARequestThatCannotBeMade(t *testing.T) {
	req := request(t, "https://example.com/")
	req.Keys = signing.Keys{}
	if o := webhook.New(nil).Send(t.Context(), req); o.Success() || o.Detail == "" {
		t.Errorf("without a secret: %+v", o)
	}
	req = request(t, "https://example.com/")
	req.URL = dw.URL{}
	if o := webhook.New(nil).Send(t.Context(), req); o.Success() || o.Detail == "" {
		t.Errorf("without a URL: %+v", o)
	}
}
