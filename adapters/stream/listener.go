package stream

import (
	"errors"
	"net"
	"sync"
	"time"
)

// How long a connection may take to send the head of its first request, and how long accepting rests when descriptors or
// memory have run out.
const (
	headTimeout  = 10 * time.Second
	acceptPause  = 20 * time.Millisecond
	acceptReport = time.Second // between reports that it does
)

// frontDoor is a listener that looks at the first request of each connection without taking it, serves what is the
// engine's, and passes on everything else untouched.
type frontDoor struct {
	net.Listener
	engine *Engine
	paths  Paths
	passed chan net.Conn
	closed chan struct{}
	start  sync.Once

	mu      sync.Mutex // guards pending, and closing
	pending map[net.Conn]struct{}
}

// Paths are where the engine's endpoints are.
type Paths struct{ WebSocket, Events string }

// Listen returns a listener for an HTTP server. Plain requests for a WebSocket or an event stream never reach that server:
// they are answered on the bare connection, at a fraction of the cost. Whatever else comes, and every such request that is
// to be refused, carries credentials, or is unusual, it gets as if nobody had looked. On systems that are no Unix it gets
// everything.
func (e *Engine) Listen(l net.Listener, paths Paths) net.Listener {
	if !canPeek {
		return l
	}
	return &frontDoor{
		Listener: l, engine: e, paths: paths, passed: make(chan net.Conn), closed: make(chan struct{}), pending: map[net.Conn]struct{}{},
	}
}

// Accept implements net.Listener.
func (d *frontDoor) Accept() (net.Conn, error) {
	d.start.Do(func() { go d.accept() })
	select {
	case nc := <-d.passed:
		return nc, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that have not shown what they want are closed, too.
func (d *frontDoor) Close() error {
	err := d.Listener.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.closed:
		return err
	default:
		close(d.closed)
	}
	for nc := range d.pending {
		_ = nc.Close()
	}
	return err
}

func (d *frontDoor) accept() {
	var told time.Time
	for {
		nc, err := d.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			_ = d.Close() // whoever closed it
			return
		case err != nil: // no descriptors, no memory, or the client has left: the next one may have more luck
			if time.Since(told) > acceptReport {
				d.engine.opts.Anomaly("accept", err)
				told = time.Now()
			}
			select {
			case <-time.After(acceptPause):
			case <-d.closed:
				return
			}
			continue
		}
		go d.greet(nc)
	}
}

// greet finds out what a connection wants.
func (d *frontDoor) greet(nc net.Conn) {
	if !d.enter(nc) {
		_ = nc.Close()
		return
	}
	tcp, ok := nc.(*net.TCPConn)
	if ok && d.engine.meet(tcp, d.paths) {
		d.leave(nc)
		return
	}
	d.leave(nc)
	select {
	case d.passed <- nc:
	case <-d.closed:
		_ = nc.Close()
	}
}

func (d *frontDoor) enter(nc net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.closed:
		return false
	default:
		d.pending[nc] = struct{}{}
		return true
	}
}

func (d *frontDoor) leave(nc net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pending, nc)
}
