package webhook_test

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
	"github.com/matric/matric-events/domain/webhook"
)

var (
	rules   = webhook.Rules{Blocked: notPublic}
	entropy = bytes.Repeat([]byte{1}, 32)
	id      = domain.UUID{15: 1}
)

func create(t *testing.T, body string) webhook.Webhook {
	t.Helper()
	c, err := webhook.DecodeCreate([]byte(body), rules)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Webhook(id, entropy, noon)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestCreateDefaults(t *testing.T) {
	w := create(t, `{"url":"https://example.com/hook"}`)
	if w.ID != id || w.URL.Reveal() != "https://example.com/hook" || w.Events != 0 || w.Retries.Int() != 11 ||
		w.Description != "" || len(w.Headers.Names()) != 0 || w.Activation != webhook.Active ||
		!w.CreatedAt.Equal(noon) || !w.UpdatedAt.Equal(noon) || w.Health != (webhook.Health{}) {
		t.Errorf("%+v", w)
	}
	want, err := signing.NewSecret(entropy)
	if err != nil || !w.Keys.Current().Equal(want) {
		t.Error("the secret is not made of the entropy")
	}
}

func TestCreateWithEverything(t *testing.T) {
	w := create(t, `{"url":"https://example.com/hook","events":["job.completed","NoteUpdated","from_the_future"],
		"secret":"a secret of my own","max_retries":0,"description":"mine","headers":{"X-Key":"k"},"is_active":false}`)
	if w.Events != domain.Set(domain.TypeJobCompleted, domain.TypeNoteUpdated) || w.Retries.Int() != 0 ||
		w.Description != "mine" || w.Activation != webhook.Paused || w.Keys.Current().Reveal() != "a secret of my own" {
		t.Errorf("%+v", w)
	}
	if diff := cmp.Diff(map[string]string{"X-Key": "k"}, maps.Collect(w.Headers.All())); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestCreateNeedsEntropy(t *testing.T) {
	c, err := webhook.DecodeCreate([]byte(`{"url":"https://example.com/"}`), rules)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Webhook(id, nil, noon); !errors.Is(err, signing.ErrSecret) {
		t.Errorf("no entropy: %v", err)
	}
}

func TestInputErrorsNameTheField(t *testing.T) {
	const valid = `"url":"https://example.com/"`
	for _, tt := range []struct{ reason, members, field string }{
		{"address that is blocked", `"url":"https://127.1/"`, "url"},
		{"URL of the wrong type", `"url":1`, "url"},
		{"unknown events only", valid + `,"events":["weather"]`, "events"},
		{"events of the wrong type", valid + `,"events":"job"`, "events"},
		{"too many retries", valid + `,"max_retries":21`, "max_retries"},
		{"negative retries", valid + `,"max_retries":-1`, "max_retries"},
		{"fraction of a retry", valid + `,"max_retries":1.5`, "max_retries"},
		{"reserved header", valid + `,"headers":{"Host":"x"}`, "headers"},
		{"headers of the wrong type", valid + `,"headers":["x"]`, "headers"},
		{"long description", valid + `,"description":"` + strings.Repeat("é", 501) + `"`, "description"},
		{"NUL in the description", valid + `,"description":"\u0000"`, "description"},
		{"is_active of the wrong type", valid + `,"is_active":"yes"`, "is_active"},
		{"unknown member", valid + `,"color":"red"`, "color"},
		{"member that only the server sets", valid + `,"failure_count":0`, "failure_count"},
		{"no JSON", `"url"`, ""},
	} {
		body := []byte("{" + tt.members + "}")
		_, createErr := webhook.DecodeCreate(body, rules)
		_, patchErr := webhook.DecodePatch(body, rules)
		for _, err := range []error{createErr, patchErr} {
			if fe, ok := errors.AsType[*domain.FieldError](err); !ok || fe.Field != tt.field {
				t.Errorf("%s: %v; want a FieldError of %q", tt.reason, err, tt.field)
			}
		}
	}
	for _, tt := range []struct{ reason, body, field string }{
		{"no URL", `{}`, "url"},
		{"null URL", `{"url":null}`, "url"},
		{"short secret", `{` + valid + `,"secret":"short"}`, "secret"},
		{"empty secret", `{` + valid + `,"secret":""}`, "secret"},
	} {
		_, err := webhook.DecodeCreate([]byte(tt.body), rules)
		if fe, ok := errors.AsType[*domain.FieldError](err); !ok || fe.Field != tt.field {
			t.Errorf("create with %s: %v; want a FieldError of %q", tt.reason, err, tt.field)
		}
	}
	_, err := webhook.DecodePatch([]byte(`{"secret":"a secret of my own"}`), rules)
	if fe, ok := errors.AsType[*domain.FieldError](err); !ok || fe.Field != "secret" {
		t.Errorf("patch of the secret: %v", err)
	}
}

func TestLongDescriptionIsCountedInCharacters(t *testing.T) {
	create(t, `{"url":"https://example.com/","description":"`+strings.Repeat("é", 500)+`"}`)
}

func TestPatch(t *testing.T) {
	before := create(t, `{"url":"https://example.com/","events":["job"],"max_retries":3,"description":"old","headers":{"X-Key":"k"}}`)
	before.Health = webhook.Health{LastTriggeredAt: noon, FailureCount: 7}
	later := noon.Add(time.Hour)
	for _, tt := range []struct {
		reason, body string
		activation   webhook.Activation
		want         func(w *webhook.Webhook)
	}{
		{"nothing", `{}`, webhook.Active, func(*webhook.Webhook) {}},
		{"null leaves a member", `{"description":null,"events":null}`, webhook.Active, func(*webhook.Webhook) {}},
		{"description", `{"description":""}`, webhook.Active, func(w *webhook.Webhook) { w.Description = "" }},
		{"retries", `{"max_retries":20}`, webhook.Active, func(w *webhook.Webhook) { w.Retries, _ = webhook.NewRetries(20) }},
		{"no events named any more", `{"events":[]}`, webhook.Active, func(w *webhook.Webhook) { w.Events = 0 }},
		{"headers are replaced as a whole", `{"headers":{}}`, webhook.Active, func(w *webhook.Webhook) { w.Headers = webhook.Headers{} }},
		{"URL", `{"url":"https://example.org/"}`, webhook.Active, func(w *webhook.Webhook) {
			w.URL, _ = webhook.ParseURL("https://example.org/", rules)
		}},
		{"pausing keeps the failures", `{"is_active":false}`, webhook.Active, func(w *webhook.Webhook) { w.Activation = webhook.Paused }},
		{"enabling a paused one forgets them", `{"is_active":true}`, webhook.Paused, func(w *webhook.Webhook) {
			w.Activation, w.Health.FailureCount = webhook.Active, 0
		}},
		{"enabling one that was gone forgets the reason too", `{"is_active":true}`, webhook.Gone, func(w *webhook.Webhook) {
			w.Activation, w.Health.FailureCount = webhook.Active, 0
		}},
		{"enabling an active one changes nothing", `{"is_active":true}`, webhook.Active, func(*webhook.Webhook) {}},
		{"pausing one that is gone keeps the reason", `{"is_active":false}`, webhook.Gone, func(*webhook.Webhook) {}},
	} {
		p, err := webhook.DecodePatch([]byte(tt.body), rules)
		if err != nil {
			t.Errorf("%s: %v", tt.reason, err)
			continue
		}
		w := before
		w.Activation = tt.activation
		want := w
		want.UpdatedAt = later
		tt.want(&want)
		opaque := []cmp.Option{
			cmp.Comparer(func(a, b webhook.URL) bool { return a == b }),
			cmp.Comparer(func(a, b webhook.Retries) bool { return a == b }),
		}
		if diff := cmp.Diff(want, p.Apply(w, later), opaque...); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.reason, diff)
		}
	}
}

