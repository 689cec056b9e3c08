package contract

import (
	"errors"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

func redeliverSelection(t *testing.T, f WebhooksFixture) {
	f.every(t)
	for n := 19; n > 15; n-- { // the oldest is stored last
		f.record(t, begun(n, 1))
		f.settle(t, done(begun(n, 1), webhook.StatusGone))
	}
	pending := webhook.Query{Statuses: []webhook.Status{webhook.Pending}, Limit: 20}
	for _, c := range []struct {
		why   string
		r     webhook.Redelivery
		limit int
		want  []int
	}{
		{"none", webhook.Redelivery{Status: webhook.Dead}, 0, []int{10}},
		{"since then", webhook.Redelivery{Status: webhook.Dead, Since: fresh(18, 1).CreatedAt}, 1, []int{18, 10}},
		{"since later", webhook.Redelivery{Status: webhook.Dead, Since: fresh(20, 1).CreatedAt}, 9, []int{18, 10}},
		{"the oldest", webhook.Redelivery{Status: webhook.Dead}, 2, []int{18, 16, 13, 10}},
		{"the rest", webhook.Redelivery{Status: webhook.Dead}, 9, []int{19, 18, 17, 16, 13, 10}},
		{"none left", webhook.Redelivery{Status: webhook.Dead}, 9, []int{19, 18, 17, 16, 13, 10}},
		{"delivered ones", webhook.Redelivery{Status: webhook.Delivered}, 9, []int{19, 18, 17, 16, 13, 12, 10}},
		{"canceled ones", webhook.Redelivery{Status: webhook.Canceled}, 9, []int{19, 18, 17, 16, 14, 13, 12, 10}},
	} {
		before := len(f.list(t, pending))
		n := f.redeliver(t, c.r, c.limit)
		got := f.list(t, pending)
		same(t, c.why, c.want, got)
		if n != len(got)-before {
			t.Errorf("%s: Redeliver = %d; want %d", c.why, n, len(got)-before)
		}
	}
	if got, _, _ := f.Log.Deliveries(t.Context(), webhook.Query{Webhook: id(2), Statuses: []webhook.Status{webhook.Pending}, Limit: 9}); len(got) != 1 {
		t.Errorf("redelivered of another webhook: %v", numbersOf(got))
	}
}

func redeliverOne(t *testing.T, f WebhooksFixture) {
	f.every(t)
	f.record(t, begun(15, 1))
	dead := done(begun(15, 1), webhook.StatusGone)
	f.settle(t, dead)
	if n, err := f.Log.Redeliver(t.Context(), webhook.Selection{Delivery: id(15)}, 1, dueAgain); err != nil || n != 1 {
		t.Errorf("Redeliver = %d, %v", n, err)
	}
	d := after(begun(15, 1), dead)
	d.Progress = must(dueAgain(d.Progress))
	f.stored(t, d, dead.Attempt)
	same(t, "dead", []int{13}, f.list(t, webhook.Query{Statuses: []webhook.Status{webhook.Dead}, Limit: 9}))
	if n, err := f.Log.Redeliver(t.Context(), webhook.Selection{Delivery: id(16)}, 1, dueAgain); n != 0 || !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Redeliver of an unknown one = %d, %v; want ErrNotFound", n, err)
	}
}

func redeliverError(t *testing.T, f WebhooksFixture) {
	f.every(t)
	refusal := errors.New("refused")
	n, err := f.Log.Redeliver(t.Context(), webhook.Selection{Delivery: id(13)}, 1, func(p webhook.Progress) (webhook.Progress, error) {
		return must(dueAgain(p)), refusal
	})
	if n != 0 || err != refusal { //nolint:errorlint // it must be the very error
		t.Errorf("Redeliver = %d, %v; want the error of change", n, err)
	}
	same(t, "dead", []int{13}, f.list(t, webhook.Query{Statuses: []webhook.Status{webhook.Dead}, Limit: 9}))
}

