package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/httpapi"
)

// streams are the paths that take a token in the query.
var streams = []string{"/api/v1/ws", "/api/v1/events", "/api/v1/events/poll"}

func requireAuth(_ *httpapi.Services, o *httpapi.Options) { o.RequireAuth = true }

func TestAuthOnStreams(t *testing.T) {
	for _, tc := range []struct {
		why, query string
		headers    []string
		user       string
		status     int // zero for one that passes
		required   int // the same with --require-auth
	}{
		{why: "absent", required: 401},
		{why: "valid", headers: []string{"Bearer letmein"}, user: "ann"},
		{why: "valid, scheme in another case", headers: []string{"bEaReR letmein"}, user: "ann"},
		{why: "valid with more space", headers: []string{"Bearer   letmein "}, user: "ann"},
		{why: "not valid", headers: []string{"Bearer letmeout"}, status: 401, required: 401},
		{why: "in another case", headers: []string{"Bearer LETMEIN"}, status: 401, required: 401},
		{why: "the start of one", headers: []string{"Bearer letme"}, status: 401, required: 401},
		{why: "another scheme", headers: []string{"Basic letmein"}, status: 401, required: 401},
		{why: "no scheme", headers: []string{"letmein"}, status: 401, required: 401},
		{why: "no token", headers: []string{"Bearer"}, status: 401, required: 401},
		{why: "an empty header", headers: []string{""}, status: 401, required: 401},
		{why: "two headers", headers: []string{"Bearer letmein", "Bearer letmein"}, status: 401, required: 401},
		{why: "valid in the query", query: "token=letmein", user: "ann"},
		{why: "valid in the query among others", query: "types=job&token=letmein&limit=5", user: "ann"},
		{why: "percent-encoded", query: "t%6Fken=letm%65in", user: "ann"},
		{why: "not valid in the query", query: "token=letmeout", status: 401, required: 401},
		{why: "empty in the query", query: "token=", status: 401, required: 401},
		{why: "a query that cannot be read", query: "token=letmein;x=1", status: 400, required: 400},
		{why: "a query with a bad escape", query: "token=letmein%zz", status: 400, required: 400},
		{why: "both, the header goes first", query: "token=letmeout", headers: []string{"Bearer letmein"}, user: "ann"},
		{why: "both, a bad header is not made good", query: "token=letmein", headers: []string{"Bearer x"}, status: 401, required: 401},
	} {
		for _, path := range streams {
			for name, edit := range map[string]func(*httpapi.Services, *httpapi.Options){"": nil, " when required": requireAuth} {
				t.Run(tc.why+name+" "+path, func(t *testing.T) {
					r := open(t, edit)
					want := tc.status
					if edit != nil {
						want = tc.required
					}
					req := request("GET", path+"?"+tc.query, "")
					req.Header["Authorization"] = tc.headers
					w := r.send(req)
					got := r.passed()
					if want != 0 {
						mustProblem(t, w, want)
						if challenge := w.Header().Get("WWW-Authenticate"); want == 401 && challenge != "Bearer" {
							t.Errorf("WWW-Authenticate = %q", challenge)
						}
						if got != (seen{}) || strings.Contains(w.Body.String(), "letme") {
							t.Errorf("passed on %+v, answered %s", got, w.Body)
						}
						return
					}
					if w.Code != http.StatusOK || got.User != tc.user {
						t.Errorf("%d, user %q, want %q", w.Code, got.User, tc.user)
					}
					if strings.Contains(got.URL+got.RequestURI+got.Authorization, "letme") || strings.Contains(got.URL, "token") {
						t.Errorf("the token was passed on: %+v", got)
					}
					if strings.Contains(tc.query, "types=job") && got.URL != path+"?limit=5&types=job" {
						t.Errorf("passed on %s", got.URL)
					}
				})
			}
		}
	}
}

func TestQueryTokenNowhereElse(t *testing.T) {
	r := open(t, requireAuth)
	for _, target := range []string{notesPath, jobsPath, hooksPath, "/api/v1/queue", "/api/v1/connections", notesPath + "/" + unknownID} {
		mustProblem(t, r.send(request("GET", target+"?token=letmein", "")), http.StatusUnauthorized)
		if w := r.send(request("GET", target, "", "Authorization", "Bearer letmein")); w.Code == http.StatusUnauthorized {
			t.Errorf("GET %s with a token = %d", target, w.Code)
		}
	}
	for _, target := range []string{workerPath, notePath, notesPath, jobsPath, hooksPath} {
		mustProblem(t, r.send(request("POST", target+"?token=letmein", "{}")), http.StatusUnauthorized)
	}
	r = open(t, nil)
	mustProblem(t, r.send(request("GET", notesPath, "", "Authorization", "Bearer x")), http.StatusUnauthorized)
	r.call(t, "GET", notesPath+"?token=x", "", http.StatusOK, nil) // is none here
}

func TestOpenPaths(t *testing.T) {
	r := open(t, requireAuth)
	for _, path := range []string{"/", "/livez", "/readyz", "/version", "/openapi.yaml", "/asyncapi.yaml", "/metrics"} {
		for _, method := range []string{"GET", "HEAD"} {
			if w := r.send(request(method, path, "")); w.Code != http.StatusOK {
				t.Errorf("%s %s without a token = %d", method, path, w.Code)
			}
		}
	}
}

// down is an authenticator that does not work.
type down struct{}

func (down) Authenticate(context.Context, string) (string, error) { return "", errSecret }

func TestAuthenticatorFails(t *testing.T) {
	r := open(t, func(s *httpapi.Services, _ *httpapi.Options) { s.Auth = down{} })
	mustProblem(t, r.send(request("GET", notesPath, "", "Authorization", "Bearer letmein")), http.StatusInternalServerError)
	if told := r.told(); len(told) != 1 || !errors.Is(told[0], errSecret) {
		t.Errorf("told %v", told)
	}
}
