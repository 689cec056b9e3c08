package stream

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/app"
)

func TestStatsCountWhatHappened(t *testing.T) {
	r := newRig(t, setup{log: logOf(3)})
	r.publish(progress(1), progress(2))
	c := r.joinModern("/ws?types=job,queue&last_event_id=" + id(1).String())
	c.mustGetEvents(progress(2))
	old := completed(3)
	old.OccurredAt = time.Now().Add(-30 * time.Millisecond)
	r.publish(old)
	c.mustGetEvents(old)
	r.request(handshake("/ws?on_lag=panic"))
	r.publish(progress(4), progress(5))
	c.mustGetEvents(progress(4), progress(5))
	r.join("/ws?last_event_id=" + id(1).String()) // no longer kept
	s := r.events("/events?last_event_id=nonsense")
	r.publish(progress(6))
	s.message() // the notice
	s.mustGetEvents(progress(6))
	c.mustGetEvents(progress(6))
	r.request("GET /poll?after=" + id(4).String() + " HTTP/1.1\r\nHost: h\r\n\r\n")

	got := r.engine.Stats()
	ws, sse, poll := &got.WebSocket, &got.SSE, &got.Poll
	for name, v := range map[string][2]uint64{
		"accepted WebSockets": {ws.Accepted, 2}, "rejected WebSockets": {ws.Rejected, 1}, "accepted streams": {sse.Accepted, 1},
		"events to WebSockets": {ws.Events, 6}, "events to streams": {sse.Events, 1},
		"resumed": {ws.Replays[app.ReplayResumed], 1}, "expired": {ws.Replays[app.ReplayExpired], 1}, "unknown": {sse.Replays[app.ReplayUnknown], 1},
		"events replayed": {ws.ReplaySize.Sum, 1}, "polled": {poll.Events, 2}, "bytes polled": {poll.Bytes, uint64(len(jsonOf(progress(5)) + jsonOf(progress(6))))},
	} {
		if v[0] != v[1] {
			t.Errorf("%s: %d, want %d", name, v[0], v[1])
		}
	}
	if ws.Writes < 6 || ws.Bytes < 6*200 {
		t.Errorf("%d bytes in %d writes", ws.Bytes, ws.Writes)
	}
	slow := uint64(0)
	for i := app.LatencyBucket(30 * time.Millisecond); i < len(ws.Latency.Buckets); i++ {
		slow += ws.Latency.Buckets[i]
	}
	if slow < 1 || ws.Latency.Sum < 30*time.Millisecond {
		t.Errorf("latency %+v tells of no event that was 30 ms old", ws.Latency)
	}
}

func TestStatsCountThoseWhoFellBehind(t *testing.T) {
	r := newRig(t, slowSetup())
	c := r.joinModern("/ws?on_lag=skip")
	r.flood()
	var got delivered
	for len(got) == 0 || got[len(got)-1] != slowEvents-1 {
		got = append(got, eventNumber(t, c.text()))
	}
	missed := uint64(0)
	for _, n := range got {
		missed += uint64(max(0, -n))
	}
	if s := r.engine.Stats().WebSocket; s.Missed != missed || s.Lapped == 0 || s.Events != slowEvents-missed {
		t.Errorf("%d missed in %d times, %d delivered; want %d missed of %d", s.Missed, s.Lapped, s.Events, missed, slowEvents)
	}
}

// A loop that has stopped is not waited for.
func TestStatsAfterTheEnd(t *testing.T) {
	r := newRig(t, setup{})
	r.join("/ws")
	r.stop()
	_ = r.engine.Stats()
}

// A loop that hangs is noticed, also beside one that does not; and so is one that has stopped.
func TestAlive(t *testing.T) {
	r := newRig(t, setup{options: Options{Loops: 2}})
	if err := r.engine.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	hangs, release := make(chan struct{}), make(chan struct{})
	r.engine.shards[1].post(func() { close(hangs); <-release })
	<-hangs
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.engine.Alive(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "1 of 2 loops answer") {
		t.Errorf("Alive = %v beside a loop that hangs", err)
	}
	close(release)
	if err := r.engine.Alive(t.Context()); err != nil {
		t.Errorf("Alive = %v afterwards", err)
	}
	r.stop()
	if err := r.engine.Alive(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "has stopped") {
		t.Errorf("Alive = %v after the end", err)
	}
}
