package web

import (
	"net/url"
	"strings"
	"testing"
)

// A page that is let in is of the host itself, or one of those named: its scheme, name and port, nothing in front and nothing
// behind. What is named is let in.
func FuzzOrigins(f *testing.F) {
	for _, seed := range [][3]string{
		{"", "https://hub.example", "hub.example"},
		{"", "http://hub.example:80", "HUB.example"},
		{"https://notes.example/", "HTTPS://Notes.Example:443", "hub.example"},
		{"*", "null", "hub.example"},
		{"https://*.example", "https://a.example", ""},
		{"", "null", "null"},
		{"", "https://hub.example@evil.example", "hub.example"},
		{"", "https://evil.example#hub.example", "hub.example"},
		{"", "https://evil.example\\@hub.example", "hub.example"},
		{"", "http://[::1]:80", "[::1]"},
		{"", "://", ""},
		{"", "https://hub.example/", "hub.example"},
		{"app://notes", "app://notes", "hub.example"},
		{"http://a,http://b", "http://b", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, named, origin, host string) {
		o, err := ParseOrigins([]string{named})
		if err != nil {
			if !strings.Contains(err.Error(), "allowed-origins") {
				t.Fatalf("%q: %v", named, err)
			}
			o = Origins{}
		} else if named = strings.TrimSpace(named); !o.AllowPage(strings.TrimSuffix(named, "/"), "") {
			t.Fatalf("%q is named and not allowed", named)
		}
		if o.any || origin == "" || !o.AllowPage(origin, host) {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || u.Path != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme == "" || u.Host == "" {
			t.Fatalf("%q is allowed, and no origin", origin)
		}
		bare := func(s string) string {
			s = strings.ToLower(s)
			if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; port != "" {
				s = strings.TrimSuffix(s, port)
			}
			return s
		}
		if own := bare(u.Host) == bare(host); own {
			return
		}
		if n, err := url.Parse(named); err != nil || n.Scheme != u.Scheme || bare(n.Host) != bare(u.Host) {
			t.Fatalf("%q is allowed for host %q with %q named", origin, host, named)
		}
	})
}
