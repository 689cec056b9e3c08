package harness

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy passes connections on to another address, and can cut all of them, as a server's outage does.
type Proxy struct {
	Addr string

	t       testing.TB
	network string
	target  string

	mu       sync.Mutex // guards all below
	listener net.Listener
	open     map[net.Conn]bool
}

// NewProxy starts a proxy on loopback to an address of the network, such as tcp or unix.
func NewProxy(t testing.TB, network, target string) *Proxy {
	p := &Proxy{t: t, network: network, target: target, Addr: "127.0.0.1:0", open: map[net.Conn]bool{}}
	p.Restore()
	t.Cleanup(p.Cut)
	return p
}

// Cut closes the port and all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	for c := range p.open {
		_ = c.Close()
	}
	clear(p.open)
}

// Restore listens again, on the same port.
func (p *Proxy) Restore() {
	p.t.Helper()
	l, err := net.Listen("tcp", p.Addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listener, p.Addr = l, l.Addr().String()
	p.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.pass(c)
		}
	}()
}

func (p *Proxy) pass(client net.Conn) {
	server, err := net.Dial(p.network, p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.open[client], p.open[server] = true, true
	p.mu.Unlock()
	end := func() {
		_ = client.Close()
		_ = server.Close()
	}
	go func() {
		defer end()
		_, _ = io.Copy(server, client)
	}()
	defer end()
	_, _ = io.Copy(client, server)
}
