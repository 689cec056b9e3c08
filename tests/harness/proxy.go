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

	mu       sync.Mutex // guards all below
	target   string
	listener net.Listener
	open     map[net.Conn]bool
}

// NewProxy starts a proxy on loopback to an address of the network, such as tcp or unix.
func NewProxy(t testing.TB, network, target string) *Proxy {
	p := &Proxy{t: t, network: network, target: target, Addr: "127.0.0.1:0", open: map[net.Conn]bool{}}
	p.Restore()
	p.Addr = p.listener.Addr().String() // for ever: others read it while it is cut
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

// Reset ends all connections with a RST on both sides, as a router that has lost its memory does. New ones are passed on.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	clear(p.open)
}

// Retarget has connections passed on to another address from now on, those that are open excepted.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Restore listens again, on the same port.
func (p *Proxy) Restore() {
	p.t.Helper()
	l, err := net.Listen("tcp", p.Addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listener = l
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
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.Dial(p.network, target)
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
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, client)
		delete(p.open, server)
	}
	go func() {
		defer end()
		_, _ = io.Copy(server, client)
	}()
	defer end()
	_, _ = io.Copy(client, server)
}
