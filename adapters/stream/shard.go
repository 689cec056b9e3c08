package stream

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// shard is a loop and the connections that it serves: it reads from them, writes to them, and watches their deadlines. All
// below tasks belongs to the loop alone, and so does every connection that has joined.
type shard struct {
	engine *Engine
	wake   chan struct{} // holds a token when the log may have grown, or there are tasks

	mu      sync.Mutex // guards tasks and stopped
	tasks   []func()
	stopped bool // no task is taken any more

	poller *poller // nil where there is none
	wheel  wheel
	conns  []*conn // nil for those that have left
	left   int     // how many of conns are nil
	behind []*conn // have not been given everything up to head
	views  map[trackKey]*view
	early  map[*conn][]func() // what to tell those that have not joined
	now    time.Duration      // since the engine was made; of the last look at the clock
	head   domain.Seq         // up to which the last sweep went
	sweeps uint64
	stats  app.StreamStats

	entries []domain.Entry
	scratch run    // of events for one connection alone
	private window // on scratch
	input   []byte // what was read last
}

// view is a track as one shard's connections see it. It remembers what stood at the place that was looked up last, for
// nearly all of them stand there.
type view struct {
	track *track
	users int
	sweep uint64 // that after and found are of
	after domain.Seq
	found window
}

func newShard(e *Engine) *shard {
	return &shard{
		engine: e, wake: make(chan struct{}, 1), wheel: wheel{tick: e.opts.tick()}, views: map[trackKey]*view{}, early: map[*conn][]func(){},
		entries: make([]domain.Entry, 0, readEntries), input: make([]byte, 16<<10), head: e.feed.Head(),
	}
}

func (s *shard) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// post has the loop run a task soon. It returns false once the loop has stopped, which then never runs it.
func (s *shard) post(task func()) bool {
	s.mu.Lock()
	taken := !s.stopped
	if taken {
		s.tasks = append(s.tasks, task)
	}
	s.mu.Unlock()
	s.ring()
	return taken
}

// tell has the loop do something with a connection, unless that has ended by then. One that is listed and has not joined
// yet is still its maker's: it is told when it joins.
func (s *shard) tell(c *conn, what func()) {
	s.post(func() {
		switch {
		case !c.joined:
			s.early[c] = append(s.early[c], what)
		case !c.ended:
			what()
			s.serve(c)
		}
	})
}

// run serves until ctx ends, and then ends all connections.
func (s *shard) run(ctx context.Context) {
	ticker := time.NewTicker(s.wheel.tick)
	defer ticker.Stop()
	for {
		select {
		case <-s.wake:
			s.look()
			s.work()
			s.sweep()
		case events := <-s.poller.ready():
			s.look()
			s.poller.handle(s, events)
		case <-ticker.C:
			s.look()
			s.wheel.advance(s.now, s.expire)
		case <-ctx.Done():
			s.stop()
			return
		}
	}
}

// look looks at the clock.
func (s *shard) look() { s.now = s.engine.clock() }

// work runs the tasks that were posted.
func (s *shard) work() {
	s.mu.Lock()
	tasks := s.tasks
	s.tasks = nil
	s.mu.Unlock()
	for _, task := range tasks {
		task()
	}
}

// stop runs what was posted, takes nothing more, and ends all connections.
func (s *shard) stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.work()
	for _, c := range s.conns {
		if c != nil {
			c.end("server stopped")
		}
	}
}

// sweep gives every connection what the log has got since the last sweep; if that is nothing, those that are behind what
// they are due.
func (s *shard) sweep() {
	// The head is looked up before anything is read: what is remembered of a place below reaches at least that far, and
	// what the log gets later rings again.
	head := s.engine.feed.Head()
	due := s.behind
	s.behind = nil
	if head != s.head {
		s.head = head
		due = s.conns
	}
	s.sweeps++
	for i, c := range due {
		if c == nil || c.ended {
			continue
		}
		c.waiting = false
		s.serve(c)
		if i%64 == 63 {
			s.look()
		}
	}
	s.compact()
}

// expire does what time calls for on a connection whose timer has fired.
func (s *shard) expire(c *conn) {
	c.expire()
	s.serve(c)
	if !c.ended {
		s.wheel.set(c, c.due())
	}
}

// join enters a connection. Events follow what is queued for it. sent is what the client has sent already.
func (s *shard) join(c *conn, sent []byte) {
	early := s.early[c]
	delete(s.early, c)
	c.joined, c.slot = true, len(s.conns)
	c.format.of(&s.stats).Accepted++
	s.conns = append(s.conns, c)
	s.assign(c)
	s.wheel.set(c, c.due())
	c.following.Store(true)
	if err := c.link.attach(c); err != nil {
		c.end("attach: " + err.Error())
		return
	}
	for _, what := range early {
		what()
	}
	s.take(c, sent)
}

// leave takes an ended connection out.
func (s *shard) leave(c *conn) {
	s.wheel.stop(c)
	if !c.joined {
		return
	}
	s.conns[c.slot] = nil
	s.left++
	s.drop(c.view)
}

// compact closes the gaps that connections have left.
func (s *shard) compact() {
	if s.left == 0 {
		return
	}
	kept := s.conns[:0]
	for _, c := range s.conns {
		if c != nil {
			c.slot = len(kept)
			kept = append(kept, c)
		}
	}
	clear(s.conns[len(kept):])
	s.conns, s.left = kept, 0
	if len(kept) < cap(kept)/4 {
		s.conns = slices.Clone(kept) // a crowd has left
	}
}

// assign gives a connection the view for what it wants, if that depends on types only.
func (s *shard) assign(c *conn) {
	old := c.view
	c.view = nil
	if f := c.filter.Load(); f.ByTypeOnly() {
		key := trackKey{c.format, f.Types}
		if key.types == domain.AllTypes {
			key.types = 0 // the same
		}
		v, ok := s.views[key]
		if !ok {
			v = &view{track: s.engine.library.borrow(key, s.engine.feed, s.now)}
			s.views[key] = v
		}
		v.users++
		c.view = v
	}
	s.drop(old)
}

func (s *shard) drop(v *view) {
	if v == nil {
		return
	}
	if v.users--; v.users == 0 {
		delete(s.views, v.track.key)
		s.engine.library.giveBack(v.track, s.now)
	}
}
