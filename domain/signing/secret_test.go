package signing_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/matric/matric-events/domain/signing"
)

func secret(t testing.TB, text string) signing.Secret {
	t.Helper()
	s, err := signing.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseSecret(t *testing.T) {
	for _, tt := range []struct {
		reason, text string
		ok           bool
	}{
		{"shortest", strings.Repeat("a", 16), true},
		{"one too short", strings.Repeat("a", 15), false},
		{"longest", strings.Repeat("a", 256), true},
		{"one too long", strings.Repeat("a", 257), false},
		{"length is in characters", strings.Repeat("é", 256), true},
		{"inner spaces print", "correct horse battery", true},
		{"empty", "", false},
		{"newline", "sixteen-chars-ok\n", false},
		{"NUL", "sixteen-chars-ok\x00", false},
		{"delete", "sixteen-chars-ok\x7f", false},
		{"zero-width space", "sixteen-chars-ok\u200b", false},
		{"not UTF-8", "sixteen-chars-ok\xff", false},
	} {
		s, err := signing.ParseSecret(tt.text)
		if (err == nil) != tt.ok || s.IsZero() == tt.ok {
			t.Errorf("%s: ParseSecret(%q): %v", tt.reason, tt.text, err)
		}
		if err != nil && (!errors.Is(err, signing.ErrSecret) || tt.text != "" && strings.Contains(err.Error(), tt.text)) {
			t.Errorf("%s: error %q is no ErrSecret, or tells the text", tt.reason, err)
		}
		if tt.ok && s.Reveal() != tt.text {
			t.Errorf("%s: Reveal() = %q", tt.reason, s.Reveal())
		}
	}
}

func TestNewSecret(t *testing.T) {
	for _, tt := range []struct {
		entropy int
		ok      bool
	}{{23, false}, {24, true}, {32, true}, {64, true}, {65, false}, {0, false}} {
		entropy := bytes.Repeat([]byte{0xfe}, tt.entropy)
		s, err := signing.NewSecret(entropy)
		if (err == nil) != tt.ok {
			t.Fatalf("NewSecret of %d bytes: %v", tt.entropy, err)
		}
		if want := "whsec_" + base64.StdEncoding.EncodeToString(entropy); tt.ok && s.Reveal() != want {
			t.Errorf("NewSecret of %d bytes = %q; want %q", tt.entropy, s.Reveal(), want)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	const text = "whsec_do-not-print-me"
	s := secret(t, text)
	keys, err := signing.NewKeys(s, signing.Retired{Secret: s})
	if err != nil {
		t.Fatal(err)
	}
	type hidden struct{ s signing.Secret } // fmt cannot call String on an unexported member
	for _, v := range []any{s, &s, []signing.Secret{s}, hidden{s}, &hidden{s}, keys, signing.Verifier{Secrets: []signing.Secret{s}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			got := fmt.Sprintf(verb, v)
			if strings.Contains(got, text) || strings.Contains(strings.ToLower(got), fmt.Sprintf("%x", text)) {
				t.Errorf("%s of %T prints the secret: %s", verb, v, got)
			}
		}
		if data, _ := json.Marshal(v); bytes.Contains(data, []byte(text)) {
			t.Errorf("JSON of %T holds the secret: %s", v, data)
		}
	}
	if got, want := fmt.Sprintf("%v %#v", s, s), "[redacted] signing.Secret([redacted])"; got != want {
		t.Errorf("printed as %q; want %q", got, want)
	}
}

func TestSecretEqual(t *testing.T) {
	a, b, none := secret(t, "secret number one"), secret(t, "secret number two"), signing.Secret{}
	for _, tt := range []struct {
		reason string
		x, y   signing.Secret
		want   bool
	}{
		{"same text", a, secret(t, "secret number one"), true},
		{"other text", a, b, false},
		{"both absent", none, none, true},
		{"one absent", a, none, false},
	} {
		if got := tt.x.Equal(tt.y); got != tt.want {
			t.Errorf("%s: %v", tt.reason, got)
		}
	}
	if none.Reveal() != "" {
		t.Error("the absent secret reveals a text")
	}
}
