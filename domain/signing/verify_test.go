package signing_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/domain/signing"
)

func verifier(t testing.TB, texts ...string) signing.Verifier {
	t.Helper()
	var v signing.Verifier
	for _, text := range texts {
		v.Secrets = append(v.Secrets, secret(t, text))
	}
	return v
}

func TestVerify(t *testing.T) {
	valid := sign(t, keys(t, first), noon, body).Get(signing.HeaderStandard)
	for _, tt := range []struct {
		reason string
		change map[string]string // headers; the empty string removes one
		body   string
		v      signing.Verifier
		at     time.Duration
		want   error
	}{
		{reason: "as sent"},
		{reason: "no id", change: map[string]string{signing.HeaderID: ""}, want: signing.ErrMissingHeader},
		{reason: "no timestamp", change: map[string]string{signing.HeaderTimestamp: ""}, want: signing.ErrMissingHeader},
		{reason: "no signature", change: map[string]string{signing.HeaderStandard: ""}, want: signing.ErrMissingHeader},
		{reason: "other id", change: map[string]string{signing.HeaderID: "other"}, want: signing.ErrMismatch},
		{reason: "id with a full stop", change: map[string]string{signing.HeaderID: "a.b"}, want: signing.ErrMalformed},
		{reason: "other body", body: "{}", want: signing.ErrMismatch},
		{reason: "other timestamp", change: map[string]string{signing.HeaderTimestamp: "1795435201"}, want: signing.ErrMismatch},
		{reason: "timestamp in words", change: map[string]string{signing.HeaderTimestamp: "noon"}, want: signing.ErrMalformed},
		{reason: "negative timestamp", change: map[string]string{signing.HeaderTimestamp: "-1795435200"}, want: signing.ErrMalformed},
		{reason: "signed timestamp", change: map[string]string{signing.HeaderTimestamp: "+1795435200"}, want: signing.ErrMalformed},
		{reason: "timestamp that wraps around", change: map[string]string{signing.HeaderTimestamp: "9223372036854775807"}, want: signing.ErrTooNew},
		{reason: "timestamp out of range", change: map[string]string{signing.HeaderTimestamp: "18446744073709551615"}, want: signing.ErrMalformed},
		{reason: "tolerance's end", at: 5 * time.Minute},
		{reason: "past the tolerance", at: 5*time.Minute + time.Second, want: signing.ErrTooOld},
		{reason: "tolerance's start", at: -5 * time.Minute},
		{reason: "before the tolerance", at: -5*time.Minute - time.Second, want: signing.ErrTooNew},
		{reason: "own tolerance", v: signing.Verifier{Tolerance: time.Hour}, at: time.Hour},
		{reason: "past an own tolerance", v: signing.Verifier{Tolerance: time.Minute}, at: 2 * time.Minute, want: signing.ErrTooOld},
		{reason: "wrong signature first", change: map[string]string{signing.HeaderStandard: "v1,AAAA " + valid}},
		{reason: "other versions around", change: map[string]string{signing.HeaderStandard: "v1a,AAAA " + valid + " v2,x"}},
		{reason: "garbled entry first", change: map[string]string{signing.HeaderStandard: "v1,*** , " + valid}},
		{reason: "no version known", change: map[string]string{signing.HeaderStandard: "v1a," + valid[3:]}, want: signing.ErrMalformed},
		{reason: "no base64", change: map[string]string{signing.HeaderStandard: "v1,***"}, want: signing.ErrMalformed},
		{reason: "cut signature", change: map[string]string{signing.HeaderStandard: valid[:len(valid)-4]}, want: signing.ErrMismatch},
		{reason: "empty signature", change: map[string]string{signing.HeaderStandard: "v1,"}, want: signing.ErrMismatch},
		{reason: "flood of signatures", change: map[string]string{signing.HeaderStandard: strings.Repeat("v1,AAAA ", 33) + valid}, want: signing.ErrMalformed},
		{reason: "other secret", v: verifier(t, second), want: signing.ErrMismatch},
		{reason: "right secret second", v: verifier(t, second, first)},
		{reason: "absent secret", v: signing.Verifier{Secrets: []signing.Secret{{}}}, want: signing.ErrMismatch},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			h := sign(t, keys(t, first), noon, body)
			for name, value := range tt.change {
				h.Set(name, value)
			}
			sent := body
			if tt.body != "" {
				sent = []byte(tt.body)
			}
			v := tt.v
			if v.Secrets == nil {
				v.Secrets = verifier(t, first).Secrets
			}
			err := v.Verify(h.Get, sent, noon.Add(tt.at))
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("Verify = %v; want %v", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), first) || strings.Contains(err.Error(), valid)) {
				t.Errorf("error tells too much: %v", err)
			}
		})
	}
}

