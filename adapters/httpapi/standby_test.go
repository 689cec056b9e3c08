package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/httpapi"
)

func TestStandby(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/livez", 200, `{"status":"ok"}`},
		{"HEAD", "/livez", 200, ""},
		{"GET", "/readyz", 503, `{"status":"standby"}`},
		{"GET", "/", 503, `"detail":"this server stands by for another one"`},
		{"POST", "/api/v1/notes", 503, `"status":503`},
		{"GET", "/api/v1/events", 503, `"type":"about:blank"`},
	} {
		w := httptest.NewRecorder()
		httpapi.Standby().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, http.NoBody))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s %s = %d %s; want %d %s", c.method, c.path, w.Code, w.Body, c.status, c.body)
		}
		if other := c.path == "/" || strings.HasPrefix(c.path, "/api/"); other != (w.Header().Get("Retry-After") == "1" && w.Header().Get("Content-Type") == "application/problem+json") {
			t.Errorf("%s: headers %v", c.path, w.Header())
		}
	}
}
