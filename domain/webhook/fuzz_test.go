package webhook_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// refusedOf fails unless err is one that a client may see, about one of the members or about one that there is not.
func refusedOf(t *testing.T, body []byte, err error, members ...string) {
	t.Helper()
	fe, ok := errors.AsType[*domain.FieldError](err)
	if !ok || !errors.Is(err, domain.ErrInvalid) || len(err.Error()) > 1000 {
		t.Fatalf("%s: error %v (%T)", body, err, err)
	}
	if fe.Field != "" && !slices.Contains(members, fe.Field) && !strings.HasPrefix(fe.Detail, "unknown field") {
		t.Fatalf("%s: error of %q: %v", body, fe.Field, err)
	}
}

// A webhook that can be created is as its rules say; the same members as a change of it change nothing.
func FuzzDecodeWebhook(f *testing.F) {
	for _, seed := range []string{
		`{"url":"https://example.com/hook"}`, `{"url":"https://example.com/","events":["job","note.updated"],"max_retries":0,"is_active":false}`,
		`{"url":"http://127.1/"}`, `{"url":"https://example.com","headers":{"X-Key":"secret","x-key":"2"}}`, `{"url":"https://example.com","headers":{"Host":"a"}}`,
		`{"url":"https://example.com","secret":"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`, `{"url":"https://example.com","secret":"short"}`,
		`{"url":"https://example.com","max_retries":-1}`, `{"url":"https://example.com","description":"\u0000"}`, `{"url":null}`, `{"URL":"https://example.com"}`,
		`{"url":"https://example.com","events":["nonsense"]}`, `{"url":"https://example.com","headers":{"A":7}}`, `{"shoe_size":9}`, `[]`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	members := []string{"url", "secret", "events", "max_retries", "description", "headers", "is_active"}
	rules := webhook.Rules{AllowHTTP: true}
	f.Fuzz(func(t *testing.T, body []byte) {
		order, err := webhook.DecodeCreate(body, rules)
		if err != nil {
			refusedOf(t, body, err, members...)
			if _, err := webhook.DecodePatch(body, rules); err != nil {
				refusedOf(t, body, err, members...)
			}
			return
		}
		w, err := order.Webhook(id, entropy, noon)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		switch again, err := webhook.ParseURL(w.URL.Reveal(), rules); {
		case err != nil || again != w.URL:
			t.Fatalf("%s: stored as %s, which reads as %s, %v", body, w.URL.Reveal(), again.Reveal(), err)
		case utf8.RuneCountInString(w.Description) > webhook.MaxDescription || strings.Contains(w.Description, "\x00"):
			t.Fatalf("%s: description %q", body, w.Description)
		case len(w.Headers.Names()) > webhook.MaxHeaders || w.Keys.Current().IsZero():
			t.Fatalf("%s: headers %q, or no secret", body, w.Headers.Names())
		}
		for name, value := range w.Headers.All() {
			if strings.ContainsAny(name+value, "\r\n\x00") || name == "" || strings.HasPrefix(strings.ToLower(name), "webhook-") {
				t.Fatalf("%s: header %q: %q", body, name, value)
			}
		}
		patch, err := webhook.DecodePatch(body, rules)
		if err != nil {
			if fe, _ := errors.AsType[*domain.FieldError](err); fe == nil || fe.Field != "secret" {
				t.Fatalf("%s: can be created, and a change to the same: %v", body, err)
			}
			return
		}
		same := patch.Apply(w, noon)
		if same.URL != w.URL || same.Events != w.Events || same.Retries != w.Retries || same.Description != w.Description || !same.Headers.Equal(w.Headers) || same.Activation != w.Activation {
			t.Fatalf("%s: changed %+v to %+v", body, w, same)
		}
	})
}

// What an owner of a webhook may ask for is within bounds, or refused by the name of the member.
func FuzzDecodeActions(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `{}`, `null`, `{"overlap_seconds":0}`, `{"overlap_seconds":2592000}`, `{"overlap_seconds":2592001}`, `{"overlap_seconds":-1}`, `{"overlap_seconds":1.5}`,
		`{"overlap_seconds":9223372036854775808}`, `{"status":"dead","since":"2026-11-23T12:41:48Z"}`, `{"status":"pending"}`, `{"status":"in_flight"}`, `{"since":"yesterday"}`, `{"x":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		overlap, err := webhook.DecodeRotation(body)
		if err != nil {
			refusedOf(t, body, err, "overlap_seconds")
		}
		if overlap < 0 || overlap > webhook.MaxOverlap || overlap%time.Second != 0 || err != nil && overlap != 0 {
			t.Fatalf("%s: %s, %v", body, overlap, err)
		}
		again, err := webhook.DecodeRedelivery(body)
		if err != nil {
			refusedOf(t, body, err, "status", "since")
			return
		}
		if !slices.Contains([]webhook.Status{webhook.Dead, webhook.Canceled, webhook.Delivered}, again.Status) {
			t.Fatalf("%s: %v", body, again)
		}
		if y := again.Since.UTC().Year(); y < 0 || y > 9999 {
			t.Fatalf("%s: since %v", body, again.Since)
		}
	})
}

// An order is refused in words that do not repeat what may be secret in it.
func FuzzRefusalsKeepSecrets(f *testing.F) {
	const secret = "hunter2hunter2"
	f.Add("https://example.com/", "X-Key", "")
	f.Add("http://[::1%25eth0]/", "Host", "\n")
	f.Add("https://a b", "", "é")
	f.Fuzz(func(t *testing.T, url, name, value string) {
		for _, order := range []map[string]any{
			{"url": url + "/" + secret}, {"url": url, "headers": map[string]string{name: value + secret}}, {"url": url, "secret": value + secret + value},
		} {
			body, err := json.Marshal(order)
			if err != nil {
				t.Fatal(err)
			}
			for _, given := range [][]byte{body, body[:len(body)-1], append(body, '}')} {
				if _, err := webhook.DecodeCreate(given, webhook.Rules{}); err != nil && strings.Contains(err.Error(), secret) && !strings.Contains(url+name, secret) {
					t.Fatalf("%s: %v", given, err)
				}
			}
		}
	})
}
