package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/tests/harness"
)

// fetchEventSource is @microsoft/fetch-event-source as a bundler would give it to a page: its modules name each other without
// an extension.
func fetchEventSource(t *testing.T) string {
	files := http.FileServer(http.Dir("../clients/node_modules/@microsoft/fetch-event-source/lib/esm"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<!doctype html><title>fetch</title>")
			return
		case path.Ext(r.URL.Path) == "":
			r.URL.Path += ".js"
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// The library sends Last-Event-ID and Authorization by fetch, so that the browser asks the hub's permission first.
func TestFetchEventSource(t *testing.T) {
	t.Parallel()
	b, origin := chromium(t), fetchEventSource(t)
	s := harness.Serve(t, "--allowed-origins", origin)
	proxy := harness.NewProxy(t, "tcp", strings.TrimPrefix(s.URL, "http://"))
	page := b.open(t, origin)
	page.evaluate(fmt.Sprintf(`(async () => {
		window.seen = [];
		const { fetchEventSource } = await import("/index.js");
		await new Promise((opened) => fetchEventSource("http://%s/api/v1/events?types=note", {
			openWhenHidden: true,
			onopen: async () => opened(),
			onmessage: (m) => m.event && seen.push(m.event + " " + m.id),
			onerror: () => 100, // milliseconds until the next attempt
			onclose: () => { throw new Error("closed"); },
		}));
	})()`, proxy.Addr), nil)
	want := publish(s, 0, 5)
	page.await(`seen.length >= 5`)
	proxy.Cut()
	want = append(want, publish(s, 5, 20)...)
	proxy.Restore()
	page.await(`seen.length >= 25`)
	want = append(want, publish(s, 25, 1)...)
	page.await(`seen.length >= 26`)
	for i := range want {
		want[i] = "NoteUpdated " + want[i]
	}
	var got []string
	page.evaluate(`seen`, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
