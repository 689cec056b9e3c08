package telemetry

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("x", maxText)
	for in, want := range map[string]string{
		"":                                    "",
		"dial tcp: no such host":              "dial tcp: no such host",
		long:                                  long,
		long + "y":                            long + "…",
		strings.Repeat("é", maxText):          strings.Repeat("é", maxText/2) + "…",
		"bad \xff byte":                       "bad \uFFFD byte",
		`parse "postgres://u:p%zz@db/x": bad`: `parse "postgres://…": bad`,
		`parse "postgres://u:p?a@db": bad`:    `parse "postgres://…": bad`,
		"Post https://hooks.example/T0/B0/xyz: EOF": "Post https://hooks.example… EOF",
		"get http://a.example?token=t1":             "get http://a.example…",
		"http://a.example:80 is up":                 "http://a.example:80 is up",
		"secret whsec_abc+/=, done":                 "secret whsec_…, done",
		"Authorization: Bearer abc.def":             "Authorization: Bearer …",
		"authorization: basic dXNlcjpw":             "authorization: basic …",
		"user=u password='a b' host=h":              "user=u password=… host=h",
		"/api/v1/ws?types=job&token=abc&x=1":        "/api/v1/ws?types=job&token=…&x=1",
	} {
		if got := excerpt(in); got != want {
			t.Errorf("excerpt(%q) = %q; want %q", in, got, want)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add("a", "b")
	f.Add(strings.Repeat("é", 150), "&")
	f.Fuzz(func(t *testing.T, before, behind string) {
		const secret = "hunter2hunter2"
		for _, form := range []string{"postgres://user:" + secret + "@db", "whsec_" + secret, "Bearer " + secret, "token=" + secret, "https://a.example/?k=" + secret} {
			got := excerpt(before + " " + form + " " + behind)
			if strings.Contains(got, secret) && !strings.Contains(before, secret) && !strings.Contains(behind, secret) {
				t.Errorf("%q is in %q", secret, got)
			}
			if !utf8.ValidString(got) || len(got) > maxText+len("…") {
				t.Errorf("%d bytes, or no UTF-8: %q", len(got), got)
			}
		}
	})
}
