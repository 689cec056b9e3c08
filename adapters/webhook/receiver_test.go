package webhook_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/matric/matric-events/adapters/webhook"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
	dw "github.com/matric/matric-events/domain/webhook"
)

// The environment's proxy, which leads nowhere, is set before anything can have read it: net/http does so only once.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Setenv(name, "http://127.0.0.1:1")
	}
	goleak.VerifyTestMain(m)
}

const (
	secretText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	// short is the deadline of attempts that are meant to meet it; generous of those that are not.
	short    = 150 * time.Millisecond
	generous = 30 * time.Second
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// sender returns a Sender that reaches receivers on this machine unless the options say otherwise.
func sender(t *testing.T, o webhook.Options) *webhook.Sender {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = generous
	}
	s := webhook.New(&o)
	t.Cleanup(s.Close)
	return s
}

func request(t *testing.T, url string) dw.Request {
	t.Helper()
	u, err := dw.ParseURL(url, dw.Rules{AllowHTTP: true})
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	secret, err := signing.ParseSecret(secretText)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := signing.NewKeys(secret)
	if err != nil {
		t.Fatal(err)
	}
	return dw.Request{
		Delivery: domain.UUID{15: 1}, Event: domain.UUID{15: 2}, Type: domain.TypeJobCompleted, Attempt: 3,
		URL: u, Keys: keys, Body: []byte(`{"type":"JobCompleted"}`),
	}
}

// A receiver is a TCP listener whose connections are handled by a function, for what no HTTP server would do. It counts
// them.
type receiver struct {
	addr    string
	accepts atomic.Int64
}

// receive starts a receiver on a loopback address. Each handler runs until it returns or the test is over, when its
// connection is closed under it.
func receive(t *testing.T, handle func(net.Conn)) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{addr: l.Addr().String()}
	var handlers sync.WaitGroup
	var mu sync.Mutex // guards conns
	var conns []net.Conn
	handlers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.accepts.Add(1)
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			handlers.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		handlers.Wait()
	})
	return r
}

func (r *receiver) url() string { return "http://" + r.addr + "/hook?token=do-not-print" }

func (r *receiver) port() string {
	_, port, _ := net.SplitHostPort(r.addr)
	return port
}

// readRequest reads until the end of the test request.
func readRequest(c net.Conn) {
	var got []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil || len(got) > 0 && got[len(got)-1] == '}' {
			return
		}
	}
}

// hold waits until the other side, or the test, closes the connection.
func hold(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// answer reads the request, writes text and then does what comes after.
func answer(text string, after func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		readRequest(c)
		_, _ = io.WriteString(c, text)
		after(c)
	}
}

// reset ends a connection with RST in place of FIN.
func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }

func closeNow(net.Conn) {}

// drip writes text again and again, faster than any timeout of silence, until the connection is gone.
func drip(text string) func(net.Conn) {
	return func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
			gone := make([]byte, 1)
			_ = c.SetReadDeadline(time.Now().Add(short / 10))
			if _, err := c.Read(gone); err != nil && !isTimeout(err) {
				return
			}
		}
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // what a net.Conn returns is not wrapped
	return ok && ne.Timeout()
}

// resolver answers every look-up of an IPv4 address with what next returns; the zero Addr is "no such name".
func resolver(next func() netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go serveDNS(server, next)
		return client, nil
	}}
}

// serveDNS speaks DNS as over TCP (RFC 1035, section 4.2.2) until the client is gone.
func serveDNS(c net.Conn, next func() netip.Addr) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		reply := dnsReply(query, next)
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

func dnsReply(query []byte, next func() netip.Addr) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[12 : end+5]
	var addr netip.Addr
	isA := binary.BigEndian.Uint16(query[end+1:]) == 1
	if isA {
		addr = next()
	}
	flags, answers := uint16(0x8180), uint16(0)
	var record []byte
	switch {
	case isA && addr.Is4():
		answers = 1
		record = append([]byte{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4}, addr.AsSlice()...)
	case isA:
		flags |= 3 // NXDOMAIN
	}
	reply := append([]byte{}, query[:2]...)
	for _, n := range []uint16{flags, 1, answers, 0, 0} {
		reply = binary.BigEndian.AppendUint16(reply, n)
	}
	return append(append(reply, question...), record...)
}
