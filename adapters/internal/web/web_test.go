package web

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
)

var errCellar = errors.New("SELECT secret FROM cellar")

// taken is a conflict in the words of the domain.
type taken struct{}

func (taken) Error() string { return "the <name> is taken" }
func (taken) Unwrap() error { return domain.ErrConflict }

func TestProblem(t *testing.T) {
	const (
		wrong   = `{"type":"about:blank","title":"Bad Request","status":400,`
		present = `"it is not possible in the present state"`
		clash   = `{"type":"about:blank","title":"Conflict","status":409,`
		fault   = `{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"internal error","error":"internal error"}`
		later   = `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"not available at the moment; try again","error":"not available at the moment; try again"}`
		nothing = `{"type":"about:blank","title":"Not Found","status":404,"detail":"not found","error":"not found"}`
		who     = `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"the token is missing or not valid","error":"the token is missing or not valid"}`
	)
	for _, tc := range []struct {
		why        string
		err        error
		want       string
		internal   bool
		retryAfter string
	}{
		{why: "a field", err: domain.Invalid("a", "b"), want: wrong + `"detail":"a: b","error":"a: b","field":"a"}`},
		{why: "a field of the first item", err: domain.AtIndex(domain.Invalid("a", "b"), 0), want: wrong + `"detail":"item 0: a: b","error":"item 0: a: b","field":"a","index":0}`},
		{why: "no field", err: domain.Invalid("", "<b>"), want: wrong + `"detail":"<b>","error":"<b>"}`},
		{why: "a field, wrapped", err: fmt.Errorf("sqlstore: %w", domain.Invalid("a", "b")), want: wrong + `"detail":"a: b","error":"a: b","field":"a"}`},
		{why: "a status", err: &StatusError{Status: 400, Detail: "d"}, want: wrong + `"detail":"d","error":"d"}`},
		{why: "a status to come back after", err: fmt.Errorf("x: %w", &StatusError{Status: 400, Detail: "d", RetryAfter: 1001 * time.Millisecond}), want: wrong + `"detail":"d","error":"d"}`, retryAfter: "2"},
		{why: "not found", err: fmt.Errorf("sqlstore: note x: %w", domain.ErrNotFound), want: nothing},
		{why: "a conflict in words of the domain", err: taken{}, want: clash + `"detail":"the <name> is taken","error":"the <name> is taken"}`},
		{why: "the same, wrapped", err: fmt.Errorf("a: %w", fmt.Errorf("b: %w", taken{})), want: clash + `"detail":"the <name> is taken","error":"the <name> is taken"}`},
		{why: "a conflict without words", err: domain.ErrConflict, want: clash + `"detail":` + present + `,"error":` + present + `}`},
		{why: "a conflict without words for clients", err: fmt.Errorf("memory: cancel 7: %w", domain.ErrConflict), want: clash + `"detail":` + present + `,"error":` + present + `}`},
		{why: "a conflict in words of a database", err: fmt.Errorf("store: %w", fmt.Errorf("%w: %w", domain.ErrConflict, errCellar)), want: clash + `"detail":` + present + `,"error":` + present + `}`},
		{why: "unauthorized", err: fmt.Errorf("tokens: %w", domain.ErrUnauthorized), want: who},
		{why: "unavailable", err: fmt.Errorf("%w: %w", domain.ErrUnavailable, errCellar), want: later, internal: true, retryAfter: "1"},
		{why: "a fault", err: errCellar, want: fault, internal: true},
		{why: "invalid, but nobody knows what", err: fmt.Errorf("%w: %w", domain.ErrInvalid, errCellar), want: fault, internal: true},
	} {
		t.Run(tc.why, func(t *testing.T) {
			w := httptest.NewRecorder()
			if internal := Problem(w, tc.err); internal != tc.internal {
				t.Errorf("Problem = %v, want %v", internal, tc.internal)
			}
			if got := w.Body.String(); got != tc.want+"\n" {
				t.Errorf("body %s\nwant %s", got, tc.want)
			}
			h := w.Header()
			if h.Get("Content-Type") != "application/problem+json" || h.Get("Retry-After") != tc.retryAfter || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", h)
			}
			if (h.Get("WWW-Authenticate") == "Bearer") != (w.Code == 401) {
				t.Errorf("%d with WWW-Authenticate %q", w.Code, h.Get("WWW-Authenticate"))
			}
		})
	}
	if got := (&StatusError{Detail: "d"}).Error(); got != "d" {
		t.Errorf("Error() = %q", got)
	}
}

func TestUser(t *testing.T) {
	if got := User(context.Background()); got != "" {
		t.Errorf("nobody is %q", got)
	}
	if got := User(WithUser(t.Context(), "ann")); got != "ann" {
		t.Errorf("ann is %q", got)
	}
}

func TestRemoteIP(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:9": "127.0.0.1", "[::1]:9": "::1", "[fe80::1%eth0]:9": "fe80::1%eth0", "@": "@", "": "", "/run/hub.sock": "/run/hub.sock",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = addr
		if got := RemoteIP(r); got != want {
			t.Errorf("RemoteIP(%q) = %q, want %q", addr, got, want)
		}
	}
}
