package stream

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
