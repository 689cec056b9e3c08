package web

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/matric/matric-events/domain"
)

func TestOrigins(t *testing.T) {
	for _, tc := range []struct {
		why, allowed, origin, host string
		want                       bool
	}{
		{"no Origin, as scripts have none", "", "", "hub.example", true},
		{"the same host", "", "https://hub.example", "hub.example", true},
		{"the same host, TLS ended before us", "", "https://hub.example", "hub.example", true},
		{"the same host and port", "", "http://hub.example:8080", "hub.example:8080", true},
		{"the same host in another case", "", "HTTP://Hub.Example:8080", "hUB.example:8080", true},
		{"the default port that the browser leaves out", "", "https://hub.example", "hub.example:443", true},
		{"the default port that a client does not", "", "http://hub.example:80", "hub.example", true},
		{"the default port of the other scheme", "", "http://hub.example", "hub.example:443", false},
		{"another port", "", "http://hub.example:8081", "hub.example:8080", false},
		{"a port where we have none", "", "http://hub.example:8080", "hub.example", false},
		{"another host", "", "http://evil.example", "hub.example", false},
		{"a host that ends so", "", "http://evilhub.example", "hub.example", false},
		{"a host that begins so", "", "http://hub.example.evil.example", "hub.example", false},
		{"a subdomain", "", "http://a.hub.example", "hub.example", false},
		{"user and password in front", "", "http://hub.example@evil.example", "hub.example", false},
		{"user and password in front of ours", "", "http://u:p@hub.example", "hub.example", false},
		{"IPv6", "", "http://[::1]:8080", "[::1]:8080", true},
		{"IPv6 in another case", "", "http://[FE80::A]:8080", "[fe80::a]:8080", true},
		{"IPv6 without a port", "", "http://[::1]", "[::1]", true},
		{"IPv6 that ends like a default port", "", "http://[::80]", "[::80]", true},
		{"other IPv6", "", "http://[::2]:8080", "[::1]:8080", false},
		{"localhost is not 127.0.0.1", "", "http://localhost:8080", "127.0.0.1:8080", false},
		{"null, as sandboxed pages have", "", "null", "hub.example", false},
		{"null on a host of that name", "", "null", "null", false},
		{"a path is no origin", "", "http://hub.example/", "hub.example", false},
		{"two origins", "", "http://hub.example http://evil.example", "hub.example", false},
		{"no URL", "", "http://[::1", "[::1", false},
		{"no host", "", "file://", "", false},
		{"a name", "https://notes.example", "https://notes.example", "hub.example", true},
		{"a name in another case", "HTTPS://Notes.Example", "https://notes.EXAMPLE", "hub.example", true},
		{"a name beside others", "https://a.example, https://notes.example", "https://notes.example", "hub.example", true},
		{"a name with a slash behind", "https://notes.example/", "https://notes.example", "hub.example", true},
		{"a name with its default port", "https://notes.example:443", "https://notes.example", "hub.example", true},
		{"a name whose page says the default port", "https://notes.example", "https://notes.example:443", "hub.example", true},
		{"a name with another scheme", "https://notes.example", "http://notes.example", "hub.example", false},
		{"a name with another port", "https://notes.example", "https://notes.example:8443", "hub.example", false},
		{"a name and our own host", "https://notes.example", "http://hub.example", "hub.example", true},
		{"an application's scheme", "tauri://localhost", "tauri://localhost", "hub.example", true},
		{"an application's scheme has no default port", "tauri://localhost:80", "tauri://localhost", "hub.example", false},
		{"an extension", "chrome-extension://abcdef", "chrome-extension://abcdef", "hub.example", true},
		{"any", "*", "http://evil.example", "hub.example", true},
		{"any, and null", " * ", "null", "hub.example", true},
		{"empty entries are none", ", ,", "http://evil.example", "hub.example", false},
	} {
		t.Run(tc.why, func(t *testing.T) {
			o, err := ParseOrigins(strings.Split(tc.allowed, ","))
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = tc.host
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			if got := o.Allow(r); got != tc.want {
				t.Errorf("Allow = %v, want %v", got, tc.want)
			}
			w := httptest.NewRecorder()
			o.CORS(w.Header(), r)
			want := tc.origin
			if !tc.want {
				want = ""
			}
			h := w.Header()
			if got := h.Get("Access-Control-Allow-Origin"); got != want || h.Get("Vary") != "Origin" {
				t.Errorf("CORS allows %q and varies by %q; want %q", got, h.Get("Vary"), want)
			}
			if h.Get("Access-Control-Allow-Credentials") != "" || (h.Get("Access-Control-Expose-Headers") != "") != (want != "") {
				t.Errorf("headers %v", h)
			}
		})
	}
}

func TestParseOriginsRefuses(t *testing.T) {
	for _, s := range []string{
		"notes.example", "null", "https://", "https://notes.example/path", "https://notes.example//", "https://notes.example?x", "https://u@notes.example",
		"https://*.example", "*.example", "//notes.example", "https://[::1", "notes.example:443", "https://notes.example#x",
	} {
		o, err := ParseOrigins([]string{"https://good.example", s})
		if fe, ok := errors.AsType[*domain.FieldError](err); !ok || fe.Field != "allowed-origins" || o.any || o.names != nil {
			t.Errorf("ParseOrigins(%q) = %+v, %v", s, o, err)
		}
	}
}
