package httpapi

import (
	"net/http"
	"strings"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

// queryToken holds the paths that browsers cannot send headers to.
var queryToken = map[string]bool{"/api/v1/ws": true, "/api/v1/events": true, "/api/v1/events/poll": true}

// authenticate returns the request with its user attached and its token removed, so that nothing behind can log it. No
// token is anonymous, unless one is required; one that is not valid is ErrUnauthorized.
func (a *api) authenticate(r *http.Request, path string) (*http.Request, error) {
	token, present := "", false
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, credentials, _ := strings.Cut(header, " ")
		present = true
		if strings.EqualFold(scheme, "Bearer") {
			token = strings.TrimSpace(credentials)
		}
	}
	if q := r.URL.Query(); queryToken[path] && q.Has("token") {
		if !present {
			token, present = q.Get("token"), true
		}
		q.Del("token")
		r = r.Clone(r.Context())
		r.URL.RawQuery, r.RequestURI = q.Encode(), ""
	}
	if !present {
		if a.opts.RequireAuth {
			return nil, domain.ErrUnauthorized
		}
		return r, nil
	}
	user, err := a.Auth.Authenticate(r.Context(), token)
	if err != nil {
		return nil, err
	}
	return r.WithContext(web.WithUser(r.Context(), user)), nil
}
