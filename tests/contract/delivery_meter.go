package contract

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain/webhook"
)

// DeliveryMeter checks ports.DeliveryMeter.
func DeliveryMeter(t *testing.T, open func(t *testing.T) WebhooksFixture) {
	runWebhooks(t, open, []webhooksCase{
		{"an empty store has no backlog", meterEmpty},
		{"the backlog is what is pending, in flight and dead, over all webhooks", meterCounts},
	})
}

func (f WebhooksFixture) backlog(t *testing.T, want ...webhook.Backlog) {
	t.Helper()
	got, err := f.Meter.Backlog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if d := cmp.Diff(want, got, sameWebhooks); d != "" {
		t.Errorf("backlog -want +got:\n%s", d)
	}
}

func meterEmpty(t *testing.T, f WebhooksFixture) {
	f.backlog(t)
	f.save(t, hook(1))
	f.backlog(t)
}

func meterCounts(t *testing.T, f WebhooksFixture) {
	f.every(t)
	f.record(t, fresh(30, 1))
	f.backlog(t,
		webhook.Backlog{Status: webhook.Pending, Count: 3, Oldest: fresh(10, 1).CreatedAt},
		webhook.Backlog{Status: webhook.InFlight, Count: 2, Oldest: begun(11, 1).CreatedAt},
		webhook.Backlog{Status: webhook.Dead, Count: 2, Oldest: begun(13, 1).CreatedAt},
	)
}
