package contract

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// released settles a delivery by giving its attempt back.
func released(d webhook.Delivery, now time.Time) webhook.Settled {
	return webhook.Settled{Delivery: d.ID, Webhook: d.Webhook, Progress: must(d.Progress.Release(now))}
}

func settleOutcomes(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	for n, status := range map[int]int{10: 200, 11: 500, 12: webhook.StatusGone, 13: 0} {
		d := begun(n, 1)
		f.record(t, d)
		s := done(d, status)
		f.settle(t, s)
		f.stored(t, after(d, s), s.Attempt)
	}
	claimed, next := f.claim(t, dawn.Add(time.Second), 10)
	if len(claimed) > 0 || !next[id(1)].Equal(done(begun(11, 1), 500).Progress.Record().DueAt) {
		t.Errorf("claimed %v, next %v; want none before the first retry is due", numbersOf(claimed), next)
	}
	claimed, _ = f.claim(t, dawn.Add(time.Hour), 10)
	same(t, "retried", []int{11, 13}, numbersOf(claimed))
	s := done(claimed[0], 503)
	f.settle(t, s)
	f.stored(t, after(claimed[0], s), done(begun(11, 1), 500).Attempt, s.Attempt)
	claimed, _ = f.claim(t, dawn.Add(24*time.Hour), 10)
	last := done(claimed[0], 200)
	f.settle(t, last)
	f.stored(t, after(claimed[0], last), done(begun(11, 1), 500).Attempt, s.Attempt, last.Attempt)
}

func settleReleased(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	first := begun(10, 1)
	f.record(t, first, begun(11, 1))
	failed, back := done(first, 500), released(begun(11, 1), dawn.Add(time.Second))
	f.settle(t, failed, back)
	f.stored(t, after(begun(11, 1), back))
	claimed, _ := f.claim(t, dawn.Add(time.Hour), 10)
	same(t, "claimed", []int{11, 10}, numbersOf(claimed))
	again := released(claimed[1], dawn.Add(time.Hour))
	f.settle(t, again)
	f.stored(t, after(claimed[1], again), failed.Attempt)
	claimed, _ = f.claim(t, dawn.Add(time.Hour), 10)
	last := done(claimed[0], 200)
	f.settle(t, last)
	f.stored(t, after(claimed[0], last), failed.Attempt, last.Attempt)
}

func settleFenced(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2))
	ended := done(begun(11, 1), 500)
	f.record(t, begun(10, 1), begun(11, 1), begun(12, 1), fresh(13, 1), begun(14, 2))
	f.settle(t, ended)
	f.remove(t, id(2))
	lost := []webhook.Settled{
		done(begun(14, 2), 200), // its webhook is gone
		done(begun(11, 1), 200), // settled before
		done(begun(13, 1), 200), // was never in flight
		done(begun(15, 1), 200), // was never there
	}
	fenced, err := f.Deliveries.Settle(t.Context(), lease, append(lost, done(begun(12, 1), 200)), nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "fenced", []domain.UUID{id(14), id(11), id(13), id(15)}, fenced)
	f.stored(t, after(begun(11, 1), ended), ended.Attempt)
	f.stored(t, after(begun(12, 1), done(begun(12, 1), 200)), done(begun(12, 1), 200).Attempt)
	f.stored(t, fresh(13, 1))
	f.missing(t, 14, 15)

	second := begun(10, 1)
	for _, s := range []webhook.Settled{done(second, 200), done(second, 500), released(second, dawn)} {
		fenced, err := f.Deliveries.Settle(t.Context(), otherLease, []webhook.Settled{s}, nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "fenced under another lease", []domain.UUID{id(10)}, fenced)
	}
	f.stored(t, second)
}

func settleAllOrNone(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	f.record(t, begun(10, 1), begun(11, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	gone := hook(1).State()
	gone.Activation = webhook.Gone
	if _, err := f.Deliveries.Settle(ctx, lease, []webhook.Settled{done(begun(10, 1), 200)}, []webhook.State{gone}); err == nil {
		t.Error("Settle succeeded with a context that had ended")
	}
	bad := done(begun(11, 1), 500)
	bad.Attempt.Outcome.Body = "\x00\xff" // what KeepBody would never return: whether or not this is refused
	if _, err := f.Deliveries.Settle(t.Context(), lease, []webhook.Settled{done(begun(10, 1), 200), bad}, []webhook.State{gone}); err == nil {
		return
	}
	f.stored(t, begun(10, 1))
	f.stored(t, begun(11, 1))
	f.hooks(t, hook(1))
}

func settleHealth(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2), hook(3))
	var states []webhook.State
	want := []webhook.Webhook{hook(1), hook(2), hook(3)}
	for _, n := range []int{1, 0} { // in no order
		want[n].Health = webhook.Health{LastTriggeredAt: dawn.Add(time.Duration(n) * time.Hour), FailureCount: n * 7}
		s := want[n].State()
		s.UpdatedAt = dawn.Add(time.Hour) // of a change elsewhere, which is stored by Change
		states = append(states, s)
	}
	states = append(states, webhook.State{Webhook: id(9)}) // is gone
	if fenced, err := f.Deliveries.Settle(t.Context(), lease, nil, states); err != nil || len(fenced) > 0 {
		t.Fatalf("Settle = %v, %v", fenced, err)
	}
	f.hooks(t, want...)
}

