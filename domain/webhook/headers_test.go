package webhook_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

func TestNewHeaders(t *testing.T) {
	for _, tt := range []struct {
		reason, name, value string
		ok                  bool
	}{
		{"typical", "Authorization", "Bearer abc.def", true},
		{"token characters", "X_!#$%&'*+-.^`|~9", "v", true},
		{"empty value", "X-Empty", "", true},
		{"longest value", "X-Long", strings.Repeat("v", 4096), true},
		{"value too long", "X-Long", strings.Repeat("v", 4097), false},
		{"longest name", strings.Repeat("n", 100), "v", true},
		{"name too long", strings.Repeat("n", 101), "v", false},
		{"empty name", "", "v", false},
		{"space in the name", "X Y", "v", false},
		{"colon in the name", "X:", "v", false},
		{"newline in the name", "X\n", "v", false},
		{"letters beyond ASCII in the name", "Ünï", "v", false},
		{"header injection", "X-A", "v\r\nX-B: w", false},
		{"tab", "X-A", "a\tb", false},
		{"NUL", "X-A", "a\x00", false},
		{"letters beyond ASCII in the value", "X-A", "ü", false},
		{"space before the value", "X-A", " v", false},
		{"space after the value", "X-A", "v ", false},
		{"ours", "Content-Type", "text/plain", false},
		{"ours in another case", "USER-AGENT", "x", false},
		{"our family", "X-Matric-Anything", "x", false},
		{"Standard Webhooks", "webhook-signature", "x", false},
		{"host", "Host", "example.com", false},
		{"length", "Content-Length", "0", false},
		{"encoding of the message", "Transfer-Encoding", "chunked", false},
		{"encoding of the body", "Content-Encoding", "gzip", false},
		{"hop by hop", "Connection", "close", false},
		{"upgrade", "Upgrade", "h2c", false},
		{"proxies", "Proxy-Authorization", "x", false},
		{"expectations", "Expect", "100-continue", false},
		{"a longer name than a reserved one", "Host-Name", "x", true},
		{"a name that ends as ours", "My-Webhook-Id", "x", true},
	} {
		h, err := webhook.NewHeaders(map[string]string{tt.name: tt.value})
		if (err == nil) != tt.ok {
			t.Errorf("%s: NewHeaders(%q: %.20q): %v", tt.reason, tt.name, tt.value, err)
			continue
		}
		if !tt.ok {
			fe, ok := errors.AsType[*domain.FieldError](err)
			if !ok || fe.Field != "headers" || len(tt.value) > 3 && strings.Contains(err.Error(), tt.value) {
				t.Errorf("%s: error is no FieldError of headers, or tells the value: %v", tt.reason, err)
			}
			continue
		}
		if diff := cmp.Diff(map[string]string{tt.name: tt.value}, maps.Collect(h.All())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.reason, diff)
		}
	}
}

func TestHeadersTogether(t *testing.T) {
	if _, err := webhook.NewHeaders(map[string]string{"X-Key": "a", "x-key": "b"}); err == nil {
		t.Error("one name in two cases is accepted")
	}
	many := map[string]string{}
	for i := range webhook.MaxHeaders + 1 {
		many[fmt.Sprintf("X-%02d", i)] = "v"
	}
	if _, err := webhook.NewHeaders(many); err == nil {
		t.Error("one header too many is accepted")
	}
	delete(many, "X-00")
	h, err := webhook.NewHeaders(many)
	if err != nil || len(h.Names()) != webhook.MaxHeaders || h.Names()[0] != "X-01" {
		t.Errorf("names %v, %v", h.Names(), err)
	}
	many["X-01"] = "changed"
	if got := maps.Collect(h.All())["X-01"]; got != "v" {
		t.Errorf("a change of the caller's map shows: %q", got)
	}
	none, err := webhook.NewHeaders(nil)
	if err != nil || !none.Equal(webhook.Headers{}) || none.Equal(h) || len(none.Names()) != 0 {
		t.Errorf("no headers: %v, %v", none.Names(), err)
	}
}

func TestHeaderValuesAreNeverPrinted(t *testing.T) {
	h, err := webhook.NewHeaders(map[string]string{"Authorization": "Bearer-do-not-print"})
	if err != nil {
		t.Fatal(err)
	}
	type hidden struct{ h webhook.Headers }
	for _, v := range []any{h, hidden{h}, &hidden{h}, webhook.Config{Headers: h}, webhook.Request{Headers: h}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "do-not-print") {
				t.Errorf("%s of %T: %s", verb, v, got)
			}
		}
	}
}