func TestDecodeRotation(t *testing.T) {
	for _, tt := range []struct {
		reason, body string
		want         time.Duration
		ok           bool
	}{
		{"no body", "", 24 * time.Hour, true},
		{"blank body", " \n", 24 * time.Hour, true},
		{"nothing said", "{}", 24 * time.Hour, true},
		{"at once", `{"overlap_seconds":0}`, 0, true},
		{"an hour", `{"overlap_seconds":3600}`, time.Hour, true},
		{"negative", `{"overlap_seconds":-1}`, 0, false},
		{"more than the longest", `{"overlap_seconds":2592001}`, 0, false},
		{"so much that it would overflow", `{"overlap_seconds":9223372036854775807}`, 0, false},
		{"a string", `{"overlap_seconds":"1"}`, 0, false},
		{"a secret", `{"secret":"a secret of my own"}`, 0, false},
	} {
		got, err := webhook.DecodeRotation([]byte(tt.body))
		if got != tt.want || (err == nil) != tt.ok || err != nil && !errors.Is(err, domain.ErrInvalid) {
			t.Errorf("%s: %s, %v", tt.reason, got, err)
		}
	}
}

func TestDecodeRedelivery(t *testing.T) {
	for _, tt := range []struct {
		reason, body string
		want         webhook.Redelivery
		field        string
	}{
		{reason: "no body", want: webhook.Redelivery{Status: webhook.Dead}},
		{reason: "nothing said", body: "{}", want: webhook.Redelivery{Status: webhook.Dead}},
		{
			reason: "delivered ones since noon", body: `{"status":"delivered","since":"2026-11-23T12:00:00Z"}`,
			want: webhook.Redelivery{Status: webhook.Delivered, Since: noon},
		},
		{reason: "those under way", body: `{"status":"pending"}`, field: "status"},
		{reason: "unknown status", body: `{"status":"lost"}`, field: "status"},
		{reason: "no time", body: `{"since":"yesterday"}`, field: "since"},
		{reason: "unknown member", body: `{"until":1}`, field: "until"},
	} {
		got, err := webhook.DecodeRedelivery([]byte(tt.body))
		if tt.field != "" {
			if fe, ok := errors.AsType[*domain.FieldError](err); !ok || fe.Field != tt.field {
				t.Errorf("%s: %v", tt.reason, err)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.reason, err, diff)
		}
	}
}
