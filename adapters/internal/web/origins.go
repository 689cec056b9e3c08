package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/matric/matric-events/domain"
)

// Origins decides which web pages may use the server from a browser: those of its own host, and those named.
type Origins struct {
	any   bool
	names []string
}

// ParseOrigins reads a list such as https://notes.example, or *, for any.
func ParseOrigins(list []string) (Origins, error) {
	var o Origins
	for _, s := range list {
		switch s = strings.TrimSpace(s); s {
		case "":
		case "*":
			o.any = true
		default:
			name, _, ok := canonical(strings.TrimSuffix(s, "/"))
			if !ok || strings.Contains(name, "*") {
				return Origins{}, domain.Invalid("allowed-origins", "%q is no origin; want scheme://host[:port] or *", s)
			}
			o.names = append(o.names, name)
		}
	}
	return o, nil
}

// canonical returns an origin in lower case without its scheme's default port, as browsers send it (RFC 6454, section
// 6.2), and its scheme. An opaque origin, which browsers send as null, has neither.
func canonical(origin string) (name, scheme string, ok bool) {
	origin = strings.ToLower(origin)
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || origin != u.Scheme+"://"+u.Host {
		return "", "", false
	}
	return u.Scheme + "://" + withoutDefaultPort(u.Scheme, u.Host), u.Scheme, true
}

func withoutDefaultPort(scheme, host string) string {
	switch scheme {
	case "http":
		return strings.TrimSuffix(host, ":80")
	case "https":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}

// Allow reports whether a request may come from the page that its Origin header names.
func (o Origins) Allow(r *http.Request) bool { return o.AllowPage(r.Header.Get("Origin"), r.Host) }

// AllowPage reports whether a request to a host may come from a page of an origin. No origin, as scripts have none, is
// allowed. The scheme of the server's own pages is not looked at: a proxy may end TLS.
func (o Origins) AllowPage(origin, host string) bool {
	if origin == "" || o.any {
		return true
	}
	name, scheme, ok := canonical(origin)
	return ok && (slices.Contains(o.names, name) ||
		name == scheme+"://"+withoutDefaultPort(scheme, strings.ToLower(host)))
}

// CORS adds the headers that let an allowed page read the answer.
func (o Origins) CORS(h http.Header, r *http.Request) {
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" && o.Allow(r) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Link, Location, Retry-After, Mcp-Session-Id")
	}
}