func settleGone(t *testing.T, f WebhooksFixture) {
	active, paused, gone := hook(1), hook(2), hook(3)
	paused.Activation, gone.Activation = webhook.Paused, webhook.Gone
	f.save(t, active, paused, gone)
	var states []webhook.State
	for _, w := range []webhook.Webhook{active, paused, gone} {
		s := w.State()
		s.Activation, s.UpdatedAt = webhook.Gone, dawn.Add(time.Hour)
		states = append(states, s)
	}
	if _, err := f.Deliveries.Settle(t.Context(), lease, nil, states); err != nil {
		t.Fatal(err)
	}
	active.Activation, active.UpdatedAt = webhook.Gone, dawn.Add(time.Hour)
	f.hooks(t, active, paused, gone)
	for _, w := range []webhook.Webhook{active, paused, gone} { // a client may have disabled or deleted it meanwhile, but not enabled
		s := w.State()
		s.Activation, s.UpdatedAt = webhook.Active, dawn.Add(2*time.Hour)
		if _, err := f.Deliveries.Settle(t.Context(), lease, nil, []webhook.State{s}); err != nil {
			t.Fatal(err)
		}
	}
	f.hooks(t, active, paused, gone)
}

func settleRace(t *testing.T, f WebhooksFixture) {
	const rounds, each = 6, 10
	f.save(t, hook(1))
	for round := range rounds {
		var ds []webhook.Delivery
		var results []webhook.Settled
		for i := range each {
			d := begun(1000+round*each+i, 1)
			ds, results = append(ds, d), append(results, done(d, 200))
		}
		f.record(t, ds...)
		var fenced []domain.UUID
		var wg sync.WaitGroup
		wg.Go(func() {
			var err error
			if fenced, err = f.Deliveries.Settle(t.Context(), lease, results, nil); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := f.Deliveries.TakeOver(t.Context(), otherLease, dawn.Add(time.Hour)); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		lost := map[domain.UUID]bool{}
		for _, id := range fenced {
			lost[id] = true
		}
		for i, d := range ds {
			if lost[d.ID] {
				d.Progress = webhook.NewProgress(dawn.Add(time.Hour))
				f.stored(t, d)
			} else {
				f.stored(t, after(d, results[i]), results[i].Attempt)
			}
		}
		f.claim(t, dawn.Add(time.Hour), each) // what was taken over is not in the way of the next round
	}
}

func takeOver(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2))
	first, ended := begun(10, 1), done(begun(12, 1), 200)
	failed := done(first, 500)
	f.record(t, first, begun(11, 2), begun(12, 1), fresh(13, 1))
	f.settle(t, failed, ended)
	if left, err := f.Deliveries.Record(t.Context(), otherLease, []webhook.Delivery{begun(20, 1)}); err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	now := dawn.Add(10 * time.Hour)
	f.claim(t, now, 10) // 10 and 13
	if _, err := f.Deliveries.TakeOver(t.Context(), otherLease, now); err != nil {
		t.Fatal(err)
	}
	back := after(first, failed)
	back.Progress = must(must(back.Progress.Begin()).Release(now))
	f.stored(t, back, failed.Attempt)
	for _, d := range []webhook.Delivery{fresh(11, 2), fresh(13, 1)} {
		d.Progress = webhook.NewProgress(now)
		f.stored(t, d)
	}
	f.stored(t, begun(20, 1)) // its own
	f.stored(t, after(begun(12, 1), ended), ended.Attempt)
	claimed, _ := f.claim(t, now, 10, 10)
	same(t, "claimed", []int{10, 11, 13}, numbersOf(claimed))
}

func takeOverNext(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2), hook(3), hook(4))
	f.record(t, fresh(10, 1), fresh(11, 1), begun(12, 1), begun(20, 2), fresh(30, 3), begun(40, 4))
	f.settle(t, done(begun(40, 4), 200))
	now := dawn.Add(time.Hour)
	next, err := f.Deliveries.TakeOver(t.Context(), otherLease, now)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "next", map[domain.UUID]time.Time{id(1): fresh(10, 1).CreatedAt, id(2): now, id(3): fresh(30, 3).CreatedAt}, next)
}

func takeOverRestart(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	f.record(t, begun(10, 1))
	f = f.Reopen(t)
	now := dawn.Add(time.Hour)
	if _, err := f.Deliveries.TakeOver(t.Context(), otherLease, now); err != nil {
		t.Fatal(err)
	}
	d := fresh(10, 1)
	d.Progress = webhook.NewProgress(now)
	f.stored(t, d)
	fenced, err := f.Deliveries.Settle(t.Context(), lease, []webhook.Settled{done(begun(10, 1), 200)}, nil)
	if err != nil || len(fenced) != 1 {
		t.Errorf("the old process settles: fenced %v, %v; want its delivery", fenced, err)
	}
}
