package httpapi

import (
	"net/http"
	"strings"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

// queryToken holds the paths that browsers cannot send headers to.
var queryToken = map[string]bool{PathWebSocket: true, PathEvents: true, "/api/v1/events/poll": true}

// authenticate returns the request with its user attached and its token removed, so that nothing behind can log it. No
// token is anonymous, unless one is required; one that is not valid is ErrUnauthorized. The header goes before the query.
func (a *api) authenticate(r *http.Request, path string) (*http.Request, error) {
	headers, q := r.Header.Values("Authorization"), r.URL.Query()
	inQuery := queryToken[path] && q.Has("token")
	token := ""
	switch {
	case len(headers) > 0:
		token = bearer(headers)
	case inQuery:
		token = q.Get("token")
	case a.opts.RequireAuth:
		return nil, domain.ErrUnauthorized
	default:
		return r, nil
	}
	user, err := a.Auth.Authenticate(r.Context(), token)
	if err != nil {
		return nil, err
	}
	r = r.Clone(web.WithUser(r.Context(), user))
	r.Header.Del("Authorization")
	if inQuery {
		q.Del("token")
		r.URL.RawQuery = q.Encode()
		r.RequestURI = r.URL.RequestURI()
	}
	return r, nil
}

// bearer returns the token of a request's Authorization header; empty, which no token is, when there are several of them
// or it is of another scheme (RFC 6750, section 2.1).
func bearer(headers []string) string {
	scheme, token, _ := strings.Cut(headers[0], " ")
	if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
