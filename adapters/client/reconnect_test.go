package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// streaming answers with a stream that write fills, in a goroutine of its own, and that ends when write returns.
func streaming(req *http.Request, write func(ctx context.Context, w io.Writer)) *http.Response {
	r, w := io.Pipe()
	stop := context.AfterFunc(req.Context(), func() { w.CloseWithError(req.Context().Err()) })
	go func() {
		defer stop()
		defer w.Close()
		write(req.Context(), w)
	}()
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: r}
}

func silent(ctx context.Context, _ io.Writer) { <-ctx.Done() }

func text(s string) func(context.Context, io.Writer) {
	return func(_ context.Context, w io.Writer) { _, _ = io.WriteString(w, s) }
}

// streamsOnly answers requests for the stream by number, counted from 1, and knows no other route.
func streamsOnly(answerStream func(n int, req *http.Request) (*http.Response, error)) transport {
	n := 0
	return func(req *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(req.URL.Path, "/api/v1/events") {
			return answer(404, ""), nil
		}
		n++
		return answerStream(n, req)
	}
}

// pausesOf subscribes until the context's time is up and returns the pauses made.
func pausesOf(t *testing.T, during time.Duration, tr transport, o Options) []time.Duration {
	t.Helper()
	var pauses []time.Duration
	o.OnRetry = func(_ error, pause time.Duration) { pauses = append(pauses, pause) }
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	if err := newClient(t, tr, o).Subscribe(ctx, ports.Subscription{}, func(ports.Message) error { return nil }); err != nil {
		t.Errorf("Subscribe() = %v; want nil: a hub that is away is no reason to give up", err)
	}
	return pauses
}

func TestSubscribeWaitsForAHubThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pauses := pausesOf(t, time.Hour, func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }, Options{})
		if len(pauses) < 60 || len(pauses) > 400 {
			t.Errorf("%d attempts in an hour; want one every 15 to 45 s", len(pauses))
		}
		for _, p := range pauses {
			if p > 45*time.Second {
				t.Errorf("pause of %v; want at most 30 s and half of that", p)
			}
		}
	})
}

func TestSubscribeHonoursRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pauses := pausesOf(t, time.Hour, streamsOnly(func(_ int, req *http.Request) (*http.Response, error) {
			return streaming(req, text(": busy\nretry: 4000\n\n")), nil
		}), Options{})
		for i, p := range pauses {
			if p < 4*time.Second {
				t.Errorf("pause %d = %v; want at least the 4 s that the hub asked for", i, p)
			}
		}
		if pauses[0] > 6*time.Second || pauses[len(pauses)-1] < 12*time.Second {
			t.Errorf("pauses = %v; want them to start at 4 s and to grow while nothing comes", pauses)
		}
	})
}

func TestSubscribeIsQuickAgainAfterAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := domain.Event{Payload: domain.QueueStatus{}}
		pauses := pausesOf(t, time.Minute, streamsOnly(func(_ int, req *http.Request) (*http.Response, error) {
			return streaming(req, text("retry: 1000\ndata: "+string(status.AppendJSON(nil))+"\n\n")), nil
		}), Options{})
		for _, p := range pauses {
			if p > 1500*time.Millisecond {
				t.Errorf("pause of %v; want the 1 s of retry: and at most half of that", p)
			}
		}
	})
}

func TestSubscribeHonoursRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pauses := pausesOf(t, 10*time.Minute, streamsOnly(func(n int, req *http.Request) (*http.Response, error) {
			if n == 1 {
				return answer(503, "", "Retry-After", "120"), nil
			}
			return streaming(req, silent), nil
		}), Options{})
		if pauses[0] < 2*time.Minute {
			t.Errorf("pause = %v; want the 2 min of Retry-After", pauses[0])
		}
	})
}

func TestSubscribeWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		var lost []time.Duration
		c := newClient(t, streamsOnly(func(n int, req *http.Request) (*http.Response, error) {
			switch n {
			case 1: // no answer at all
				<-req.Context().Done()
				return nil, req.Context().Err()
			case 2: // keepalives for a while, then nothing
				return streaming(req, func(ctx context.Context, w io.Writer) {
					for range 10 {
						time.Sleep(40 * time.Second)
						_, _ = io.WriteString(w, ": keepalive\n\n")
					}
					silent(ctx, w)
				}), nil
			}
			cancel()
			return nil, ctx.Err()
		}), Options{OnRetry: func(err error, _ time.Duration) {
			if !errors.Is(err, errSilent) {
				t.Errorf("reconnects because of %v; want %v", err, errSilent)
			}
			lost = append(lost, time.Since(begin).Truncate(time.Second))
			begin = time.Now()
		}})
		if err := c.Subscribe(ctx, ports.Subscription{}, func(ports.Message) error { return nil }); err != nil {
			t.Errorf("Subscribe() = %v", err)
		}
		if len(lost) != 2 || lost[0] != 45*time.Second || lost[1] < 445*time.Second {
			t.Errorf("lost after %v; want 45 s of silence, then 10 keepalives and 45 s more", lost)
		}
	})
}

func TestSubscribeWatchdogSparesSlowHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		e := string(progress(NewEventID(), 1).AppendJSON(nil))
		handled := 0
		c := newClient(t, streamsOnly(func(_ int, req *http.Request) (*http.Response, error) {
			return streaming(req, func(ctx context.Context, w io.Writer) {
				_, _ = io.WriteString(w, "data: "+e+"\n\n")
				time.Sleep(10 * time.Second)
				_, _ = io.WriteString(w, "data: "+string(progress(NewEventID(), 2).AppendJSON(nil))+"\n\n")
				silent(ctx, w)
			}), nil
		}), Options{OnRetry: func(err error, _ time.Duration) { t.Errorf("reconnects: %v", err) }})
		_ = c.Subscribe(ctx, ports.Subscription{}, func(ports.Message) error {
			time.Sleep(time.Hour)
			if handled++; handled == 2 {
				cancel()
			}
			return nil
		})
		if handled != 2 {
			t.Errorf("%d events handled; want 2", handled)
		}
	})
}

func TestSubscribeRefused(t *testing.T) {
	html := answer(200, "<html>", "Content-Type", "text/html")
	large := "data: " + strings.Repeat("x", maxEvent+1) + "\n\n"
	tests := []struct {
		reason string
		stream func(req *http.Request) *http.Response
		is     error
	}{
		{"a bad filter", func(*http.Request) *http.Response { return answer(400, `{"field":"types"}`) }, domain.ErrInvalid},
		{"bad credentials", func(*http.Request) *http.Response { return answer(401, ``) }, domain.ErrUnauthorized},
		{"not allowed", func(*http.Request) *http.Response { return answer(403, ``) }, domain.ErrUnauthorized},
		{"no hub there", func(*http.Request) *http.Response { return answer(404, ``) }, domain.ErrNotFound},
		{"a gateway's rule", func(*http.Request) *http.Response { return answer(415, ``) }, domain.ErrInvalid},
		{"nothing to stream", func(*http.Request) *http.Response { return answer(204, ``) }, nil},
		{"not a stream", func(*http.Request) *http.Response { return html }, nil},
		{"an event beyond all measure", func(req *http.Request) *http.Response { return streaming(req, text(large)) }, errTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			c := newClient(t, streamsOnly(func(_ int, req *http.Request) (*http.Response, error) { return tt.stream(req), nil }),
				Options{OnRetry: func(err error, _ time.Duration) { t.Errorf("tries again after %v", err) }})
			err := c.Subscribe(t.Context(), ports.Subscription{}, func(ports.Message) error { return nil })
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("Subscribe() = %v; want %v", err, tt.is)
			}
		})
	}
}

func TestSubscribeMessages(t *testing.T) {
	e := progress(NewEventID(), 1)
	event := "id: " + e.ID.String() + "\ndata: " + string(e.AppendJSON(nil)) + "\n\n"
	tests := []struct {
		reason, stream string
		want           []string
	}{
		{"an event twice", event + event, []string{"JobProgress"}},
		{"a snapshot twice", strings.Repeat("data: {\"type\":\"QueueStatus\",\"occurred_at\":\"2026-11-23T12:41:48.123Z\"}\n\n", 2), []string{"QueueStatus", "QueueStatus"}},
		{"a type that is not known yet", "event: JobPaused\ndata: {\"type\":\"JobPaused\"}\n\n" + event, []string{"JobProgress"}},
		{"an event that cannot be read", "event: JobStarted\ndata: {\"type\":\n\n", []string{"EventsLagged 1"}},
		{"lagged", "event: events.lagged\ndata: {\"type\":\"EventsLagged\",\"dropped_count\":12}\n\n", []string{"EventsLagged 12"}},
		{"resync", "event: resync_required\ndata: {\"type\":\"ResyncRequired\",\"reason\":\"expired\"}\n\n", []string{"ResyncRequired 0 expired"}},
		{"dotted names", "event: job.progress\n" + event, []string{"JobProgress"}},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var got []string
			c := newClient(t, streamsOnly(func(_ int, req *http.Request) (*http.Response, error) {
				return streaming(req, text(tt.stream)), nil
			}), Options{OnRetry: func(error, time.Duration) { cancel() }})
			if err := c.Subscribe(ctx, ports.Subscription{After: NewEventID()}, func(m ports.Message) error {
				got = append(got, describe(m))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("messages = %q; want %q", got, tt.want)
			}
		})
	}
}

func describe(m ports.Message) string {
	if m.Notice == nil {
		return m.Event.Type().String()
	}
	return strings.TrimSpace(fmt.Sprintf("%s %d %s", m.Notice.Type, m.Notice.Dropped, m.Notice.Reason))
}

func TestRecentForgetsTheOldest(t *testing.T) {
	r := newRecent(2)
	a, b, c := NewEventID(), NewEventID(), NewEventID()
	for _, step := range []struct {
		id   domain.UUID
		want bool
	}{{a, true}, {b, true}, {a, false}, {c, true}, {b, false}, {c, false}, {a, true}, {b, true}, {domain.UUID{}, true}, {domain.UUID{}, true}} {
		if got := r.add(step.id); got != step.want {
			t.Errorf("add(%s) = %v; want %v", step.id, got, step.want)
		}
	}
	if len(r.known) != 2 {
		t.Errorf("%d identifiers kept; want 2", len(r.known))
	}
}
