package webhook_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
	"github.com/matric/matric-events/domain/webhook"
)

func TestWants(t *testing.T) {
	for _, tt := range []struct {
		reason string
		events domain.TypeSet
		t      domain.Type
		want   bool
	}{
		{"none named: a job event", 0, domain.TypeJobProgress, true},
		{"none named: a note event", 0, domain.TypeNoteUpdated, true},
		{"none named: QueueStatus is left out", 0, domain.TypeQueueStatus, false},
		{"QueueStatus named", domain.Set(domain.TypeQueueStatus), domain.TypeQueueStatus, true},
		{"all named", domain.AllTypes, domain.TypeQueueStatus, true},
		{"another named", domain.Set(domain.TypeQueueStatus), domain.TypeJobFailed, false},
	} {
		if got := (webhook.Config{Events: tt.events}).Wants(tt.t); got != tt.want {
			t.Errorf("%s: %v", tt.reason, got)
		}
	}
}

func TestHealth(t *testing.T) {
	later := noon.Add(time.Minute)
	before := webhook.Health{LastTriggeredAt: noon, FailureCount: 3}
	for _, tt := range []struct {
		reason  string
		outcome webhook.Outcome
		want    webhook.Health
	}{
		{"success clears the count", webhook.Outcome{StartedAt: later, StatusCode: 200}, webhook.Health{LastTriggeredAt: later}},
		{"failure counts", webhook.Outcome{StartedAt: later, StatusCode: 500}, webhook.Health{LastTriggeredAt: later, FailureCount: 4}},
		{"interrupted says nothing", webhook.Outcome{StartedAt: later, Fault: webhook.ClassInterrupted}, before},
		{
			"an older attempt that ends last does not set the time back",
			webhook.Outcome{StartedAt: noon.Add(-time.Minute), StatusCode: 500},
			webhook.Health{LastTriggeredAt: noon, FailureCount: 4},
		},
	} {
		if got := before.After(tt.outcome); got != tt.want {
			t.Errorf("%s: %+v; want %+v", tt.reason, got, tt.want)
		}
	}
}

func TestGoneDisables(t *testing.T) {
	gone := webhook.Outcome{StartedAt: noon, StatusCode: webhook.StatusGone}
	for _, tt := range []struct {
		reason  string
		before  webhook.Activation
		outcome webhook.Outcome
		want    webhook.Activation
	}{
		{"410", webhook.Active, gone, webhook.Gone},
		{"410 of an attempt that was under way when a client paused it", webhook.Paused, gone, webhook.Paused},
		{"any other failure", webhook.Active, failure, webhook.Active},
	} {
		w := webhook.Webhook{Activation: tt.before}
		got := w.After(tt.outcome, noon)
		changed := tt.want != tt.before
		if got.Activation != tt.want || got.UpdatedAt.Equal(noon) != changed || got.Health.FailureCount != 1 {
			t.Errorf("%s: %+v", tt.reason, got)
		}
	}
}

func TestRotate(t *testing.T) {
	w := create(t, `{"url":"https://example.com/"}`)
	later := noon.Add(time.Minute)
	old := w.Keys.Current()
	got, err := w.Rotate(bytes.Repeat([]byte{2}, 32), later, time.Hour)
	if err != nil || got.Keys.Current().Equal(old) || len(got.Keys.Retired()) != 1 || !got.UpdatedAt.Equal(later) {
		t.Fatalf("Rotate: %v, %+v", err, got)
	}
	if !w.Keys.Current().Equal(old) || len(w.Keys.Retired()) != 0 {
		t.Error("the rotation changed the webhook that it was asked of")
	}
	for range signing.MaxRetired {
		w = got
		got, err = w.Rotate(bytes.Repeat([]byte{3}, 32), later, time.Hour)
	}
	if !errors.Is(err, domain.ErrConflict) || err.Error() == "" {
		t.Errorf("one overlap too many: %v", err)
	}
	if _, err := w.Rotate(nil, later, 0); !errors.Is(err, signing.ErrSecret) {
		t.Errorf("no entropy: %v", err)
	}
}
