package stream

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// The tests here bring about moments that are too short to hit by chance.

// interrupted appends an event behind the back of a read that has found nothing.
type interrupted struct {
	*eventlog.Log
	armed  atomic.Bool
	append func()
}

func (l *interrupted) Read(after domain.Seq, f *domain.Filter, dst []domain.Entry) ([]domain.Entry, domain.Seq, uint64) {
	entries, cursor, missed := l.Log.Read(after, f, dst)
	if len(entries) == 0 && l.armed.CompareAndSwap(true, false) {
		l.append()
	}
	return entries, cursor, missed
}

// An event that comes in the middle of a sweep is not lost on those who share what was read before it.
func TestAnEventInTheMiddleOfASweep(t *testing.T) {
	var feed *interrupted
	r := newRig(t, setup{options: Options{Loops: 1}, feed: func(l *eventlog.Log) Log {
		feed = &interrupted{Log: l}
		return feed
	}})
	feed.append = func() { r.publish(progress(2)) }
	other := r.join("/ws")
	r.publish(progress(1))
	other.mustGetEvents(progress(1))
	feed.armed.Store(true)
	c := r.join("/ws?last_event_id=" + origin.String())
	c.mustGetEvents(progress(1))
	r.publish(progress(2)) // unless it has been
	c.mustGetEvents(progress(2))
	other.mustGetEvents(progress(2))
}

// An event that comes between the answer to the handshake and the making of the connection is not lost.
func TestAnEventRightAfterTheHandshake(t *testing.T) {
	r := newRig(t, setup{newID: func(r *rig, otherwise func() domain.UUID) domain.UUID {
		r.publish(progress(1))
		return otherwise()
	}})
	r.join("/ws").mustGetEvents(progress(1))
}

// A connection that is made while the engine stops, after its loop has ended, ends as well.
func TestAConnectionAfterItsLoopHasStopped(t *testing.T) {
	var calls atomic.Int64
	var stopping sync.WaitGroup
	r := newRig(t, setup{options: Options{Loops: 1}, newID: func(r *rig, otherwise func() domain.UUID) domain.UUID {
		if calls.Add(1) == 2 {
			stopping.Go(r.stop)
			r.mustClose("server stopped") // the first one: the loop has ended
		}
		return otherwise()
	}})
	r.join("/ws")
	late := r.open("/ws")
	late.mustEnd()
	r.mustClose("server stopped")
	stopping.Wait()
}

// stuck is a response that takes nothing until its deadline has passed.
type stuck struct {
	http.ResponseWriter
	writing chan struct{}
	passed  chan struct{}
}

func (s *stuck) Write([]byte) (int, error) {
	close(s.writing)
	<-s.passed
	return 0, http.ErrHandlerTimeout
}

func (s *stuck) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		close(s.passed)
	}
	return nil
}

