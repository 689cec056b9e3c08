package webhook

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/matric/matric-events/domain"
)

// MaxURL bounds a URL, in bytes.
const MaxURL = 2048

// Rules are what the operator allows a URL to be.
type Rules struct {
	// AllowHTTP admits plain http.
	AllowHTTP bool
	// Blocked reports whether an address must not be connected to. It is asked about literal addresses only; what a name
	// resolves to is checked when connecting. Nil blocks none, for URLs that were checked before.
	Blocked func(netip.Addr) bool
}

// URL is where deliveries go: absolute, http or https, with a host that is an ASCII name or an IP address in its usual
// form. The zero URL is absent.
type URL struct{ text, host string }

// ParseURL checks a URL. Errors are FieldErrors of the field "url" which never repeat the URL: its path and query may hold
// the receiver's secrets.
//
// A host in any notation that a URL parser or a resolver takes for an IP address (decimal, octal, hexadecimal, with fewer
// than four parts, with a trailing dot) is that address: it is asked about, and replaced by the usual form so that
// nothing on the way to the socket can read it differently.
func ParseURL(text string, rules Rules) (URL, error) {
	if len(text) > MaxURL {
		return URL{}, errTooLong()
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return URL{}, badURL("must not contain spaces, control characters or backslashes")
	}
	u, err := url.Parse(text)
	if err != nil {
		return URL{}, badURL("is not a URL")
	}
	if err := checkParts(u, text, rules); err != nil {
		return URL{}, err
	}
	port := u.Port()
	host, err := canonicalHost(u.Hostname(), strings.HasPrefix(u.Host, "["), rules.Blocked)
	if err != nil {
		return URL{}, err
	}
	if u.Host = host; strings.Contains(host, ":") {
		u.Host = "[" + host + "]"
	}
	if port != "" {
		u.Host += ":" + port
	}
	stored := u.String() // escapes what was not, and so may be longer
	if len(stored) > MaxURL {
		return URL{}, errTooLong()
	}
	return URL{text: stored, host: u.Scheme + "://" + u.Host}, nil
}

// checkParts checks everything but the host's name.
func checkParts(u *url.URL, text string, rules Rules) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return badURL("must start with https://")
	case u.Scheme == "http" && !rules.AllowHTTP:
		return badURL("must be https; the server does not allow plain http")
	case u.User != nil:
		return badURL("must not contain a user name or password; use headers")
	case u.Opaque != "" || u.Hostname() == "":
		return badURL("must name a host")
	case strings.Contains(text, "#"):
		return badURL("must not have a fragment, which is never sent")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return badURL("must have a port from 1 to 65535, or none")
		}
	}
	return nil
}

// String returns scheme and host only, fit for logs.
func (u URL) String() string { return u.host }

// Reveal returns the whole URL, path and query included.
func (u URL) Reveal() string { return u.text }

// IsZero reports whether the URL is absent.
func (u URL) IsZero() bool { return u == URL{} }

func errTooLong() error { return badURL("must have at most %d bytes", MaxURL) }

func badURL(format string, args ...any) *domain.FieldError {
	return domain.Invalid("url", format, args...)
}
