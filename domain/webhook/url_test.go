package webhook_test

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// notPublic stands in for the guard of the sender: these tests are about what is recognised as an address.
func notPublic(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}

func TestParseURLAccepts(t *testing.T) {
	for _, tt := range []struct{ reason, in, want string }{
		{"plain", "https://example.com/hook?token=x&b", "https://example.com/hook?token=x&b"},
		{"no path", "https://example.com", "https://example.com"},
		{"port", "https://example.com:8443/", "https://example.com:8443/"},
		{"http where the operator allows it", "http://example.com/", "http://example.com/"},
		{"case of scheme and host means nothing", "HTTPS://Example.COM/Path", "https://example.com/Path"},
		{"escapes in the path stay", "https://example.com/a%2Fb%20c", "https://example.com/a%2Fb%20c"},
		{"a name of one part", "https://receiver/", "https://receiver/"},
		{"a name with a trailing dot", "https://example.com./", "https://example.com./"},
		{"an international name in ASCII", "https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"},
		{"underscores, as container networks have", "https://my_receiver/", "https://my_receiver/"},
		{"a name that begins with a number", "https://1.example.com/", "https://1.example.com/"},
		{"a name that looks hexadecimal", "https://0xg/", "https://0xg/"},
		{"a name that ends in letters and digits", "https://example.x1/", "https://example.x1/"},
		{"a public address", "https://8.8.8.8/", "https://8.8.8.8/"},
		{"a public address in decimal", "https://134744072/", "https://8.8.8.8/"},
		{"a public address in octal", "https://010.010.010.010/", "https://8.8.8.8/"},
		{"a public address in hexadecimal", "https://0X08080808:444/", "https://8.8.8.8:444/"},
		{"a public address with a trailing dot", "https://8.8.8.8./", "https://8.8.8.8/"},
		{"a public IPv6 address", "https://[2606:4700:0:0::1111]:8443/x", "https://[2606:4700::1111]:8443/x"},
	} {
		u, err := webhook.ParseURL(tt.in, webhook.Rules{AllowHTTP: true, Blocked: notPublic})
		if err != nil || u.Reveal() != tt.want {
			t.Errorf("%s: ParseURL(%q) = %q, %v; want %q", tt.reason, tt.in, u.Reveal(), err, tt.want)
			continue
		}
		if again, err := webhook.ParseURL(u.Reveal(), webhook.Rules{AllowHTTP: true}); err != nil || again != u {
			t.Errorf("%s: the stored form reads as %q, %v", tt.reason, again.Reveal(), err)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for _, tt := range []struct{ reason, in string }{
		{"nothing", ""},
		{"a word", "hook"},
		{"a path", "/hook"},
		{"other scheme", "ftp://example.com/"},
		{"script", "javascript:alert(1)"},
		{"plain http", "http://example.com/"},
		{"no host", "https:///hook"},
		{"opaque", "https:example.com"},
		{"port only", "https://:443/"},
		{"user", "https://user@example.com/"},
		{"user and password", "https://user:pass@example.com/"},
		{"empty user", "https://@example.com/"},
		{"fragment", "https://example.com/#x"},
		{"empty fragment", "https://example.com/#"},
		{"port 0", "https://example.com:0/"},
		{"port too large", "https://example.com:65536/"},
		{"port missing behind its colon", "https://example.com:/"},
		{"port in words", "https://example.com:https/"},
		{"space in the path", "https://example.com/a b"},
		{"space in front", " https://example.com/"},
		{"newline", "https://example.com/\n"},
		{"NUL", "https://example.com/\x00"},
		{"backslash, which some take for a slash", `https://example.com\@127.0.0.1/`},
		{"empty part of a name", "https://example..com/"},
		{"two trailing dots", "https://example.com../"},
		{"dot only", "https://./"},
		{"part too long", "https://" + strings.Repeat("a", 64) + ".example/"},
		{"name too long", "https://" + strings.Repeat("a.", 127) + "example/"},
		{"URL too long", "https://example.com/" + strings.Repeat("a", 2048)},
		{"URL too long once it is escaped", "https://example.com/" + strings.Repeat("é", 500)},
		{"star", "https://*.example.com/"},
		{"international name in its own letters", "https://bücher.example/"},
		{"bad escape", "https://example.com/%zz"},
	} {
		u, err := webhook.ParseURL(tt.in, webhook.Rules{Blocked: notPublic})
		refused(t, tt.reason, tt.in, u, err)
	}
}

// Each of these reaches 127.0.0.1, 10.0.0.1 or an IPv6 address that is not public, by one parser or resolver or another.
func TestParseURLSeesThroughNotations(t *testing.T) {
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.1.", "2130706433", "2130706433.", "017700000001", "0177.0.0.1",
		"0177.0.0.01", "0x7f000001", "0X7F000001", "0x7f.1", "0x7f.0x0.0x0.0x1", "0x7f.0.0.1", "127.0x1", "127.000.000.001",
		"00000177.1", "0", "0x", "0x0", "0.0.0.0", "00.0", "10.1", "0xa000001", "0x0000000a.0.0.1", "167772161", "012.0.0.1", "169.254.1",
		"[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::FFFF:7f00:1]", "[::ffff:a00:1]", "[fe80::1]", "[fc00::1]",
		"[::ffff:127.0.0.1]:8443", "127.1:8443",
	} {
		u, err := webhook.ParseURL("https://"+host+"/hook", webhook.Rules{Blocked: notPublic})
		refused(t, "blocked literal", host, u, err)
		if _, err := webhook.ParseURL("https://"+host+"/hook", webhook.Rules{}); err != nil {
			t.Errorf("%s is refused as %v, not because it is blocked", host, err)
		}
	}
	for _, host := range []string{
		"256.0.0.1", "127.0.0.256", "127.0.0.0.1", "1.2.3.4.5", "4294967296", "0x100000000", "0xfffffffffffffffffffff", "099", "127.0.0.08",
		"1.16777216", "foo.1", "foo.0x1", "example.com.127", "127.0.0.1..", "127..1", ".127.0.0.1",
		"%31%32%37.0.0.1", "127%2e0.0.1", "１２７.0.0.1", "%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1", "①②⑦.0.0.1", "127。0。0。1", "127．0．0．1",
		"127.0.0.1\u00ad", "127.0.0.1\ufe00", "0ｘ7f000001", "127.0.0.1%00", "127.0.0.1%20", "127.0.0.1%2f@example.com",
		"[127.0.0.1]", "[::1%25lo]", "[fe80::1%25eth0]", "[::1", "::1", "[]", "[::127.0.0.1.]", "[v1.fe80::1]", "[::1]x", "[::1].",
	} {
		u, err := webhook.ParseURL("https://"+host+"/hook", webhook.Rules{})
		refused(t, "no host that can be read one way only", host, u, err)
	}
}

func refused(t *testing.T, reason, in string, u webhook.URL, err error) {
	t.Helper()
	fe, ok := errors.AsType[*domain.FieldError](err)
	if !ok || fe.Field != "url" || !errors.Is(err, domain.ErrInvalid) || !u.IsZero() {
		t.Errorf("%s: %q gives %q, %v; want a FieldError of url", reason, in, u.Reveal(), err)
	}
}

func TestURLPrintsWithoutPathAndQuery(t *testing.T) {
	u, err := webhook.ParseURL("https://example.com:8443/services/T000/secret?token=secret", webhook.Rules{})
	if err != nil || u.String() != "https://example.com:8443" {
		t.Errorf("String() = %q, %v", u, err)
	}
	_, err = webhook.ParseURL("https://example.com/secret?token=secret\x7f", webhook.Rules{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error repeats the URL: %v", err)
	}
}

// Whatever is accepted reads the same to net/url, has a host that is either a canonical address that was asked about or a
// plain name, and is accepted again in its stored form.
func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/hook?x", "https://127.1/", "http://0x7f.1:80/", "https://[::ffff:1.2.3.4]:1/", "https://[fe80::1%25e]/",
		"https://a@b/", "https://１.1/", "https://1.2.3.4./", "https:a", "https://a:/", "https://%31/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var asked []netip.Addr
		u, err := webhook.ParseURL(text, webhook.Rules{AllowHTTP: true, Blocked: func(a netip.Addr) bool {
			asked = append(asked, a)
			return false
		}})
		if err != nil {
			refused(t, "error", text, u, err)
			return
		}
		parsed, err := url.Parse(u.Reveal())
		if err != nil {
			t.Fatalf("net/url: %v", err)
		}
		host := parsed.Hostname()
		if addr, err := netip.ParseAddr(host); err == nil {
			if len(asked) != 1 || asked[0] != addr || addr.String() != host {
				t.Errorf("%q dials %s, but asked about %v", text, host, asked)
			}
		} else if len(asked) != 0 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
			t.Errorf("%q dials the name %q, asked about %v", text, host, asked)
		}
		if again, err := webhook.ParseURL(u.Reveal(), webhook.Rules{AllowHTTP: true}); err != nil || again != u {
			t.Errorf("%q is stored as %q, which reads as %q, %v", text, u.Reveal(), again.Reveal(), err)
		}
	})
}
