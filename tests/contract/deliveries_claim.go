package contract

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

func claimOrder(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2))
	f.record(t, fresh(14, 1), fresh(10, 1), fresh(12, 2), begun(11, 1), fresh(13, 1), fresh(20, 1))
	claimed, _ := f.claim(t, dawn.Add(9*time.Millisecond), 10, 10)
	same(t, "claimed before anything is due", []int{}, numbersOf(claimed))
	claimed, _ = f.claim(t, dawn.Add(14*time.Millisecond), 10, 10)
	same(t, "claimed", []int{10, 12, 13, 14}, numbersOf(claimed))
	claimed, _ = f.claim(t, dawn.Add(14*time.Millisecond), 10, 10)
	same(t, "claimed again", []int{}, numbersOf(claimed))
	claimed, _ = f.claim(t, dawn.Add(time.Hour), 10, 10)
	same(t, "claimed later", []int{20}, numbersOf(claimed))
}

func claimRooms(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2), hook(3))
	for n := range 5 {
		f.record(t, fresh(10+n, 1), fresh(20+n, 2), fresh(30+n, 3))
	}
	claimed, _ := f.claim(t, dawn.Add(time.Hour), 2, 0)
	same(t, "claimed", []int{10, 11}, numbersOf(claimed))
	claimed, _ = f.claim(t, dawn.Add(time.Hour), 1, 3)
	same(t, "claimed", []int{12, 20, 21, 22}, numbersOf(claimed))
	f.save(t, hook(4))
	f.record(t, fresh(44, 4), fresh(41, 4), fresh(43, 4), fresh(42, 4))
	claimed, _ = f.claim(t, dawn.Add(time.Hour), 0, 0, 0, 3)
	same(t, "claimed of what was recorded in another order", []int{41, 42, 43}, numbersOf(claimed))
	claimed, next := f.claim(t, dawn.Add(time.Hour))
	if len(claimed) > 0 || len(next) > 0 {
		t.Errorf("a claim for nobody = %v, %v", numbersOf(claimed), next)
	}
}

func claimInFlight(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1))
	first := begun(10, 1)
	f.record(t, first, fresh(11, 1))
	failed := done(first, 500)
	f.settle(t, failed)
	claimed, _ := f.claim(t, dawn.Add(time.Hour), 10)
	again := after(first, failed)
	again.Progress = must(again.Progress.Begin())
	same(t, "claimed", []webhook.Delivery{begun(11, 1), again}, claimed)
	f.stored(t, begun(11, 1))
	f.stored(t, again, failed.Attempt)
	f.settle(t, done(begun(11, 1), 200), done(again, 200)) // they are under this lease
}

func claimNext(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2), hook(3), hook(4))
	f.record(t, fresh(10, 1), fresh(11, 1), fresh(12, 1), fresh(20, 2), begun(30, 3), fresh(40, 4))
	_, next := f.claim(t, dawn.Add(11*time.Millisecond), 1, 5, 5)
	same(t, "next", map[domain.UUID]time.Time{id(1): fresh(11, 1).CreatedAt, id(2): fresh(20, 2).CreatedAt}, next)
	_, next = f.claim(t, dawn.Add(time.Hour), 5, 0, 5)
	same(t, "next without room", map[domain.UUID]time.Time{id(2): fresh(20, 2).CreatedAt}, next)
}

func claimFair(t *testing.T, f WebhooksFixture) {
	f.save(t, hook(1), hook(2))
	var backlog []webhook.Delivery
	for n := range 2000 {
		backlog = append(backlog, fresh(1000+n, 1))
	}
	f.record(t, append(backlog, fresh(5000, 2))...)
	claimed, _ := f.claim(t, dawn.Add(time.Hour), 3, 3)
	same(t, "claimed", []int{1000, 1001, 1002, 5000}, numbersOf(claimed))
}

func claimConcurrent(t *testing.T, f WebhooksFixture) {
	const count, claimers = 300, 6
	f.save(t, hook(1), hook(2))
	var ds []webhook.Delivery
	for n := range count {
		ds = append(ds, fresh(1000+n, 1+n%2))
	}
	f.record(t, ds...)
	rooms := []webhook.Room{{Webhook: id(1), Places: 7}, {Webhook: id(2), Places: 7}}
	var mu sync.Mutex
	var got []int
	var wg sync.WaitGroup
	for c := range claimers {
		wg.Go(func() {
			for {
				claimed, next, err := f.Deliveries.Claim(t.Context(), id(1<<20+c), dawn.Add(time.Hour), rooms)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				got = append(got, numbersOf(claimed)...)
				mu.Unlock()
				if err != nil || len(claimed) == 0 && len(next) == 0 {
					return
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(got)
	same(t, "claimed", numbersOf(ds), got)
}
