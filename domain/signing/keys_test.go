package signing_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/matric/matric-events/domain/signing"
)

const (
	eventID = "019aa7c2-7d7c-7000-8000-000000000001"
	first   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	second  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

var (
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	body = []byte(`{"type":"JobCompleted","event_id":"019aa7c2-7d7c-7000-8000-000000000001"}`)
)

func keys(t testing.TB, current string, retired ...signing.Retired) signing.Keys {
	t.Helper()
	k, err := signing.NewKeys(secret(t, current), retired...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k signing.Keys, at time.Time, body []byte) http.Header {
	t.Helper()
	h := http.Header{}
	if err := k.Sign(h.Set, eventID, at, body); err != nil {
		t.Fatal(err)
	}
	return h
}

// The expected values were computed with another implementation (OpenSSL), so that an error made twice does not pass.
func TestSignKnownValues(t *testing.T) {
	for _, tt := range []struct {
		reason, secret, standard, body string
	}{
		{
			"whsec_ key is decoded for one family only", first,
			"v1,fcM+FVZM8R5j0zzO0lqr4ilCYJdjWd0J3OkJz/1PScU=", "sha256=8b90f7389556ddeb53cad847cb062355c7d9fba0223ce212a0387d907bf831ef",
		},
		{
			"any other text is its own key", "a plain text secret",
			"v1,BJaopcU++So2wSbXrYcHybbLickrRyI5j53zDfPrMkA=", "sha256=e6b9934fe4fd14aec9edbe4312cc471b1f31f5a93169de3d45c08c1a5c2688f0",
		},
		{
			"whsec_ with too short a key is its own key", "whsec_c2hvcnQga2V5",
			"v1,oqLx5tJ4Co8z7XN5TnhBRYYq52yGbYzk6VPP8y89Ku4=", "sha256=875f855e2dc388583719a72d7941e2b2e5c6ba16859e881581492f35489ba352",
		},
	} {
		got := sign(t, keys(t, tt.secret), noon, body)
		want := http.Header{
			"Webhook-Id":         {eventID},
			"Webhook-Timestamp":  {"1795435200"},
			"Webhook-Signature":  {tt.standard},
			"X-Matric-Signature": {tt.body},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.reason, diff)
		}
	}
}

func TestStockVerifierAccepts(t *testing.T) {
	for _, text := range []string{first, second} {
		stock, err := standardwebhooks.NewWebhook(text)
		if err != nil {
			t.Fatal(err)
		}
		h := sign(t, keys(t, text), noon, body)
		if err := stock.VerifyIgnoringTimestamp(body, h); err != nil {
			t.Errorf("stock verifier refuses our signature: %v", err)
		}
		if err := stock.VerifyIgnoringTimestamp(append([]byte(" "), body...), h); err == nil {
			t.Error("stock verifier accepts another body")
		}
	}
}

func TestWeAcceptTheStockSigner(t *testing.T) {
	stock, err := standardwebhooks.NewWebhook(first)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := stock.Sign(eventID, noon, body)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set(signing.HeaderID, eventID)
	h.Set(signing.HeaderTimestamp, fmt.Sprint(noon.Unix()))
	h.Set(signing.HeaderStandard, signature)
	if err := verifier(t, first).Verify(h.Get, body, noon); err != nil {
		t.Error(err)
	}
}

func TestRotation(t *testing.T) {
	k, err := keys(t, first).Rotate(secret(t, second), noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !k.Current().Equal(secret(t, second)) {
		t.Error("the new secret is not the current one")
	}
	for _, tt := range []struct {
		reason   string
		after    time.Duration
		verifier string
		standard bool
		body     bool
	}{
		{"old secret during the overlap", time.Minute, first, true, true},
		{"new secret during the overlap, the single value stays on the old one", time.Minute, second, true, false},
		{"old secret at the overlap's end", time.Hour, first, false, false},
		{"new secret at the overlap's end", time.Hour, second, true, true},
	} {
		at := noon.Add(tt.after)
		h := sign(t, k, at, body)
		v := verifier(t, tt.verifier)
		if err := v.Verify(h.Get, body, at); (err == nil) != tt.standard {
			t.Errorf("%s: Verify: %v", tt.reason, err)
		}
		if err := v.VerifyBody(h.Get, body); (err == nil) != tt.body {
			t.Errorf("%s: VerifyBody: %v", tt.reason, err)
		}
		if values := h.Values(signing.HeaderBody); len(values) != 1 || strings.ContainsAny(values[0], " ,") {
			t.Errorf("%s: %s is not one value: %q", tt.reason, signing.HeaderBody, values)
		}
	}
}

func TestSecondRotationInAnOverlapKeepsTheFirstPromise(t *testing.T) {
	const third = "whsec_hhIfATd2fxTSnEqg1nB8uY1kTFqUvXzu"
	k, err := keys(t, first).Rotate(secret(t, second), noon, time.Hour)
	if err == nil {
		k, err = k.Rotate(secret(t, third), noon.Add(time.Minute), time.Hour)
	}
	if err != nil {
		t.Fatal(err)
	}
	at := noon.Add(2 * time.Minute)
	h := sign(t, k, at, body)
	for _, text := range []string{first, second, third} {
		if err := verifier(t, text).Verify(h.Get, body, at); err != nil {
			t.Errorf("a receiver on %s…: %v", text[:9], err)
		}
	}
	if err := verifier(t, first).VerifyBody(h.Get, body); err != nil {
		t.Errorf("the single value left the oldest secret: %v", err)
	}

	at = noon.Add(time.Hour) // the first one's overlap is over, the second one's is not
	if k, err = k.Rotate(secret(t, first), at, time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := len(k.Retired()); got != 2 {
		t.Errorf("%d retired secrets after a rotation that should have dropped the expired one, want 2", got)
	}
}

func TestRotateBounds(t *testing.T) {
	k := keys(t, first)
	var err error
	for i := range signing.MaxRetired {
		if k, err = k.Rotate(secret(t, fmt.Sprintf("secret number %04d", i)), noon, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.Rotate(secret(t, second), noon, time.Hour); !errors.Is(err, signing.ErrTooManyKeys) {
		t.Errorf("one overlap too many: %v", err)
	}
	k, err = k.Rotate(secret(t, second), noon, 0)
	if err != nil || len(k.Retired()) != 0 {
		t.Errorf("without overlap: %v, %d retired", err, len(k.Retired()))
	}
	if _, err := k.Rotate(signing.Secret{}, noon, time.Hour); !errors.Is(err, signing.ErrNoKey) {
		t.Errorf("to no secret: %v", err)
	}
	if k, err := (signing.Keys{}).Rotate(secret(t, first), noon, time.Hour); err != nil || len(k.Retired()) != 0 {
		t.Errorf("from no secret: %v", err)
	}
}

func TestNewKeysRefuses(t *testing.T) {
	if _, err := signing.NewKeys(signing.Secret{}); !errors.Is(err, signing.ErrNoKey) {
		t.Errorf("no current secret: %v", err)
	}
	if _, err := signing.NewKeys(secret(t, first), signing.Retired{Until: noon}); !errors.Is(err, signing.ErrNoKey) {
		t.Errorf("an absent retired secret: %v", err)
	}
}

func TestSignRefuses(t *testing.T) {
	unused := func(name, value string) { t.Errorf("set %s: %s", name, value) }
	if err := (signing.Keys{}).Sign(unused, eventID, noon, body); !errors.Is(err, signing.ErrNoKey) {
		t.Errorf("no key: %v", err)
	}
	for _, id := range []string{"", "a.b"} {
		if err := keys(t, first).Sign(unused, id, noon, body); !errors.Is(err, signing.ErrMalformed) {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

func TestKeysEqual(t *testing.T) {
	rotated, err := keys(t, first).Rotate(secret(t, second), noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		reason string
		other  signing.Keys
		want   bool
	}{
		{"restored", keys(t, second, rotated.Retired()...), true},
		{"other end of the overlap", keys(t, second, signing.Retired{Secret: secret(t, first), Until: noon}), false},
		{"nothing retired", keys(t, second), false},
		{"other current one", keys(t, first, rotated.Retired()...), false},
	} {
		if got := rotated.Equal(tt.other); got != tt.want {
			t.Errorf("%s: Equal = %v", tt.reason, got)
		}
	}
}