func TestVerifyBody(t *testing.T) {
	for _, tt := range []struct {
		reason string
		change func(value string) string
		want   error
	}{
		{"as sent", func(v string) string { return v }, nil},
		{"upper-case digits", func(v string) string { return "sha256=" + strings.ToUpper(v[7:]) }, nil},
		{"absent", func(string) string { return "" }, signing.ErrMissingHeader},
		{"without the algorithm", func(v string) string { return v[7:] }, signing.ErrMalformed},
		{"other algorithm", func(v string) string { return "sha1=" + v[7:] }, signing.ErrMalformed},
		{"not hexadecimal", func(string) string { return "sha256=xyz" }, signing.ErrMalformed},
		{"odd number of digits", func(v string) string { return v[:len(v)-1] }, signing.ErrMalformed},
		{"cut", func(v string) string { return v[:len(v)-2] }, signing.ErrMismatch},
		{"empty", func(string) string { return "sha256=" }, signing.ErrMismatch},
		{"one digit changed", func(v string) string {
			if v[7] == '0' {
				return "sha256=1" + v[8:]
			}
			return "sha256=0" + v[8:]
		}, signing.ErrMismatch},
	} {
		h := sign(t, keys(t, first), noon, body)
		h.Set(signing.HeaderBody, tt.change(h.Get(signing.HeaderBody)))
		if err := verifier(t, first).VerifyBody(h.Get, body); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: VerifyBody = %v; want %v", tt.reason, err, tt.want)
		}
	}
}

// What arrives from the network never panics a verifier, and nothing but the exact message under the exact headers
// passes.
func FuzzVerify(f *testing.F) {
	h := sign(f, keys(f, first), noon, body)
	valid := [...]string{h.Get(signing.HeaderID), h.Get(signing.HeaderTimestamp), h.Get(signing.HeaderStandard), h.Get(signing.HeaderBody)}
	f.Add(valid[0], valid[1], valid[2], valid[3], body)
	f.Add("", "", "", "", []byte(nil))
	f.Add(valid[0], "9223372036854775807", "v1,AAAA v1a,", "sha256=zz", body)
	f.Add("a.1", valid[1], valid[2]+" "+valid[2], "sha256=", body)
	f.Fuzz(func(t *testing.T, id, timestamp, standard, matric string, sent []byte) {
		get := func(name string) string {
			return map[string]string{
				signing.HeaderID: id, signing.HeaderTimestamp: timestamp, signing.HeaderStandard: standard, signing.HeaderBody: matric,
			}[name]
		}
		v := verifier(t, second, first)
		genuine := id == valid[0] && timestamp == valid[1] && string(sent) == string(body)
		if err := v.Verify(get, sent, noon); err == nil && !genuine {
			t.Errorf("accepted a message that nobody signed: %q", []string{id, timestamp, standard})
		} else if err != nil && genuine && standard == valid[2] {
			t.Errorf("refused the genuine message: %v", err)
		}
		if err := v.VerifyBody(get, sent); err == nil && string(sent) != string(body) {
			t.Errorf("accepted a body that nobody signed: %q", matric)
		}
	})
}

func ExampleVerifier_Verify() {
	key, err := signing.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") // from the answer to POST /api/v1/webhooks
	if err != nil {
		panic(err)
	}
	sender, err := signing.NewKeys(key)
	if err != nil {
		panic(err)
	}
	received, now := []byte(`{"type":"QueueStatus"}`), time.Unix(1_764_000_000, 0)
	headers := http.Header{}
	if err := sender.Sign(headers.Set, "019aa7c2-7d7c-7000-8000-000000000001", now, received); err != nil {
		panic(err)
	}

	v := signing.Verifier{Secrets: []signing.Secret{key}} // in a handler: r.Header.Get, the body read to its end, time.Now()
	fmt.Println(v.Verify(headers.Get, received, now))
	fmt.Println(v.Verify(headers.Get, received, now.Add(time.Hour)))
	// Output:
	// <nil>
	// webhook-timestamp: timestamp is too old
}