func TestClosingAResponseEndsAWriteThatStalls(t *testing.T) {
	w := &stuck{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	l := newHTTPLink(t.Context(), w, http.NewResponseController(w))
	done := make(chan error)
	go func() { done <- l.write([]byte("x"), time.Hour) }()
	await(t, "write", w.writing)
	l.close()
	if err := await(t, "end of the write", done); err == nil {
		t.Error("the write succeeded")
	}
	if err := l.write([]byte("x"), time.Hour); err == nil {
		t.Error("a write after the close succeeded")
	}
}

// The deadline of a write that had to wait does not fall upon later ones.
func TestDeadlinesAreClearedAfterAWrite(t *testing.T) {
	r := newRig(t, setup{options: Options{Heartbeat: 40 * time.Millisecond, IdleTimeout: time.Hour, WriteTimeout: 600 * time.Millisecond}})
	c := r.join("/ws")
	for n := range 64 { // more than the socket takes at once
		r.publish(sized(n, 8000))
	}
	for got := 0; got < 64; {
		if f := c.frame(); len(f.Payload) > 8000 {
			got++
		}
	}
	for range 25 { // pings, for longer than the timeout
		if f := c.frame(); len(f.Payload) != 0 {
			t.Fatalf("got %v", f.Header)
		}
	}
}

// A connection is listed before it has its answer, and may be sent away before its loop knows of it.
func TestAKickBeforeTheLoopKnows(t *testing.T) {
	r := newRig(t, setup{})
	release := make(chan struct{})
	r.counts.hold.Store(&release) // it joins when the counts are there
	c, s := r.open("/ws"), r.stream("/events")
	s.mustGetHello()
	for _, d := range r.registry.List() {
		if err := r.registry.Kick(d.ID); err != nil {
			t.Fatal(err)
		}
	}
	r.engine.Stats() // the loop has been told
	close(release)
	if got := c.text(); !strings.HasPrefix(got, `{"type":"QueueStatus"`) {
		t.Errorf("got %s", got)
	}
	c.mustGetClose(1008)
	if got := s.message(); !strings.HasPrefix(got, "event: QueueStatus\n") {
		t.Errorf("got %q", got)
	}
	s.mustEnd() // in good order
}

// bench is one WebSocket on a loop that the test itself turns. wrap makes its link.
func bench(t *testing.T, wrap func(l *memoryLink) link) (log *eventlog.Log, c *conn, l *memoryLink) {
	log = eventlog.New(origin, eventlog.Options{})
	e := New(log, app.NewRegistry(app.Limits{}, newWatcher()), &counts{}, Options{Loops: 1, Goroutines: true, NewID: numbered()})
	place, err := e.registry.Admit("websocket", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	l = newMemoryLink(0, true)
	c = e.newConn(wrap(l), place, 0, &opening{format: websocket})
	place.Occupy(c)
	c.shard.join(c, nil)
	return log, c, l
}

// choke has a client that reads nothing send pings until it is not read from any more, while an event waits for it.
func choke(t *testing.T, log *eventlog.Log, c *conn) {
	ping := clientFrame(ws.OpPing, true, strings.Repeat("p", 100))
	for n := 0; !c.held; n++ {
		if n > maxOwn {
			t.Fatal("read from without end")
		}
		c.shard.take(c, bytes.Clone(ping))
	}
	if err := log.Publish(t.Context(), progress(1)); err != nil {
		t.Fatal(err)
	}
	c.shard.sweep()
}

// leaver is a client that is found to have left as soon as it is read from again.
type leaver struct {
	*memoryLink
	late int // writes after the end
}

func (l *leaver) resume(c *conn) { c.shard.cease(c) }

func (l *leaver) tryWrite(b []byte) (int, error) {
	n, err := l.memoryLink.tryWrite(b)
	if err != nil {
		l.late++
	}
	return n, err
}

// A client that takes all its replies, and then leaves while an event waits for it, is not written to any more: its
// descriptor may be somebody else's by then.
func TestNothingIsWrittenAfterTheEnd(t *testing.T) {
	var l *leaver
	log, c, _ := bench(t, func(m *memoryLink) link {
		l = &leaver{memoryLink: m}
		return l
	})
	choke(t, log, c)
	l.room = 1 << 30
	c.shard.writable(c)
	if !c.ended || l.late != 0 {
		t.Errorf("ended: %v; written to %d times after the end", c.ended, l.late)
	}
}

// curious is a client that asks again as soon as it is read from again, takes one byte of the answer, and then has room.
type curious struct {
	*memoryLink
	asked bool
}

func (l *curious) resume(c *conn) {
	l.asked, l.room = true, 1
	c.shard.take(c, clientFrame(ws.OpPing, true, "again"))
}

func (l *curious) push(*conn, []byte) bool {
	if l.asked {
		l.room = 1 << 30
	}
	return false
}

// An answer that is cut in two is not torn apart by the event that waits behind it.
func TestAnAnswerIsNotTornApart(t *testing.T) {
	log, c, l := bench(t, func(m *memoryLink) link { return &curious{memoryLink: m} })
	choke(t, log, c)
	l.room = 1 << 30
	c.shard.writable(c)
	c.shard.writable(c)
	var got []string
	for r := bytes.NewReader(l.sent()); r.Len() > 0; {
		f, err := readFrame(r)
		if err != nil {
			t.Fatalf("after %d frames: %v", len(got), err)
		}
		got = append(got, string(f.Payload))
	}
	if d := cmp.Diff([]string{"again", jsonOf(progress(1))}, got[max(0, len(got)-2):]); d != "" {
		t.Error(d)
	}
}
