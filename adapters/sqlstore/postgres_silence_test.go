package sqlstore

import (
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/pgtest"
)

// hush passes connections on to a server until it is told to swallow all answers, as a network does that has lost the way
// back. It returns a URL of the database by way of itself.
func hush(t *testing.T, dsn string) (through string, silent *atomic.Bool) {
	t.Helper()
	through, proxy := pgtest.Proxied(t, dsn)
	u, err := url.Parse(through)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	silent = &atomic.Bool{}
	pass := func(client net.Conn) {
		defer client.Close()
		server, err := net.Dial("tcp", proxy.Addr)
		if err != nil {
			return
		}
		defer server.Close()
		go func() { _, _ = io.Copy(server, client) }()
		answer := make([]byte, 4096)
		for {
			n, err := server.Read(answer)
			if err == nil && !silent.Load() {
				_, err = client.Write(answer[:n])
			}
			if err != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = client.Close() })
			go pass(client)
		}
	}()
	u.Host = l.Addr().String()
	return u.String(), silent
}

// Who asks for the hold on the database is told that it is lost when the server does not answer: soon, and not when TCP
// gives up.
func TestPostgresHoldOfASilentServerIsLost(t *testing.T) {
	t.Parallel()
	dsn, silent := hush(t, pgtest.Database(t))
	cfg, err := postgresConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	h, err := takeSession(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	silent.Store(true)
	lost := make(chan error, 1)
	go func() { lost <- h.check(t.Context()) }()
	select {
	case err := <-lost:
		if err == nil {
			t.Error("the hold is held by a server that says nothing")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nobody knows whether the hold is lost")
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
