package contract

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// Deliveries checks ports.Deliveries.
func Deliveries(t *testing.T, open func(t *testing.T) WebhooksFixture) {
	runWebhooks(t, open, []webhooksCase{
		{"what was recorded is stored, pending or in flight", recordRoundTrip},
		{"a second delivery of an event to a webhook is left out", recordTwice},
		{"a delivery to a webhook that is gone is left out", recordGone},
		{"recorded again under the same IDs, nothing is left out", recordRepeated},
		{"deliveries are recorded all or none", recordAllOrNone},
		{"what was recorded outlives the process", recordRestart},
		{"deliveries meet the deletion of their webhook", recordDuringDeletion},

		{"a claim takes what is due, the longest due first", claimOrder},
		{"a claim takes as many as each webhook has room for", claimRooms},
		{"what is claimed is in flight, as it is returned", claimInFlight},
		{"a claim tells when the first of what is left is due", claimNext},
		{"a backlog of one webhook does not hide the others", claimFair},
		{"no delivery is claimed twice", claimConcurrent},

		{"what became of a delivery is stored, with its attempt", settleOutcomes},
		{"a delivery that is given back keeps its history", settleReleased},
		{"of what is not in flight under the lease nothing is stored", settleFenced},
		{"what was settled is stored all or none", settleAllOrNone},
		{"the webhooks' health is stored", settleHealth},
		{"a receiver's farewell disables an active webhook only", settleGone},
		{"a settlement races with a take-over", settleRace},

		{"a take-over gives back what others had in flight", takeOver},
		{"a take-over tells when the first of each webhook is due", takeOverNext},
		{"a take-over after a restart finds what was in flight", takeOverRestart},
	})
}

// The leases of two processes.
var (
	lease      = id(1 << 20)
	otherLease = id(1<<20 + 1)
)

// fresh returns the pending delivery n of the event n to a webhook.
func fresh(n, hook int) webhook.Delivery {
	at := dawn.Add(time.Duration(n) * time.Millisecond)
	return webhook.Delivery{
		ID: id(n), Webhook: id(hook), Event: id(n + 1<<16), Type: domain.TypeJobCompleted, CreatedAt: at,
		Payload:  []byte(fmt.Sprintf(`{"type":"JobCompleted","n":%d,"text":"é \"quoted\" \\u0000 {} ' \\ NULL"}`, n)),
		Progress: webhook.NewProgress(at),
	}
}

// begun returns the same in flight.
func begun(n, hook int) webhook.Delivery {
	d := fresh(n, hook)
	d.Progress = must(d.Progress.Begin())
	return d
}

// outcome returns the outcome of the attempt of a delivery that is in flight, all of its members set.
func outcome(d webhook.Delivery, status int) webhook.Outcome {
	return webhook.Outcome{
		StartedAt: d.CreatedAt.Add(time.Duration(d.Progress.Attempts()) * time.Minute), StatusCode: status, Fault: webhook.ClassBadResponse,
		Timings: webhook.Timings{DNS: 1e3, Connect: 2e6, TLS: 3e6, FirstByte: 4e6, Total: time.Second},
		Body:    fmt.Sprintf("answer %d\n\"é\" {} \\ '", status), RetryAfter: 90 * time.Second,
	}
}

// done settles a delivery that is in flight, with an answer of that status: 200 for success.
func done(d webhook.Delivery, status int) webhook.Settled {
	o := outcome(d, status)
	if status == 200 {
		o.Fault = webhook.ClassNone
	}
	p := must(d.Progress.Settle(o, webhook.Plan{Retries: must(webhook.NewRetries(3))}, o.StartedAt.Add(o.Timings.Total), 0.5))
	return webhook.Settled{Delivery: d.ID, Webhook: d.Webhook, Progress: p, Attempt: webhook.Attempt{Number: d.Progress.Attempts(), Outcome: o}}
}

// after returns the delivery as it is once it was settled so.
func after(d webhook.Delivery, s webhook.Settled) webhook.Delivery {
	d.Progress = s.Progress
	if s.Attempt.Number > 0 {
		d.Last = s.Attempt.Outcome
	}
	return d
}

// record stores deliveries under the lease, and fails the test if one is left out.
func (f WebhooksFixture) record(t *testing.T, ds ...webhook.Delivery) {
	t.Helper()
	if left, err := f.Deliveries.Record(t.Context(), lease, ds); err != nil || len(left) > 0 {
		t.Fatalf("Record left out %v, %v", left, err)
	}
}

// settle settles deliveries under the lease, and fails the test if one is fenced.
func (f WebhooksFixture) settle(t *testing.T, done ...webhook.Settled) {
	t.Helper()
	if fenced, err := f.Deliveries.Settle(t.Context(), lease, done, nil); err != nil || len(fenced) > 0 {
		t.Fatalf("Settle fenced %v, %v", fenced, err)
	}
}

// claim claims under the lease for places in the webhooks 1, 2, and so on.
func (f WebhooksFixture) claim(t *testing.T, now time.Time, places ...int) (claimed []webhook.Delivery, next map[domain.UUID]time.Time) {
	t.Helper()
	var rooms []webhook.Room
	for i, n := range places {
		rooms = append(rooms, webhook.Room{Webhook: id(i + 1), Places: n})
	}
	claimed, next, err := f.Deliveries.Claim(t.Context(), lease, now, rooms)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	return claimed, next
}

