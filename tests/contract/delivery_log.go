package contract

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// DeliveryLog checks ports.DeliveryLog.
func DeliveryLog(t *testing.T, open func(t *testing.T) WebhooksFixture) {
	runWebhooks(t, open, []webhooksCase{
		{"lists are newest first and at most as long as asked", logOrder},
		{"a page begins after the delivery named", logPages},
		{"a page after an unknown delivery is not found", logUnknownPage},
		{"a list says whether there are more", logMore},
		{"a page holds no more of payloads than fits, but a delivery at least", logLarge},
		{"statuses and types select, both together", logFilters},
		{"a list shows one webhook's deliveries, whole", logWebhook},
		{"a delivery that does not exist is not found", logNotFound},
		{"redelivering takes those of the status, the oldest first", redeliverSelection},
		{"redelivering one takes it alone", redeliverOne},
		{"an error of change on one is returned as it is", redeliverError},
		{"what change refuses among many stays as it is", redeliverRefused},
		{"what is redelivered can be claimed, with a fresh budget", redeliverBudget},
		{"pruning deletes what ended before the times given", pruneTimes},
		{"pruning deletes at most as many as asked, the oldest first", pruneLimit},
		{"what is redelivered is not pruned", pruneRedelivered},
	})
}

// list returns the numbers of the deliveries of the webhook 1 that q selects.
func (f WebhooksFixture) list(t *testing.T, q webhook.Query) []int {
	t.Helper()
	q.Webhook = id(1)
	ds, _, err := f.Log.Deliveries(t.Context(), q)
	if err != nil {
		t.Fatalf("Deliveries(%+v): %v", q, err)
	}
	return numbersOf(ds)
}

// redeliver redelivers those of the webhook 1 that have the status.
func (f WebhooksFixture) redeliver(t *testing.T, r webhook.Redelivery, limit int) int {
	t.Helper()
	n, err := f.Log.Redeliver(t.Context(), webhook.Selection{Webhook: id(1), Redelivery: r}, limit, dueAgain)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func dueAgain(p webhook.Progress) (webhook.Progress, error) { return p.Redeliver(dawn.Add(time.Hour)) }

func cancel(p webhook.Progress) (webhook.Progress, error) { return p.Cancel() }

// every stores one delivery of each status for the webhook 1: 10 is pending, 11 in flight, 12 delivered, 13 dead, 14
// canceled. The webhook 2 has one of each too.
func (f WebhooksFixture) every(t *testing.T) {
	t.Helper()
	f.save(t, hook(1), hook(2))
	for h, base := range map[int]int{1: 10, 2: 20} {
		f.record(t, fresh(base, h), begun(base+1, h), begun(base+2, h), begun(base+3, h), fresh(base+4, h))
		f.settle(t, done(begun(base+2, h), 200), done(begun(base+3, h), webhook.StatusGone))
		if n, err := f.Log.Redeliver(t.Context(), webhook.Selection{Delivery: id(base + 4)}, 1, cancel); err != nil || n != 1 {
			t.Fatalf("cancel: %d, %v", n, err)
		}
	}
}

func logOrder(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	f.record(t, fresh(12, 1), fresh(10, 1), begun(11, 1))
	twin := fresh(13, 1)
	twin.CreatedAt = fresh(12, 1).CreatedAt
	f.record(t, twin)
	f.settle(t, done(begun(11, 1), 200)) // which does not make it newer
	for limit, want := range map[int][]int{10: {13, 12, 11, 10}, 2: {13, 12}, 0: {}, -1: {}} {
		same(t, "listed", want, f.list(t, webhook.Query{Limit: limit}))
	}
}

func logPages(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	want := []int{}
	for n := 40; n > 10; n-- {
		d := fresh(n, 1)
		d.CreatedAt = dawn.Add(time.Duration(n/3) * time.Second) // some at the same time
		d.Type = domain.Type(1 + n%7)
		if n%2 == 0 {
			d.Progress = must(d.Progress.Begin())
		}
		f.record(t, d)
		want = append(want, n)
	}
	got := []int{}
	var before domain.UUID
	for {
		page := f.list(t, webhook.Query{Before: before, Limit: 7})
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		before = id(page[len(page)-1])
		newer := fresh(100+len(got), 1)
		newer.CreatedAt = dawn.Add(time.Hour)
		f.record(t, newer) // which does not move the pages
	}
	same(t, "all pages", want, got)
}

func logUnknownPage(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	f.record(t, fresh(10, 1))
	if _, _, err := f.Log.Deliveries(t.Context(), webhook.Query{Webhook: id(1), Before: id(11), Limit: 5}); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Deliveries = %v; want ErrNotFound", err)
	}
}