func redeliverRefused(t *testing.T, f WebhooksFixture) {
	f.every(t)
	f.record(t, begun(15, 1))
	f.settle(t, done(begun(15, 1), webhook.StatusGone))
	calls := 0
	n, err := f.Log.Redeliver(t.Context(), webhook.Selection{Webhook: id(1), Redelivery: webhook.Redelivery{Status: webhook.Dead}}, 9,
		func(p webhook.Progress) (webhook.Progress, error) {
			if calls++; calls == 1 {
				return p, errors.New("refused")
			}
			return dueAgain(p)
		})
	if err != nil || n != 1 {
		t.Errorf("Redeliver = %d, %v; want the other one", n, err)
	}
	same(t, "dead", []int{13}, f.list(t, webhook.Query{Statuses: []webhook.Status{webhook.Dead}, Limit: 9}))
}

func redeliverBudget(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	f.record(t, begun(10, 1))
	first := done(begun(10, 1), webhook.StatusGone)
	f.settle(t, first)
	f.redeliver(t, webhook.Redelivery{Status: webhook.Dead}, 1)
	claimed, _ := f.claim(t, dawn.Add(time.Hour), 1)
	if len(claimed) != 1 {
		t.Fatal("it cannot be claimed")
	}
	same(t, "claimed", webhook.Record{Status: webhook.InFlight, Attempts: 2, Forgiven: 1}, claimed[0].Progress.Record())
	second := done(claimed[0], 500)
	f.settle(t, second)
	f.stored(t, after(claimed[0], second), first.Attempt, second.Attempt)
}

func (f WebhooksFixture) prune(t *testing.T, delivered, dead time.Time, limit int) int {
	t.Helper()
	n, err := f.Log.Prune(t.Context(), delivered, dead, limit)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func pruneTimes(t *testing.T, f WebhooksFixture) {
	f.every(t)
	end := func(n int) time.Time { return done(begun(n, 1), 200).Progress.Record().DeliveredAt }
	never, later := time.Time{}, time.Now().Add(time.Hour)
	for _, c := range []struct {
		why             string
		delivered, dead time.Time
		want            []int // of webhook 1; 22, 23 and 24 of webhook 2 ended later, or go with theirs
		deleted         int
	}{
		{"nothing", never, never, []int{14, 13, 12, 11, 10}, 0},
		{"nothing that old", end(12), end(13), []int{14, 13, 12, 11, 10}, 0},
		{"delivered", end(12).Add(time.Microsecond), never, []int{14, 13, 11, 10}, 1},
		{"dead", never, end(13).Add(time.Microsecond), []int{14, 11, 10}, 1},
		{"canceled, and the other webhook's", later, later, []int{11, 10}, 4},
		{"what is under way stays", later, later, []int{11, 10}, 0},
	} {
		if n := f.prune(t, c.delivered, c.dead, 100); n != c.deleted {
			t.Errorf("%s: Prune = %d; want %d", c.why, n, c.deleted)
		}
		same(t, c.why, c.want, f.list(t, webhook.Query{Limit: 10}))
	}
	f.missing(t, 12, 13, 14, 22, 23, 24)
}

func pruneLimit(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	for n := 15; n > 9; n-- {
		f.record(t, begun(n, 1))
		f.settle(t, done(begun(n, 1), 200+n%2*(webhook.StatusGone-200))) // even ones are delivered, odd ones die
	}
	later := dawn.Add(time.Hour)
	for _, c := range []struct {
		limit, deleted int
		want           []int
	}{{0, 0, []int{15, 14, 13, 12, 11, 10}}, {2, 2, []int{15, 14, 13, 11}}, {3, 3, []int{15}}, {3, 1, []int{}}} {
		if n := f.prune(t, later, later, c.limit); n != c.deleted {
			t.Errorf("Prune of %d = %d; want %d", c.limit, n, c.deleted)
		}
		same(t, "left", c.want, f.list(t, webhook.Query{Limit: 10}))
	}
}

func pruneRedelivered(t *testing.T, f WebhooksFixture) {
	f.every(t)
	f.redeliver(t, webhook.Redelivery{Status: webhook.Dead}, 9)
	later := time.Now().Add(time.Hour)
	f.prune(t, later, later, 100)
	same(t, "left", []int{13, 11, 10}, f.list(t, webhook.Query{Limit: 10}))
}
