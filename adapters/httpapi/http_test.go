package httpapi_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/adapters/httpapi"
)

// gets are the paths that GET works on, once filled.
var gets = []string{
	"/", "/livez", "/readyz", "/version", "/openapi.yaml", "/asyncapi.yaml", "/metrics", "/api/v1/ws", "/api/v1/events",
	"/api/v1/events/poll", "/api/v1/queue", "/api/v1/connections", notesPath, notesPath + "/NOTE", jobsPath, jobsPath + "/JOB", hooksPath,
	hooksPath + "/HOOK", hooksPath + "/HOOK/deliveries", deliverPath + "/DELIVERY",
}

func TestHeadWhereverGet(t *testing.T) {
	r := open(t, nil)
	server := httptest.NewServer(r.handler)
	defer server.Close()
	fill := r.filled(t)
	var delivery object
	r.call(t, "POST", fill.Replace(hooksPath+"/HOOK/test"), "", http.StatusOK, &delivery)
	for _, path := range gets {
		path = strings.Replace(fill.Replace(path), "DELIVERY", delivery["id"].(string), 1)
		get, body := exchange(t, server, "GET", path)
		head, none := exchange(t, server, "HEAD", path)
		if get.StatusCode != http.StatusOK || head.StatusCode != http.StatusOK || len(body) == 0 || len(none) > 0 {
			t.Errorf("%s: GET %d with %d bytes, HEAD %d with %d", path, get.StatusCode, len(body), head.StatusCode, len(none))
		}
		if diff := cmp.Diff(get.Header["Content-Type"], head.Header["Content-Type"]); diff != "" {
			t.Errorf("%s: Content-Type (-get +head):\n%s", path, diff)
		}
	}
	if head, body := exchange(t, server, "HEAD", notesPath+"/"+unknownID); head.StatusCode != http.StatusNotFound || len(body) > 0 {
		t.Errorf("HEAD of what is not there = %d with %d bytes", head.StatusCode, len(body))
	}
}