// page returns the IDs of the deliveries that q selects, and whether there are more. Their payloads must be those of want.
func (f WebhooksFixture) page(t *testing.T, q webhook.Query, want []webhook.Delivery) (ids []domain.UUID, more bool) {
	t.Helper()
	list, more, err := f.Log.Deliveries(t.Context(), q)
	if err != nil {
		t.Fatalf("Deliveries(%+v): %v", q, err)
	}
	for i := range list {
		if !bytes.Equal(list[i].Payload, want[number(list[i].ID)].Payload) {
			t.Errorf("the payload of delivery %s differs", list[i].ID)
		}
	}
	return idsOf(list, func(d *webhook.Delivery) domain.UUID { return d.ID }), more
}

func logMore(t *testing.T, f WebhooksFixture) {
	ds := []webhook.Delivery{fresh(0, 9), begun(1, 9), fresh(2, 9)}
	f.save(t, hook(9))
	f.record(t, ds...)
	for _, statuses := range [][]webhook.Status{nil, {webhook.Pending, webhook.InFlight}} {
		checkEnds(t, len(ds), func(limit int) ([]domain.UUID, bool) {
			return f.page(t, webhook.Query{Webhook: id(9), Statuses: statuses, Limit: limit}, ds)
		})
	}
}

func logLarge(t *testing.T, f WebhooksFixture) {
	ds := make([]webhook.Delivery, len(largeSizes))
	for i, size := range largeSizes {
		ds[i] = fresh(i, 9)
		ds[i].Payload = bytes.Repeat([]byte("."), size)
	}
	f.save(t, hook(9))
	f.record(t, ds...)
	for _, limit := range []int{500, 2} {
		checkPages(t, fmt.Sprint("limit ", limit), largePages, func(before domain.UUID) ([]domain.UUID, bool) {
			return f.page(t, webhook.Query{Webhook: id(9), Before: before, Limit: limit}, ds)
		})
	}
}

func logFilters(t *testing.T, f WebhooksFixture) {
	f.every(t)
	note := fresh(15, 1)
	note.Type = domain.TypeNoteUpdated
	f.record(t, note)
	notes, jobs := domain.Set(domain.TypeNoteUpdated), domain.Set(domain.TypeJobCompleted, domain.TypeJobFailed)
	for _, c := range []struct {
		why      string
		statuses []webhook.Status
		types    domain.TypeSet
		want     []int
	}{
		{"everything", nil, 0, []int{15, 14, 13, 12, 11, 10}},
		{"pending", []webhook.Status{webhook.Pending}, 0, []int{15, 10}},
		{"in flight", []webhook.Status{webhook.InFlight}, 0, []int{11}},
		{"delivered", []webhook.Status{webhook.Delivered}, 0, []int{12}},
		{"dead", []webhook.Status{webhook.Dead}, 0, []int{13}},
		{"canceled", []webhook.Status{webhook.Canceled}, 0, []int{14}},
		{"several, and one twice", []webhook.Status{webhook.Dead, webhook.Pending, webhook.Dead}, 0, []int{15, 13, 10}},
		{"a type", nil, notes, []int{15}},
		{"several types", nil, jobs, []int{14, 13, 12, 11, 10}},
		{"both", []webhook.Status{webhook.Pending}, jobs, []int{10}},
		{"nothing", []webhook.Status{webhook.Dead}, notes, []int{}},
	} {
		same(t, c.why, c.want, f.list(t, webhook.Query{Statuses: c.statuses, Types: c.types, Limit: 10}))
	}
	same(t, "a page of some", []int{13}, f.list(t, webhook.Query{Statuses: []webhook.Status{webhook.Dead, webhook.Pending}, Before: id(15), Limit: 1}))
}

func logWebhook(t *testing.T, f WebhooksFixture) {
	f.every(t)
	got, _, err := f.Log.Deliveries(t.Context(), webhook.Query{Webhook: id(2), Statuses: []webhook.Status{webhook.Dead}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "listed", []webhook.Delivery{after(begun(23, 2), done(begun(23, 2), webhook.StatusGone))}, got)
	if got, _, err := f.Log.Deliveries(t.Context(), webhook.Query{Webhook: id(3), Limit: 10}); err != nil || len(got) > 0 {
		t.Errorf("deliveries of an unknown webhook: %v, %v", numbersOf(got), err)
	}
}

func logNotFound(t *testing.T, f WebhooksFixture) { f.missing(t, 1) }
