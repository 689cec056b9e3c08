package clients_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	launchdarkly "github.com/launchdarkly/eventsource"
	r3labs "github.com/r3labs/sse/v2"
	"github.com/tmaxmax/go-sse"

	"github.com/matric/matric-events/tests/harness"
)

// publish publishes n note events and returns their IDs.
func publish(s *harness.Server, first, n int) (ids []string) {
	for i := first; i < first+n; i++ {
		id := fmt.Sprintf("01980000-0000-7000-8000-%012d", i)
		s.Call(202, "POST", "/api/v1/note-events", fmt.Sprintf(`{"event_id":%q,"operation":"updated","note_id":"0194e6a0-0000-7000-8000-000000000001"}`, id))
		ids = append(ids, id)
	}
	return ids
}

// follower has a client library follow the event stream at url until ctx ends, with nothing but what the library does by
// itself, and says the name and ID of each event.
type follower func(ctx context.Context, t *testing.T, url string, say func(name, id string))

var followers = map[string]follower{
	"tmaxmax go-sse": func(ctx context.Context, t *testing.T, url string, say func(name, id string)) {
		conn := sse.NewConnection(get(ctx, t, url))
		conn.SubscribeToAll(func(e sse.Event) {
			say(e.Type, e.LastEventID)
		})
		_ = conn.Connect() // ends with ctx
	},
	"launchdarkly eventsource": func(ctx context.Context, t *testing.T, url string, say func(name, id string)) {
		stream, err := launchdarkly.SubscribeWithRequestAndOptions(get(ctx, t, url), launchdarkly.StreamOptionInitialRetry(50*time.Millisecond),
			launchdarkly.StreamOptionCanRetryFirstConnection(harness.Patience), launchdarkly.StreamOptionErrorHandler(func(error) launchdarkly.StreamErrorHandlerResult {
				return launchdarkly.StreamErrorHandlerResult{CloseNow: ctx.Err() != nil}
			}))
		if err != nil {
			t.Errorf("launchdarkly: %v", err)
			return
		}
		defer stream.Close()
		for {
			select {
			case e, ok := <-stream.Events:
				if !ok {
					return
				}
				say(e.Event(), e.Id())
			case <-ctx.Done():
				return
			}
		}
	},
	"r3labs sse": func(ctx context.Context, _ *testing.T, url string, say func(name, id string)) {
		client := r3labs.NewClient(url)
		for ctx.Err() == nil { // after an orderly end it returns, and is called again with the last ID that it knows
			_ = client.SubscribeRawWithContext(ctx, func(e *r3labs.Event) { say(string(e.Event), string(e.ID)) })
		}
	},
}

func get(ctx context.Context, t *testing.T, url string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
	}
	return req
}

// Every library resumes by itself where its connection broke, and delivers exactly the events.
func TestGoClientsResume(t *testing.T) {
	for name, follow := range followers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events := make(chan string, 64)
			ended := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			defer func() { cancel(); <-ended }()
			wantExactly(t, events, func(url string) {
				go func() {
					defer close(ended)
					follow(ctx, t, url, func(name, id string) {
						if name != "" { // to all three of them, unlike to browsers, a retry field alone is an event
							events <- name + " " + id
						}
					})
				}()
			})
		})
	}
}

// The same for the eventsource package of Node.js.
func TestNodeEventSourceResumes(t *testing.T) {
	t.Parallel()
	events := make(chan string, 64)
	wantExactly(t, events, func(url string) {
		cmd := node(t, "follow.mjs", url)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		go func() {
			for lines := bufio.NewScanner(out); lines.Scan(); {
				var e struct{ Type, ID string }
				_ = json.Unmarshal(lines.Bytes(), &e) // what is not read is missed
				events <- e.Type + " " + e.ID
			}
		}()
	})
}

// wantExactly starts a client, cuts its connection while events come, and wants it to say each event once, in order.
func wantExactly(t *testing.T, events <-chan string, start func(url string)) {
	t.Helper()
	s := harness.Serve(t)
	proxy := harness.NewProxy(t, "tcp", strings.TrimPrefix(s.URL, "http://"))
	start("http://" + proxy.Addr + "/api/v1/events?types=note")
	s.AwaitConnections(1)
	var got []string
	next := func(n int) {
		t.Helper()
		late := time.After(harness.Patience)
		for len(got) < n {
			select {
			case e := <-events:
				got = append(got, e)
			case <-late:
				t.Fatalf("%d events of %d: %v", len(got), n, got)
			}
		}
	}
	want := publish(s, 0, 5)
	next(5)
	proxy.Cut()
	want = append(want, publish(s, 5, 20)...)
	proxy.Restore()
	next(25)
	want = append(want, publish(s, 25, 1)...)
	next(26)
	for i := range want {
		want[i] = "NoteUpdated " + want[i]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A hub that has restarted knows nothing of what was before. Every library comes back to it by itself, and hands on that
// events may be missing, and then the new ones.
func TestGoClientsOutliveARestart(t *testing.T) {
	for name, follow := range followers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := "sqlite:" + filepath.Join(t.TempDir(), "hub.db")
			s := harness.Serve(t, "--database-url", database)
			events, ended := make(chan string, 64), make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			defer func() { cancel(); <-ended }()
			go func() {
				defer close(ended)
				follow(ctx, t, s.URL+"/api/v1/events?types=note", func(name, id string) {
					switch name {
					case "": // a retry field alone
					case "resync_required":
						events <- name
					default:
						events <- name + " " + id
					}
				})
			}()
			s.AwaitConnections(1)
			next := func(want string) {
				t.Helper()
				select {
				case got := <-events:
					if got != want {
						t.Errorf("%s; want %s", got, want)
					}
				case <-time.After(harness.Patience):
					t.Fatalf("no %s", want)
				}
			}
			next("NoteUpdated " + publish(s, 0, 1)[0])
			s.Kill()
			s = harness.Serve(t, "--database-url", database, "--listen", strings.TrimPrefix(s.URL, "http://"))
			next("resync_required")
			next("NoteUpdated " + publish(s, 1, 1)[0])
		})
	}
}
