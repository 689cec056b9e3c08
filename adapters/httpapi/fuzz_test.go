package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/httpapi"
)

// FuzzBodies gives every route that reads a JSON object any bytes: each answers, a refusal is a problem of the request, and
// nothing is taken for a fault of the server's own.
func FuzzBodies(f *testing.F) {
	for i, route := range bodies {
		for _, body := range []string{route.good, `{"shoe_size":9,` + route.good[1:], route.good[:len(route.good)-1], route.good + "{}", "", "null", "\ufeff{}", `{"title":"\ud800","tags":["\u0000"]}`} {
			f.Add(uint8(i), body)
		}
	}
	f.Add(uint8(2), `{"title":"a","content":"[[b]] [[c|d]]","tags":["x","X"],"user_id":"ann"}`)
	f.Add(uint8(4), `{"job_type":"x_y","priority":5}`)
	f.Add(uint8(4), `{"job_type":"x_y","max_attempts":0}`)
	f.Add(uint8(5), `{"url":"http://169.254.169.254/"}`)
	f.Add(uint8(7), `{"overlap_seconds":1e3}`)
	f.Add(uint8(8), `{"status":"pending","since":"2026"}`)
	r := open(f, nil)
	fill := r.filled(f)
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		route := bodies[int(which)%len(bodies)]
		w := r.send(request(route.method, fill.Replace(route.path), fill.Replace(body)))
		mustHaveAnswered(t, r, w.Code, w.Header(), w.Body.Bytes())
	})
}

// lists are what takes parameters in the query.
var lists = []string{notesPath, jobsPath, hooksPath, hooksPath + "/HOOK/deliveries", "/api/v1/connections", "/api/v1/queue"}

// FuzzQueries gives every list any query: each answers, a refusal names the parameter, and where there is more the next page is
// one.
func FuzzQueries(f *testing.F) {
	for i := range lists {
		for _, query := range []string{
			"", "limit=1", "limit=0", "limit=501", "limit=1e1", "limit=+1", "limit=", "cursor=x", "cursor=" + unknownID, "limit=1&cursor=NOTE", "limit=1&cursor=JOB", "%", "a=%zz", "a;b", "limit=1&limit=2", "q=%00", "q=%ff",
		} {
			f.Add(uint8(i), query)
		}
	}
	for i, query := range map[uint8]string{0: `q="%20OR%20*&tag=%25&links_to=NOTE`, 1: "note_id=NOTE&job_type=note_analysis&state=completed", 3: "status=dead,+pending&event_type=job.failed,nope", 4: "sort=lag&transport=sse&user=&limit=3"} {
		f.Add(i, query)
	}
	r := open(f, nil)
	fill := r.filled(f)
	_ = r.filled(f) // so that there are two pages
	f.Fuzz(func(t *testing.T, which uint8, query string) {
		query = fill.Replace(query)
		if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }) {
			return // net/http takes no such request
		}
		path := fill.Replace(lists[int(which)%len(lists)])
		w := r.send(request("GET", path+"?"+query, ""))
		mustHaveAnswered(t, r, w.Code, w.Header(), w.Body.Bytes())
		var p problem
		if w.Code != http.StatusOK {
			_ = json.Unmarshal(w.Body.Bytes(), &p)
			if _, err := url.ParseQuery(query); err == nil && !slices.Contains([]string{"limit", "cursor", "q", "tag", "links_to", "note_id", "job_type", "state", "status", "event_type", "sort", "transport"}, p.Field) {
				t.Fatalf("GET %s?%s: %d %+v", path, query, w.Code, p)
			}
			return
		}
		if next, ok := strings.CutSuffix(w.Header().Get("Link"), `>; rel="next"`); ok {
			if w := r.send(request("GET", strings.TrimPrefix(next, "<"), "")); w.Code != http.StatusOK {
				t.Fatalf("GET %s?%s: the next page is %s, which is %d %s", path, query, next, w.Code, w.Body)
			}
		}
	})
}

// FuzzAuthorization lets nobody in but who brings the one token, in the one header there is or, where browsers cannot send
// one, in the query; and nothing behind sees it.
func FuzzAuthorization(f *testing.F) {
	for _, seed := range [][2]string{
		{"Bearer letmein", ""}, {"bearer  letmein ", ""}, {"", "letmein"}, {"Bearer wrong", "letmein"}, {"Basic bGV0bWVpbg==", "letmein"}, {"Bearer", ""}, {"letmein", ""}, {"Bearer letmein, Bearer letmein", ""}, {"", "wrong"}, {"", "letmein&token=wrong"}, {"", "wrong&token=letmein"}, {"", "%6cetmein&types=job"},
	} {
		f.Add(seed[0], seed[1])
	}
	r := open(f, func(_ *httpapi.Services, o *httpapi.Options) { o.RequireAuth = true })
	f.Fuzz(func(t *testing.T, header, query string) {
		if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }) || strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return // net/http takes no such request
		}
		for _, path := range []string{"/api/v1/events", "/api/v1/queue"} {
			target := path
			if query != "" {
				target += "?token=" + query
			}
			req := request("GET", target, "")
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			r.mu.Lock()
			r.last = seen{}
			r.mu.Unlock()
			w := r.send(req)
			mustHaveAnswered(t, r, w.Code, w.Header(), w.Body.Bytes())
			q, err := url.ParseQuery("token=" + query)
			scheme, token, _ := strings.Cut(header, " ")
			may := strings.EqualFold(scheme, "bearer") && strings.TrimSpace(token) == "letmein"
			if header == "" && query != "" && path == "/api/v1/events" {
				may = err == nil && q.Get("token") == "letmein"
			}
			if passed := w.Code == http.StatusOK; passed && !may || !passed && may && (query == "" || err == nil) {
				t.Fatalf("Authorization %q, token %q on %s: %d", header, query, path, w.Code)
			}
			if behind := r.passed(); behind.Authorization != "" || may && header == "" && (hasToken(behind.URL) || hasToken(behind.RequestURI)) {
				t.Fatalf("Authorization %q, token %q: %+v", header, query, behind)
			}
		}
	})
}

// hasToken reports whether one of the parameters of a path is a token, however it is written.
func hasToken(path string) bool {
	u, err := url.Parse(path)
	return err != nil || u.Query().Has("token")
}

func mustHaveAnswered(t *testing.T, r *rig, status int, h http.Header, body []byte) {
	t.Helper()
	if status < 200 || status >= 500 {
		t.Fatalf("%d %s", status, body)
	}
	if status >= 400 {
		mustAnswerProblem(t, body, status)
	} else if len(body) > 0 && h.Get("Content-Type") == "application/json" && !json.Valid(body) {
		t.Fatalf("%d %s", status, body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) > 0 {
		t.Errorf("taken for faults: %v", r.faults)
		r.faults = nil
	}
}
