package browser_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/tests/harness"
)

// publish publishes n note events and returns their IDs.
func publish(s *harness.Server, first, n int) (ids []string) {
	for i := first; i < first+n; i++ {
		id := fmt.Sprintf("01980000-0000-7000-8000-%012d", i)
		s.Call(202, "POST", "/api/v1/note-events", fmt.Sprintf(`{"event_id":%q,"operation":"updated","note_id":"0194e6a0-0000-7000-8000-000000000001","title":"Change %d"}`, id, i))
		ids = append(ids, id)
	}
	return ids
}

// A connection breaks while events come. The page has each of them once, in order, whichever way it is connected.
func TestPageResumes(t *testing.T) {
	for _, transport := range []string{"sse", "ws"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			b, origin := chromium(t), site(t)
			s := harness.Serve(t, "--allowed-origins", origin)
			proxy := harness.NewProxy(t, "tcp", strings.TrimPrefix(s.URL, "http://"))
			page := b.open(t, origin+"/test/probe.html?transport="+transport+"&hub=http://"+proxy.Addr)
			page.await(`states.includes("live")`)
			want := publish(s, 0, 5)
			page.await(`seen.length >= 5`)
			proxy.Cut()
			want = append(want, publish(s, 5, 20)...) // nobody is there
			proxy.Restore()
			page.await(`seen.length >= 25`)
			want = append(want, publish(s, 25, 1)...)
			page.await(fmt.Sprintf(`seen.includes(%q)`, want[25]))
			page.mustHave(want, nil)
		})
	}
}

// A connection breaks before the first event has come: nothing says where to resume but the place that the page asked for.
func TestPageResumesFromItsStart(t *testing.T) {
	for _, transport := range []string{"sse", "ws"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			b, origin := chromium(t), site(t)
			s := harness.Serve(t, "--allowed-origins", origin)
			proxy := harness.NewProxy(t, "tcp", strings.TrimPrefix(s.URL, "http://"))
			page := b.open(t, origin+"/test/probe.html?transport="+transport+"&hub=http://"+proxy.Addr)
			page.await(`states.includes("live")`)
			proxy.Cut()
			want := publish(s, 0, 3)
			proxy.Restore()
			page.await(`seen.length >= 3`)
			page.mustHave(want, nil)
		})
	}
}

// The server restarts, orderly or not. The page comes back by itself, and has every event or is told that it has not; then it
// reads its state anew.
func TestPageOutlivesRestarts(t *testing.T) {
	for _, transport := range []string{"sse", "ws"} {
		for _, how := range []string{"stop", "kill"} {
			t.Run(transport+" "+how, func(t *testing.T) {
				t.Parallel()
				b, origin := chromium(t), site(t)
				flags := []string{"--allowed-origins", origin, "--database-url", "sqlite:" + filepath.Join(t.TempDir(), "hub.db")}
				s := harness.Serve(t, flags...)
				page := b.open(t, origin+"/test/probe.html?transport="+transport+"&hub="+s.URL)
				page.await(`states.includes("live")`)
				want := publish(s, 0, 5)
				page.await(`seen.length >= 5`)
				if how == "kill" {
					s.Kill()
				} else if code := s.Stop(); code != 0 {
					t.Errorf("exit code %d", code)
				}
				s = harness.Serve(t, append(flags, "--listen", strings.TrimPrefix(s.URL, "http://"))...)
				page.await(`notices.includes("ResyncRequired") && resyncs === 2 && states.at(-1) === "live"`)
				want = append(want, publish(s, 5, 5)...)
				page.await(fmt.Sprintf(`seen.includes(%q)`, want[9]))
				notices := []string{"ResyncRequired"}
				if how == "stop" && transport == "ws" { // an event stream is told by its retry:
					notices = []string{"Draining", "ResyncRequired"}
				}
				page.mustHave(want, notices)
			})
		}
	}
}

// mustHave fails unless the probe saw exactly these events and notices.
func (p *page) mustHave(events, notices []string) {
	p.t.Helper()
	var got struct{ Seen, Notices []string }
	p.evaluate(`({seen, notices})`, &got)
	if diff := cmp.Diff(events, got.Seen); diff != "" {
		p.t.Errorf("events (-want +got):\n%s", diff)
	}
	if !slices.Equal(notices, got.Notices) {
		p.t.Errorf("notices %v; want %v", got.Notices, notices)
	}
}
