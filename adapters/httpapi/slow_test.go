package httpapi_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/adapters/httpapi"
)

// oneConn is a listener that brings one connection.
type oneConn struct {
	conns chan net.Conn
}

func (l oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l oneConn) Close() error   { return nil }
func (l oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// piped returns the client's side of a connection to a server, and what ends both.
func piped(t *testing.T) (client net.Conn, end func()) {
	client, server := net.Pipe()
	l := oneConn{make(chan net.Conn, 1)}
	l.conns <- server
	s := &http.Server{Handler: httpapi.New(httpapi.Services{}, httpapi.Options{Fault: func(_ *http.Request, err error) { t.Error(err) }})}
	go func() { _ = s.Serve(l) }()
	return client, func() {
		close(l.conns)
		_, _ = client.Close(), s.Close()
	}
}

// A client that does not read its answer is cut off: it would hold its answer in memory, and up the end of the server, for as
// long as it likes. A pipe has no buffers, and so any answer is too long for it.
func TestClientThatDoesNotRead(t *testing.T) {
	for _, path := range []string{"/version", "/openapi.yaml", "/nowhere"} {
		synctest.Test(t, func(t *testing.T) {
			client, end := piped(t)
			defer end()
			if _, err := io.WriteString(client, "GET "+path+" HTTP/1.1\r\nHost: hub\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			if n, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("%s: read %d, %v an hour later; want the end", path, n, err)
			}
		})
	}
}

// The time that one answer had is not the next one's.
func TestConnectionIsUsedAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, end := piped(t)
		defer end()
		for _, request := range []string{"GET /version", "OPTIONS /version", "GET /livez"} { // OPTIONS is answered with a head alone
			go func() { _, _ = io.WriteString(client, request+" HTTP/1.1\r\nHost: hub\r\n\r\n") }()
			if n, err := client.Read(make([]byte, 4096)); err != nil || n == 0 {
				t.Fatalf("%s: read %d, %v", request, n, err)
			}
			time.Sleep(time.Minute)
		}
	})
}
