package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func progress(job domain.UUID, percent int) domain.Event {
	return domain.Event{
		ID: NewEventID(), OccurredAt: time.UnixMilli(1_700_000_000_000).UTC(),
		Payload: domain.JobProgress{JobRef: domain.JobRef{JobID: job}, Percent: percent},
	}
}

// serve starts the hub on a loopback port and returns a client of it whose connections end with the test.
func serve(t testing.TB, h http.Handler, o Options) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	o.HTTPClient = server.Client()
	o.RetryInitial = time.Millisecond
	c, err := New(server.URL, &o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// feed runs a subscription. Its messages come one at a time through the channel, so that a test can act between two.
type feed struct {
	messages chan ports.Message
	result   chan error
	cancel   context.CancelFunc
}

func subscribe(ctx context.Context, c *Client, s ports.Subscription) *feed {
	ctx, cancel := context.WithCancel(ctx)
	f := &feed{messages: make(chan ports.Message), result: make(chan error, 1), cancel: cancel}
	go func() {
		f.result <- c.Subscribe(ctx, s, func(m ports.Message) error {
			select {
			case f.messages <- m:
				return nil
			case <-ctx.Done():
				return nil
			}
		})
	}()
	return f
}

func (f *feed) stop(t interface{ Errorf(string, ...any) }) {
	f.cancel()
	if err := <-f.result; err != nil {
		t.Errorf("Subscribe() = %v; want nil when its context ends", err)
	}
}

func TestSubscribeDeliversWhatTheFilterSelects(t *testing.T) {
	h := newHub()
	c := serve(t, h, Options{})
	job, other := NewEventID(), NewEventID()
	f := subscribe(t.Context(), c, ports.Subscription{Filter: domain.Filter{Types: domain.Set(domain.TypeJobProgress, domain.TypeQueueStatus), Jobs: []domain.UUID{job}}})
	defer f.stop(t)
	first := <-f.messages
	if first.Notice != nil || !first.Event.ID.IsZero() || first.Event.Payload != (domain.QueueStatus{Running: 1}) {
		t.Errorf("first message = %+v; want the QueueStatus without ID", first)
	}
	want := progress(job, 1)
	h.publish(progress(other, 1))
	h.publish(want)
	got := <-f.messages
	if diff := cmp.Diff(want, got.Event); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(string(want.AppendJSON(nil)), string(got.JSON)); diff != "" {
		t.Errorf("bytes (-want +got):\n%s", diff)
	}
}

func TestSubscribeResumesAfterAGivenEvent(t *testing.T) {
	h := newHub()
	job := NewEventID()
	for percent := range 3 {
		h.publish(progress(job, percent))
	}
	f := subscribe(t.Context(), serve(t, h, Options{}), ports.Subscription{
		Filter: domain.Filter{Types: domain.Set(domain.TypeJobProgress)}, After: h.log[0].ID,
	})
	defer f.stop(t)
	for _, want := range h.log[1:] {
		if got := <-f.messages; got.Event.ID != want.ID {
			t.Errorf("event = %+v; want %+v", got.Event, want)
		}
	}
}

// A connection that breaks before it brought an event leaves nothing to resume from but what the hub said before.
func TestSubscribeLosesNothingBeforeTheFirstEvent(t *testing.T) {
	connected := make(chan struct{}, 10)
	h := newHub()
	c := serve(t, h, Options{OnConnect: func() { connected <- struct{}{} }})
	f := subscribe(t.Context(), c, ports.Subscription{Filter: domain.Filter{Types: domain.Set(domain.TypeJobProgress)}})
	defer f.stop(t)
	<-connected
	want := progress(NewEventID(), 1)
	h.do(func() { // both before any stream can wake up
		h.cuts++
		h.log = append(h.log, want)
	})
	if got := <-f.messages; got.Notice != nil || got.Event.ID != want.ID {
		t.Errorf("message = %+v; want the event published while the stream was down", got)
	}
}

func TestSubscribeTellsOfGaps(t *testing.T) {
	only := ports.Subscription{Filter: domain.Filter{Types: domain.Set(domain.TypeJobProgress)}}
	t.Run("the hub has restarted", func(t *testing.T) {
		h := newHub()
		f := subscribe(t.Context(), serve(t, h, Options{}), ports.Subscription{Filter: only.Filter, After: h.origin})
		defer f.stop(t)
		h.publish(progress(NewEventID(), 1))
		<-f.messages
		h.restart()
		if got := <-f.messages; got.Notice == nil || got.Notice.Type != "ResyncRequired" || got.Notice.Reason != "unknown" {
			t.Errorf("message = %+v; want a ResyncRequired notice", got)
		}
	})
	t.Run("a hub that cannot say where its log stands", func(t *testing.T) {
		connected := make(chan struct{}, 10)
		h := newHub()
		h.noPoll = true
		f := subscribe(t.Context(), serve(t, h, Options{OnConnect: func() { connected <- struct{}{} }}), only)
		defer f.stop(t)
		<-connected
		h.cut()
		if got := <-f.messages; got.Notice == nil || got.Notice.Type != "ResyncRequired" {
			t.Errorf("message = %+v; want a ResyncRequired notice", got)
		}
	})
}

func TestSubscribeReturnsTheHandlersError(t *testing.T) {
	boom := errors.New("boom")
	err := serve(t, newHub(), Options{}).Subscribe(t.Context(), ports.Subscription{}, func(ports.Message) error { return boom })
	if err != boom { //nolint:errorlint // the port promises the error itself
		t.Errorf("Subscribe() = %v; want the handler's own error", err)
	}
}

func TestSubscribeHandsNothingOverAfterItsContextEnds(t *testing.T) {
	h := newHub()
	for percent := range 3 {
		h.publish(progress(NewEventID(), percent))
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := serve(t, h, Options{}).Subscribe(ctx, ports.Subscription{After: h.origin}, func(ports.Message) error {
		calls++
		cancel()
		return nil
	})
	if err != nil || calls != 1 {
		t.Errorf("Subscribe() = %v after %d messages; want nil after one", err, calls)
	}
}

// TestSubscribeModel cuts the connection at random places while events are published. The subscriber must see the
// published sequence: nothing twice, nothing missing, in order.
func TestSubscribeModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newHub()
		server := httptest.NewServer(h)
		defer server.Close()
		c, err := New(server.URL, &Options{HTTPClient: server.Client(), RetryInitial: time.Millisecond})
		if err != nil {
			rt.Fatal(err)
		}
		f := subscribe(t.Context(), c, ports.Subscription{Filter: domain.Filter{Types: domain.Set(domain.TypeJobProgress)}, After: h.origin})
		defer f.stop(rt)
		job, seen := NewEventID(), 0
		receive := func() {
			m := <-f.messages
			if m.Notice != nil || m.Event.ID != h.log[seen].ID {
				rt.Fatalf("message %d = %+v; want %s", seen, m, h.log[seen].ID)
			}
			seen++
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"publish", "cut", "cut while writing", "receive"}).Draw(rt, "step") {
			case "publish":
				for range rapid.IntRange(1, 5).Draw(rt, "events") {
					h.publish(progress(job, seen%100))
				}
			case "cut":
				h.cut()
			case "cut while writing":
				budget := rapid.IntRange(1, 4).Draw(rt, "budget")
				h.do(func() { h.budget = budget })
			case "receive":
				if seen < len(h.log) {
					receive()
				}
			}
		}
		for seen < len(h.log) {
			receive()
		}
	})
}