// stored fails the test unless the deliveries are stored like this, with these attempts of the last one.
func (f WebhooksFixture) stored(t *testing.T, want webhook.Delivery, attempts ...webhook.Attempt) {
	t.Helper()
	got, history, err := f.Log.Delivery(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, sameWebhooks); d != "" {
		t.Errorf("delivery (-want +got):\n%s", d)
	}
	if d := cmp.Diff(attempts, history, sameWebhooks); d != "" {
		t.Errorf("attempts (-want +got):\n%s", d)
	}
}

// missing fails the test if one of the deliveries is stored.
func (f WebhooksFixture) missing(t *testing.T, ns ...int) {
	t.Helper()
	for _, n := range ns {
		if _, _, err := f.Log.Delivery(t.Context(), id(n)); !errors.Is(err, domain.ErrNotFound) {
			t.Errorf("delivery %d: %v; want ErrNotFound", n, err)
		}
	}
}

// numbersOf returns what identifies the deliveries in this suite.
func numbersOf(ds []webhook.Delivery) []int {
	out := []int{}
	for _, d := range ds {
		out = append(out, number(d.ID))
	}
	return out
}

func number(u domain.UUID) int { return int(u[12])<<24 | int(u[13])<<16 | int(u[14])<<8 | int(u[15]) }

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, sameWebhooks); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func recordRoundTrip(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2))
	ds := []webhook.Delivery{fresh(10, 1), begun(11, 1), begun(10+100, 2)}
	ds[2].Event = ds[0].Event // one event to two webhooks
	f.record(t, ds...)
	for _, d := range ds {
		f.stored(t, d)
	}
	if left, err := f.Deliveries.Record(t.Context(), lease, nil); err != nil || len(left) > 0 {
		t.Errorf("Record of nothing = %v, %v", left, err)
	}
}

func recordTwice(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	f.record(t, begun(10, 1))
	again, twin := fresh(11, 1), fresh(13, 1)
	again.Event, twin.Event = fresh(10, 1).Event, fresh(12, 1).Event
	left, err := f.Deliveries.Record(t.Context(), otherLease, []webhook.Delivery{again, fresh(12, 1), twin})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "left out", []domain.UUID{id(11), id(13)}, left)
	f.stored(t, begun(10, 1))
	f.stored(t, fresh(12, 1))
	f.missing(t, 11, 13)
	f.settle(t, done(begun(10, 1), 200)) // the lease is the one of the first time
}

func recordGone(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2))
	f.remove(t, id(2))
	left, err := f.Deliveries.Record(t.Context(), lease, []webhook.Delivery{begun(10, 2), begun(11, 1), fresh(12, 3)})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "left out", []domain.UUID{id(10), id(12)}, left)
	f.stored(t, begun(11, 1))
	f.missing(t, 10, 12)
}

func recordRepeated(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	ds := []webhook.Delivery{begun(10, 1), fresh(11, 1)}
	f.record(t, ds...)
	f.record(t, append(ds, begun(12, 1))...) // as when the first answer was lost
	for _, d := range append(ds, begun(12, 1)) {
		f.stored(t, d)
	}
}

func recordAllOrNone(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Deliveries.Record(ctx, lease, []webhook.Delivery{begun(10, 1)}); err == nil {
		t.Error("Record succeeded with a context that had ended")
	}
	impossible := begun(13, 1)
	impossible.CreatedAt = dawn.AddDate(1<<20, 0, 0) // beyond what microseconds can count: whether or not this is refused
	impossible.Payload = []byte("\xff\x00")          // and this
	left, err := f.Deliveries.Record(t.Context(), lease, []webhook.Delivery{begun(11, 1), impossible, begun(12, 1)})
	if err != nil {
		f.missing(t, 10, 11, 12, 13)
		return
	}
	if len(left) > 0 {
		t.Errorf("left out %v", left)
	}
	f.missing(t, 10)
	f.stored(t, begun(12, 1))
}

func recordRestart(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	f.record(t, fresh(10, 1), begun(11, 1))
	f = f.Reopen(t)
	f.stored(t, fresh(10, 1))
	f.stored(t, begun(11, 1))
}

func recordDuringDeletion(t *testing.T, f WebhooksFixture) {
	const rounds, each = 8, 4
	var wg sync.WaitGroup
	n := 1000
	for round := range rounds {
		h := round + 1
		f.save(t, hook(h))
		for range 3 {
			ds := []webhook.Delivery{}
			for range each {
				n++
				ds = append(ds, fresh(n, h))
			}
			wg.Go(func() {
				if left, err := f.Deliveries.Record(t.Context(), lease, ds); err != nil || len(left)%each != 0 {
					t.Errorf("left out %v, %v; want all or none", left, err)
				}
			})
		}
		wg.Go(func() { f.remove(t, id(h)) })
	}
	wg.Wait()
	for h := range rounds {
		if got, _, err := f.Log.Deliveries(t.Context(), webhook.Query{Webhook: id(h + 1), Limit: 100}); err != nil || len(got) > 0 {
			t.Errorf("%d deliveries outlive their webhook, %v", len(got), err)
		}
	}
}
