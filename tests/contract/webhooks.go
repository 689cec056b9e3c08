package contract

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

// WebhooksFixture is an adapter of ports.Webhooks, ports.Deliveries and ports.DeliveryLog with nothing stored.
type WebhooksFixture struct {
	Webhooks   ports.Webhooks
	Deliveries ports.Deliveries
	Log        ports.DeliveryLog
	Meter      ports.DeliveryMeter
	// Reopen closes the adapter and returns it as a new process finds it.
	Reopen func(t *testing.T) WebhooksFixture
	// Stolen returns what somebody finds who gets hold of the stored webhooks.
	Stolen func(t *testing.T) []byte
}

// webhooksCase is one promise.
type webhooksCase struct {
	name string
	run  func(t *testing.T, f WebhooksFixture)
}

func runWebhooks(t *testing.T, open func(t *testing.T) WebhooksFixture, cases []webhooksCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// Webhooks checks ports.Webhooks.
func Webhooks(t *testing.T, open func(t *testing.T) WebhooksFixture) {
	runWebhooks(t, open, []webhooksCase{
		{"a webhook comes back as it was stored", hooksRoundTrip},
		{"secrets and header values are stored encrypted", hooksEncrypted},
		{"all webhooks are listed, the oldest first", hooksOrder},
		{"change gets the webhook as it is, nil when there is none", hooksCurrent},
		{"what change returns replaces the webhook", hooksReplace},
		{"nil deletes the webhook and its deliveries, and no others", hooksDelete},
		{"an error of change is returned as it is and stores nothing", hooksChangeError},
		{"change sees no concurrent change of the same webhook", hooksConcurrent},
		{"change sees no concurrent creation of the same webhook", hooksConcurrentCreation},
		{"webhooks outlive the process", hooksRestart},
	})
}

// sameWebhooks lets cmp look at webhooks and deliveries.
var sameWebhooks = cmp.Options{
	cmp.AllowUnexported(webhook.Retries{}),
	cmp.Comparer(func(a, b webhook.URL) bool { return a == b }),
	cmp.Comparer(webhook.Headers.Equal), cmp.Comparer(signing.Keys.Equal), cmp.Comparer(time.Time.Equal),
	cmp.Comparer(func(a, b webhook.Progress) bool { return a.Record() == b.Record() }),
}

var dawn = time.Date(2026, 11, 23, 12, 41, 48, 123456e3, time.UTC)

const (
	hookSecret  = "a secret of this test, number"
	hookRetired = "a secret of earlier, number"
	hookHeader  = "Bearer-of-this-test"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// hook returns a webhook whose members depend on n and are all set.
func hook(n int) webhook.Webhook {
	at := dawn.Add(time.Duration(n) * time.Second)
	secret := func(s string) signing.Secret { return must(signing.ParseSecret(fmt.Sprint(s, " ", n))) }
	return webhook.Webhook{
		ID: id(n),
		Config: webhook.Config{
			URL:    must(webhook.ParseURL(fmt.Sprintf("http://receiver.example:8080/%d?x=%%20y", n), webhook.Rules{AllowHTTP: true})),
			Events: domain.Set(domain.TypeJobCompleted, domain.TypeQueueStatus), Retries: must(webhook.NewRetries(n % 21)),
			Description: "It's “quoted” \\ and\nlong",
			Headers:     must(webhook.NewHeaders(map[string]string{"Authorization": hookHeader, "X-Empty": ""})),
		},
		Keys: must(signing.NewKeys(secret(hookSecret), signing.Retired{Secret: secret(hookRetired), Until: at.Add(time.Hour)},
			signing.Retired{Secret: secret("another one, number"), Until: at.Add(2 * time.Hour)})),
		Health:    webhook.Health{LastTriggeredAt: at.Add(time.Minute), FailureCount: 3},
		CreatedAt: at, UpdatedAt: at.Add(time.Second),
	}
}

// save stores webhooks.
func (f WebhooksFixture) save(t *testing.T, hooks ...webhook.Webhook) {
	t.Helper()
	for _, w := range hooks {
		if err := f.Webhooks.Change(t.Context(), w.ID, func(*webhook.Webhook) (*webhook.Webhook, error) { return &w, nil }); err != nil {
			t.Fatal(err)
		}
	}
}

func (f WebhooksFixture) remove(t *testing.T, hook domain.UUID) {
	t.Helper()
	if err := f.Webhooks.Change(t.Context(), hook, func(*webhook.Webhook) (*webhook.Webhook, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
}

// hooks fails the test unless exactly these are stored, in this order.
func (f WebhooksFixture) hooks(t *testing.T, want ...webhook.Webhook) {
	t.Helper()
	got, err := f.Webhooks.Webhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want == nil {
		want = []webhook.Webhook{}
	}
	if d := cmp.Diff(want, got, sameWebhooks); d != "" {
		t.Errorf("webhooks (-want +got):\n%s", d)
	}
}

func hooksRoundTrip(t *testing.T, f WebhooksFixture) {
	f.hooks(t)
	least := webhook.Webhook{
		ID: id(2), Config: webhook.Config{URL: hook(2).URL}, CreatedAt: dawn.Add(time.Hour), UpdatedAt: dawn.Add(time.Hour),
		Keys: must(signing.NewKeys(must(signing.ParseSecret("sixteen is least")))),
	}
	paused, gone := hook(3), hook(4)
	paused.Activation, gone.Activation = webhook.Paused, webhook.Gone
	f.save(t, hook(1), paused, gone, least)
	f.hooks(t, hook(1), paused, gone, least)
}

func hooksEncrypted(t *testing.T, f WebhooksFixture) {
	w := hook(1)
	key := bytes.Repeat([]byte{0xfe, 1, 2, 3}, 8)
	standard := must(signing.NewSecret(key))
	w.Keys = must(signing.NewKeys(standard, w.Keys.Retired()...))
	f.save(t, w)
	stolen := f.Stolen(t)
	if !bytes.Contains(stolen, []byte("receiver.example")) {
		t.Fatal("this is not where webhooks are stored")
	}
	for _, plain := range []string{hookSecret, hookRetired, hookHeader, standard.Reveal(), string(key)} {
		for _, form := range []string{plain, base64.StdEncoding.EncodeToString([]byte(plain)), fmt.Sprintf("%x", plain)} {
			if bytes.Contains(stolen, []byte(form)) {
				t.Errorf("%q can be read", form)
			}
		}
	}
}

func hooksOrder(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(3), hook(1), hook(2))
	again := hook(1)
	again.Description, again.UpdatedAt = "changed last", dawn.Add(time.Hour)
	f.save(t, again)
	f.hooks(t, again, hook(2), hook(3))
}

func hooksCurrent(t *testing.T, f WebhooksFixture) {
	w := hook(1)
	for _, want := range []*webhook.Webhook{nil, &w} {
		if err := f.Webhooks.Change(t.Context(), w.ID, func(current *webhook.Webhook) (*webhook.Webhook, error) {
			if d := cmp.Diff(want, current, sameWebhooks); d != "" {
				t.Errorf("current (-want +got):\n%s", d)
			}
			return &w, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func hooksReplace(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2))
	other := hook(9)
	other.ID, other.CreatedAt, other.Activation = id(1), hook(1).CreatedAt, webhook.Paused
	f.save(t, other)
	f.hooks(t, other, hook(2))
}

func hooksDelete(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2))
	f.record(t, fresh(10, 1), fresh(11, 1), fresh(12, 2), begun(13, 1))
	f.settle(t, done(begun(13, 1), 500))
	f.remove(t, id(1))
	f.hooks(t, hook(2))
	for n, kept := range map[int]bool{10: false, 11: false, 12: true, 13: false} {
		if _, _, err := f.Log.Delivery(t.Context(), id(n)); kept && err != nil || !kept && !errors.Is(err, domain.ErrNotFound) {
			t.Errorf("delivery %d: %v; want it kept: %t", n, err, kept)
		}
	}
	f.remove(t, id(1)) // nothing is there to delete
	f.hooks(t, hook(2))
}

func hooksChangeError(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	refusal := errors.New("refused")
	for n := range 3 {
		next := hook(n)
		next.Description = "changed"
		for _, w := range []*webhook.Webhook{&next, nil} {
			err := f.Webhooks.Change(t.Context(), id(n), func(*webhook.Webhook) (*webhook.Webhook, error) { return w, refusal })
			if err != refusal { //nolint:errorlint // it must be the very error
				t.Errorf("Change = %v; want the error of change", err)
			}
		}
	}
	f.hooks(t, hook(1))
}

func hooksConcurrent(t *testing.T, f WebhooksFixture) {
	const writers, each = 6, 10
	start := hook(1)
	start.Health.FailureCount = 0
	f.save(t, start, hook(2))
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := f.Webhooks.Change(t.Context(), start.ID, func(current *webhook.Webhook) (*webhook.Webhook, error) {
					next := *current
					next.Health.FailureCount++
					return &next, nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	start.Health.FailureCount = writers * each
	f.hooks(t, start, hook(2))
}

func hooksConcurrentCreation(t *testing.T, f WebhooksFixture) {
	var mu sync.Mutex
	var seen []string
	var wg sync.WaitGroup
	for n := range 6 {
		wg.Go(func() {
			if err := f.Webhooks.Change(t.Context(), id(1), func(current *webhook.Webhook) (*webhook.Webhook, error) {
				if current != nil {
					return current, nil
				}
				mu.Lock()
				defer mu.Unlock()
				next := hook(1)
				next.Description = fmt.Sprint("by ", n)
				seen = append(seen, next.Description)
				return &next, nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := f.Webhooks.Webhooks(t.Context())
	if err != nil || len(all) != 1 || len(seen) != 1 || all[0].Description != seen[0] {
		t.Errorf("created %s; stored are %d, %v", strings.Join(seen, ", "), len(all), err)
	}
}

func hooksRestart(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2))
	f = f.Reopen(t)
	f.hooks(t, hook(1), hook(2))
	f.save(t, hook(3))
	f.hooks(t, hook(1), hook(2), hook(3))
}
