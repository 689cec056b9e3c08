package harness

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

// attempt posts to a receiver, on a connection of its own, and gives up with the test or after a while.
func attempt(t *testing.T, url string, wait time.Duration) (*http.Response, []byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("webhook-id", "x")
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	resp, err := transport.RoundTrip(req) // follows no redirect
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp, body, err
}

func TestReceiver(t *testing.T) {
	rc := NewReceiver(t, Flaky(2, 503))
	for nth, want := range []int{503, 503, 200, 200} {
		if resp, _, err := attempt(t, rc.URL, Patience); err != nil || resp.StatusCode != want {
			t.Errorf("attempt %d: %v, %v; want %d", nth, resp, err, want)
		}
	}
	got := rc.Await(t, "four attempts", func(got []Delivery) bool { return len(got) == 4 })
	if string(got[3].Body) != "body" || got[3].ID() != "x" || rc.Counts()["x"] != 4 {
		t.Errorf("%+v", got[3])
	}
}

func TestReceiversThatMisbehave(t *testing.T) {
	const moment = 100 * time.Millisecond
	for name, tt := range map[string]struct {
		answer Answer
		check  func(resp *http.Response, body []byte, err error) bool
	}{
		"nil":      {nil, func(resp *http.Response, _ []byte, err error) bool { return err == nil && resp.StatusCode == 204 }},
		"status":   {Status(410), func(resp *http.Response, _ []byte, err error) bool { return err == nil && resp.StatusCode == 410 }},
		"redirect": {Redirect("http://127.0.0.1:1/"), func(resp *http.Response, _ []byte, _ error) bool { return resp.StatusCode == 307 }},
		"reset": {Reset, func(_ *http.Response, _ []byte, err error) bool {
			return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
		}},
		"hang": {Hang, func(_ *http.Response, _ []byte, err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		"drip": {Drip, func(resp *http.Response, body []byte, err error) bool {
			return resp.StatusCode == 200 && string(body) == "." && errors.Is(err, context.DeadlineExceeded)
		}},
		"gzip bomb": {GzipBomb, func(resp *http.Response, body []byte, err error) bool {
			z, bad := gzip.NewReader(strings.NewReader(string(body)))
			if err != nil || bad != nil || len(body) > 2<<20 {
				return false
			}
			n, _ := io.Copy(io.Discard, io.LimitReader(z, 64<<20)) // a gigabyte takes too long under the race detector
			return n == 64<<20
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wait := Patience
			if name == "hang" || name == "drip" {
				wait = moment // all that can be seen of never
			}
			rc := NewReceiver(t, tt.answer)
			if resp, body, err := attempt(t, rc.URL, wait); !tt.check(resp, body, err) {
				t.Errorf("%v, %d bytes, %v", resp, len(body), err)
			}
			if len(rc.Got()) != 1 {
				t.Errorf("%d attempts remembered; want 1", len(rc.Got()))
			}
		})
	}
}

func TestProxy(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer server.Close()
	proxy := NewProxy(t, "tcp", strings.TrimPrefix(server.URL, "http://"))
	addr := proxy.Addr
	if _, body, err := attempt(t, "http://"+addr, Patience); err != nil || string(body) != "hello" {
		t.Errorf("%q, %v", body, err)
	}
	proxy.Cut()
	if _, _, err := attempt(t, "http://"+addr, Patience); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after a cut: %v; want refused", err)
	}
	proxy.Restore()
	if _, body, err := attempt(t, "http://"+addr, Patience); err != nil || string(body) != "hello" || proxy.Addr != addr {
		t.Errorf("restored: %q, %v", body, err)
	}
}

func TestFollow(t *testing.T) {
	st := Follow(t, io.NopCloser(strings.NewReader(": x\n\nid: 1\nevent: A\ndata: {\"event_id\":\"1\",\"n\":7}\n\nevent: B\ndata: {}\n\nevent: cut\n")))
	seen := st.Until(Named("B"))
	if len(seen) != 2 || seen[0].ID != "1" || seen[0].Data["n"] != 7.0 || seen[1].ID != "" {
		t.Errorf("%+v", seen) // B has no event_id, and so no ID of its own
	}
	if e, ok := st.Next(); ok {
		t.Errorf("after the end: %+v", e)
	}
}
