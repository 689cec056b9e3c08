package stream

import (
	"context"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Options tune New. The zero value of a member stands for the default that it names.
type Options struct {
	Heartbeat    time.Duration // between WebSocket pings; 30 s
	IdleTimeout  time.Duration // without a frame from a WebSocket peer; 90 s
	WriteTimeout time.Duration // for a client to take something; 16 KiB, or what there is, where a goroutine writes; 10 s
	Keepalive    time.Duration // between event-stream comments while nothing else is sent; 15 s
	Origins      web.Origins   // pages that may open a WebSocket
	Loops        int           // writer loops; one for every two processors, so that those who publish have their turn
	Goroutines   bool          // give each connection a goroutine, as where there is no poller
	// Anomaly is told what should not happen, by kind. Nil is nobody.
	Anomaly func(kind string, err error)
	// NewID makes the identifiers of connections. It is required.
	NewID func() domain.UUID
}

func (o Options) withDefaults() Options {
	fill := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	fill(&o.Heartbeat, 30*time.Second)
	fill(&o.IdleTimeout, 90*time.Second)
	fill(&o.WriteTimeout, 10*time.Second)
	fill(&o.Keepalive, 15*time.Second)
	if o.Anomaly == nil {
		o.Anomaly = func(string, error) {}
	}
	if o.Loops <= 0 {
		o.Loops = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return o
}

// Snapshots makes the QueueStatus that a client gets on connect and on demand.
type Snapshots interface {
	// Snapshot returns the counts of this moment; beside an error, those of an earlier one.
	Snapshot(ctx context.Context) (domain.Event, error)
}

// Log is what the engine reads from.
type Log interface {
	ports.Feed
	// CursorID returns the identifier that resumes behind the cursor.
	CursorID(at domain.Seq) domain.UUID
}

// Engine serves all connections. Use New, then Run; its handlers may be called before Run, and deliver once it runs.
type Engine struct {
	feed      Log
	registry  *app.Registry
	snapshots Snapshots
	opts      Options
	epoch     time.Time
	library   library
	lot       *app.Lot // of polls that wait
	shards    []*shard
	edge      edge
	joined    atomic.Uint64

	mu      sync.Mutex     // guards stopped, so that crew never grows from zero while Run waits for it
	stopped bool           // nobody gets in any more
	crew    sync.WaitGroup // handlers, connections that have not ended, and the goroutines that serve them
}

// New returns an engine that reads from the feed and enters its connections in the registry.
func New(feed Log, registry *app.Registry, snapshots Snapshots, o Options) *Engine {
	e := &Engine{
		feed: feed, registry: registry, snapshots: snapshots, opts: o.withDefaults(), epoch: time.Now(),
		library: library{tracks: map[trackKey]*track{}}, lot: app.NewLot(feed),
	}
	for range e.opts.Loops {
		e.shards = append(e.shards, newShard(e))
	}
	return e
}

// Run delivers until ctx ends, then cuts the connections that are left. To end them in good order, drain the registry
// first.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.openPollers(); err != nil {
		return err
	}
	var loops sync.WaitGroup
	loops.Go(func() { e.lot.Run(ctx) })
	for _, s := range e.shards {
		loops.Go(func() {
			s.run(ctx)
			s.poller.close()
		})
		if s.poller != nil {
			loops.Go(s.poller.watch)
		}
	}
	for seen := domain.Seq(0); ctx.Err() == nil && e.feed.Wait(ctx, seen) == nil; {
		seen = e.feed.Head()
		for _, s := range e.shards {
			s.ring()
		}
	}
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	loops.Wait()
	e.crew.Wait()
	return nil
}

func (e *Engine) openPollers() (err error) {
	if e.opts.Goroutines {
		return nil
	}
	for _, s := range e.shards {
		if s.poller, err = newPoller(); err != nil {
			return err
		}
	}
	return nil
}

// clock returns the time since the engine was made.
func (e *Engine) clock() time.Duration { return time.Since(e.epoch) }

// adopt returns the link for a connection that the engine has to itself from now on.
func (e *Engine) adopt(nc net.Conn) link {
	if tcp, ok := nc.(*net.TCPConn); ok && !e.opts.Goroutines {
		if s := newSocket(tcp, e.opts.IdleTimeout); s != nil {
			return s
		}
	}
	return newNetLink(nc)
}

// connect sets a connection going that stands at a place in the log. hello goes out at once, before anything else; sent is
// what the client has sent already.
func (e *Engine) connect(ctx context.Context, l link, place *app.Place, at domain.Seq, o *opening, hello, sent []byte) *conn {
	c := e.newConn(l, place, at, o)
	place.Occupy(c) // before the answer: who has it, is listed
	if n, err := l.tryWrite(hello); err == nil && n == len(hello) {
		hello = nil
	} else {
		hello = hello[n:]
	}
	c.own = hello
	var notice []byte
	if o.lastEventID != "" {
		notice = c.resume(o.lastEventID, at)
	}
	if o.wantsStatus() {
		c.send(o.format.snapshot(e.snapshot(ctx)))
	}
	c.send(notice)
	if !c.shard.post(func() { c.shard.join(c, sent) }) {
		c.end("server stopped") // nobody else knows of it
	}
	return c
}

func (e *Engine) newConn(l link, place *app.Place, at domain.Seq, o *opening) *conn {
	now := e.clock()
	c := &conn{
		id: e.opts.NewID(), link: l, place: place, shard: e.next(), format: o.format, modern: o.modern, skip: o.skip,
		remote: o.remote, user: o.user, since: time.Now(), wrote: now, heard: now,
		pinged: now - rand.N(e.opts.Heartbeat/2+1), // a crowd that came at once is not to be pinged at once
	}
	c.advance(at)
	c.filter.Store(newScope(o.filter))
	e.crew.Add(1)
	return c
}

// admit finds a place for a connection. Its handler belongs to the crew until it calls e.crew.Done.
func (e *Engine) admit(transport, ip string) (*app.Place, error) {
	if !e.enlist() {
		return nil, &app.Refusal{Reason: "draining", RetryAfter: time.Second}
	}
	place, err := e.registry.Admit(transport, ip)
	if err != nil {
		e.crew.Done()
	}
	return place, err
}

func (e *Engine) enlist() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.stopped {
		e.crew.Add(1)
	}
	return !e.stopped
}

// next returns the loop for a new connection.
func (e *Engine) next() *shard { return e.shards[e.joined.Add(1)%uint64(len(e.shards))] }

// tick is how often deadlines are looked at: often enough to keep the shortest one within a quarter.
func (o *Options) tick() time.Duration {
	return max(10*time.Millisecond, min(time.Second, o.Heartbeat/4, o.IdleTimeout/4, o.Keepalive/4, o.WriteTimeout/4))
}

// snapshot returns the QueueStatus of this moment; of an earlier one when the store does not answer in time.
func (e *Engine) snapshot(ctx context.Context) domain.Event {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	event, _ := e.snapshots.Snapshot(ctx) // on error it carries the last known counts
	return event
}
