package signing_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/matric/matric-events/domain/signing"
)

// What ParseSecret accepts is kept as it is, and what it signs passes here and, in the form that Standard Webhooks knows, with
// the stock library. Refusals do not repeat the text.
func FuzzParseSecret(f *testing.F) {
	for _, seed := range []string{
		"", "short", "sixteen letters.", strings.Repeat("é", 256), strings.Repeat("a", 257), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
		"whsec_" + strings.Repeat("A", 88), "whsec_====AAAAAAAAAAAAAAAAAAAA", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "tab\tin the secret.", "\xff\xfe sixteen bytes and more", "sixteen letters \u200b",
	} {
		f.Add(seed, []byte(`{"type":"QueueStatus"}`))
	}
	f.Fuzz(func(t *testing.T, text string, body []byte) {
		secret, err := signing.ParseSecret(text)
		if err != nil {
			if !errors.Is(err, signing.ErrSecret) || !secret.IsZero() {
				t.Fatalf("%q: %v", text, err)
			}
			if _, err := signing.ParseSecret("hunter2" + text); err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("the error repeats the text: %v", err)
			}
			return
		}
		if n := utf8.RuneCountInString(text); secret.Reveal() != text || n < signing.MinSecretLen || n > signing.MaxSecretLen {
			t.Fatalf("%q is kept as %q", text, secret.Reveal())
		}
		keys, err := signing.NewKeys(secret)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		if err := keys.Sign(h.Set, "msg_1", noon, body); err != nil {
			t.Fatal(err)
		}
		v := signing.Verifier{Secrets: []signing.Secret{secret}}
		if err := errors.Join(v.Verify(h.Get, body, noon), v.VerifyBody(h.Get, body)); err != nil {
			t.Fatalf("%q: does not pass what it signed: %v", text, err)
		}
		encoded, standard := strings.CutPrefix(text, "whsec_")
		if key, err := base64.StdEncoding.DecodeString(encoded); !standard || err != nil || len(key) < signing.MinEntropy || len(key) > signing.MaxEntropy {
			return // a secret of another kind
		}
		stock, err := standardwebhooks.NewWebhook(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := stock.VerifyIgnoringTimestamp(body, h); err != nil {
			t.Fatalf("%q: the stock library does not pass it: %v", text, err)
		}
	})
}