func exchange(t *testing.T, server *httptest.Server, method, path string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func TestMethodNotAllowed(t *testing.T) {
	r := open(t, nil)
	for call, allow := range map[string][]string{
		"DELETE " + notesPath:                                 {"GET", "HEAD", "POST"},
		"POST " + notesPath + "/" + unknownID:                 {"DELETE", "GET", "HEAD", "PATCH"},
		"PUT " + notesPath + "/" + unknownID:                  {"DELETE", "GET", "HEAD", "PATCH"},
		"GET " + workerPath:                                   {"POST"},
		"HEAD " + notePath:                                    {"POST"},
		"GET " + jobsPath + "/" + unknownID + "/cancel":       {"POST"},
		"POST /api/v1/events":                                 {"GET", "HEAD"},
		"POST /livez":                                         {"GET", "HEAD"},
		"GET /api/v1/connections/" + unknownID:                {"DELETE"},
		"GET " + hooksPath + "/" + unknownID + "/test":        {"POST"},
		"POST " + deliverPath + "/" + unknownID:               {"GET", "HEAD"},
		"BREW " + hooksPath:                                   {"GET", "HEAD", "POST"},
		"PUT " + hooksPath + "/" + unknownID:                  {"DELETE", "GET", "HEAD", "PATCH"},
		"DELETE " + deliverPath + "/" + unknownID:             {"GET", "HEAD"},
		"GET " + deliverPath + "/" + unknownID + "/redeliver": {"POST"},
	} {
		method, path, _ := strings.Cut(call, " ")
		w := r.send(request(method, path, ""))
		mustProblem(t, w, http.StatusMethodNotAllowed)
		got := strings.Split(w.Header().Get("Allow"), ", ")
		if got = slices.DeleteFunc(got, func(m string) bool { return m == "OPTIONS" }); !slices.Equal(got, allow) {
			t.Errorf("%s: Allow %v, want %v", call, got, allow)
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	r := open(t, nil)
	for _, path := range []string{
		"/nope", "/api", "/api/v1", "/api/v1/", "/api/v2/notes", "/API/V1/NOTES", notesPath + "/", "/livez/", "//livez", "/api/v1//notes",
		notesPath + "/" + unknownID + "/", notesPath + "/" + unknownID + "/x", notesPath + "/a%2Fb", notesPath + "/%2F", "/api/v1/../v1/notes",
		jobsPath + "/" + unknownID + "%2Fcancel/x", "/favicon.ico", "/%00", "/%ff",
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
			p := mustProblem(t, r.send(request(method, path, "")), http.StatusNotFound)
			if !strings.Contains(p.Detail, "GET /") {
				t.Errorf("%s: detail %q", path, p.Detail)
			}
		}
	}
	mustProblem(t, r.send(request("GET", notesPath+"/a%20b", "")), http.StatusBadRequest)
	mustProblem(t, r.send(request("GET", notesPath+"/%00", "")), http.StatusBadRequest)
}

func TestCORS(t *testing.T) {
	origins, err := httpapi.ParseOrigins([]string{"https://notes.example"})
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, func(_ *httpapi.Services, o *httpapi.Options) { o.Origins, o.RequireAuth = origins, true })
	for _, tc := range []struct {
		origin  string
		allowed bool
	}{
		{"", false},
		{"https://notes.example", true},
		{"http://example.com", true}, // httptest's Host
		{"https://evil.example", false},
		{"null", false},
	} {
		for _, call := range []struct {
			method, path string
			status       int
		}{
			{"OPTIONS", notesPath, 204}, // a preflight has no token
			{"OPTIONS", notesPath + "/" + unknownID, 204},
			{"OPTIONS", "/api/v1/events", 204},
			{"OPTIONS", "/livez", 204},
			{"GET", "/livez", 200},
			{"GET", notesPath, 401}, // pages may read errors, too
			{"GET", "/nope", 404},
		} {
			req := request(call.method, call.path, "")
			if tc.origin != "" {
				req.Header.Set("Origin", tc.origin)
			}
			w := r.send(req)
			h := w.Header()
			allow, expose, methods := h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Expose-Headers"), h.Get("Access-Control-Allow-Methods")
			if w.Code != call.status || h.Get("Vary") != "Origin" {
				t.Errorf("%s %s from %q = %d, Vary %q", call.method, call.path, tc.origin, w.Code, h.Get("Vary"))
			}
			if tc.allowed && (allow != tc.origin || !strings.Contains(expose, "Link")) || !tc.allowed && allow+expose != "" {
				t.Errorf("%s %s from %q: allowed %q, exposed %q", call.method, call.path, tc.origin, allow, expose)
			}
			if preflight := tc.allowed && call.method == "OPTIONS"; preflight != (methods != "") {
				t.Errorf("%s %s from %q: methods %q", call.method, call.path, tc.origin, methods)
			}
			if call.method == "OPTIONS" {
				checkPreflight(t, w, tc.allowed)
			}
		}
	}
}

func checkPreflight(t *testing.T, w *httptest.ResponseRecorder, allowed bool) {
	t.Helper()
	h := w.Header()
	if w.Body.Len() > 0 || h.Get("Allow") == "" {
		t.Errorf("preflight with body %q, Allow %q", w.Body, h.Get("Allow"))
	}
	for _, name := range []string{"Authorization", "Content-Type", "Last-Event-ID", "Traceparent"} {
		if strings.Contains(h.Get("Access-Control-Allow-Headers"), name) != allowed {
			t.Errorf("headers allowed: %q", h.Get("Access-Control-Allow-Headers"))
		}
	}
	if strings.Contains(h.Get("Access-Control-Allow-Methods"), "PATCH") != allowed {
		t.Errorf("methods allowed: %q", h.Get("Access-Control-Allow-Methods"))
	}
}

func TestPanic(t *testing.T) {
	r := open(t, func(s *httpapi.Services, _ *httpapi.Options) {
		s.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errSecret) })
		s.Poll = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	})
	w := r.send(request("GET", "/metrics", ""))
	mustProblem(t, w, http.StatusInternalServerError)
	if strings.Contains(w.Body.String(), "SELECT") || strings.Contains(w.Body.String(), ".go") {
		t.Errorf("the panic got out: %s", w.Body)
	}
	told := r.told()
	if len(told) != 1 || !strings.Contains(told[0].Error(), "SELECT") || !strings.Contains(told[0].Error(), "http_test.go") {
		t.Errorf("told %v, want the panic and its stack", told)
	}
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("a handler that cuts the connection: %v", err)
		}
		if len(r.told()) != 1 {
			t.Errorf("told %v", r.told())
		}
	}()
	r.send(request("GET", "/api/v1/events/poll", ""))
}
