package publish

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/tests/load/streams/target"
	"github.com/matric/matric-events/tests/load/streams/wire"
)

func TestScheduleSpreadsPublishersEvenly(t *testing.T) {
	s := Schedule{Start: 100, Rate: 20, Publishers: 2}
	for i, want := range []time.Duration{0, 50, 100, 150, 200, 250} {
		publisher, seq := i%2, uint64(i/2+1)
		if got := s.Due(publisher, seq); got != 100+int64(want*time.Millisecond) {
			t.Errorf("event %d of publisher %d is due at %d; want %v after the start", seq, publisher, got, want*time.Millisecond)
		}
	}
	if got, want := s.Due(0, 1_000_001), 100+int64(100_000*time.Second); got != want {
		t.Errorf("a day later the timetable is off by %d ns", got-want)
	}
}

func TestStamp(t *testing.T) {
	for reason, tc := range map[string]struct{ due, free, now, want int64 }{
		"woke on time":                   {due: 50, free: 10, now: 50, want: 50},
		"overslept by itself":            {due: 50, free: 10, now: 58, want: 58},
		"held up by the event before it": {due: 50, free: 70, now: 70, want: 50},
		"held up, and overslept as well": {due: 50, free: 70, now: 75, want: 50},
	} {
		if got := Stamp(tc.due, tc.free, tc.now); got != tc.want {
			t.Errorf("%s: Stamp(%d, %d, %d) = %d; want %d", reason, tc.due, tc.free, tc.now, got, tc.want)
		}
	}
}

// A stop interrupts a publisher that waits for its next event.
func TestStopInterruptsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if sleep(ctx, time.Hour) || time.Since(begin) != time.Second {
			t.Errorf("slept %v; want to be stopped after 1s", time.Since(begin))
		}
	})
}

// sink is a server that keeps the stamps of what is published.
type sink struct {
	mu     sync.Mutex
	stamps []wire.Stamp
	status int
	addr   netip.AddrPort
}

func newSink(t *testing.T) *sink {
	s := &sink{status: http.StatusAccepted}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		st, _, _ := wire.NextStamp(body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stamps = append(s.stamps, st)
		w.WriteHeader(s.status)
	}))
	t.Cleanup(srv.Close)
	s.addr = netip.MustParseAddrPort(strings.TrimPrefix(srv.URL, "http://"))
	return s
}

func (s *sink) len() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.stamps))
}

func plain(t *testing.T) target.Target {
	tg, err := target.Named("ws")
	if err != nil {
		t.Fatal(err)
	}
	return tg
}

// At a rate, each publisher numbers its events from 1, and as many count as published as have been received.
func TestPublishersAtARate(t *testing.T) {
	s := newSink(t)
	load := Start(t.Context(), Options{Server: s.addr, Target: plain(t), Publishers: 3, Size: 100, Rate: 1000})
	for s.len() < 30 {
		time.Sleep(time.Millisecond)
	}
	totals := load.Stop()
	next := make([]uint64, 3)
	for _, st := range s.stamps {
		if next[st.Publisher]++; st.Seq != next[st.Publisher] {
			t.Fatalf("publisher %d sent number %d; want %d", st.Publisher, st.Seq, next[st.Publisher])
		}
	}
	if n := totals.Published; n[0] != next[0] || n[1] != next[1] || n[2] != next[2] || load.Acked() != s.len() {
		t.Errorf("published %v, acknowledged %d; received %v", totals.Published, load.Acked(), next)
	}
	if len(totals.Failed) != 0 || totals.Ack.Count() != s.len() {
		t.Errorf("%d acknowledgements timed, failed: %v", totals.Ack.Count(), totals.Failed)
	}
}

// At max rate no more events are on their way than the window allows, and they go on as subscribers receive them.
func TestWindow(t *testing.T) {
	s := newSink(t)
	var arrived atomic.Int64
	load := Start(t.Context(), Options{Server: s.addr, Target: plain(t), Publishers: 4, Window: 10, Arrived: arrived.Load})
	for arrived.Load() < 100 {
		if ahead := s.len() - arrived.Load(); ahead > 10+4 { // each publisher may have passed the window at once
			t.Fatalf("%d events are on their way; the window is 10", ahead)
		} else if ahead >= 10 {
			arrived.Add(5)
		}
		time.Sleep(100 * time.Microsecond)
	}
	load.Stop()
}

func TestRefusedEventsAreToldAndEndIt(t *testing.T) {
	s := newSink(t)
	s.status = http.StatusTooManyRequests
	load := Start(t.Context(), Options{Server: s.addr, Target: plain(t), Rate: 10_000})
	load.working.Wait()
	totals := load.Stop()
	if totals.Failed["publish: 429 Too Many Requests: "] != giveUp {
		t.Errorf("failed: %v; want %d times 429", totals.Failed, giveUp)
	}
}
