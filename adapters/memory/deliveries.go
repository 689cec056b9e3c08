package memory

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// dueHeap holds the pending deliveries of a webhook, the longest due first. An entry is stale when its delivery has moved
// on; whoever comes across it drops it.
type dueHeap []dueEntry

type dueEntry struct {
	row *deliveryRow
	at  time.Time
}

func (e dueEntry) stale() bool {
	r := e.row.Progress.Record()
	return r.Status != webhook.Pending || !r.DueAt.Equal(e.at)
}

// Len implements heap.Interface.
func (h dueHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h dueHeap) Less(i, j int) bool {
	return cmp.Or(h[i].at.Compare(h[j].at), compareIDs(h[i].row.ID, h[j].row.ID)) < 0
}

// Swap implements heap.Interface.
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(dueEntry)) }

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = dueEntry{}
	*h = (*h)[:last]
	return x
}

func compareIDs(a, b domain.UUID) int { return slices.Compare(a[:], b[:]) }

// next returns the delivery that has been due for longest, or is due first, and when; nil when none is pending.
func (h *hookRow) next() (*deliveryRow, time.Time) {
	for len(h.due) > 0 {
		if first := h.due[0]; !first.stale() {
			return first.row, first.at
		}
		heap.Pop(&h.due)
	}
	return nil, time.Time{}
}

// move gives the row its next progress.
func (r *deliveryRow) move(p webhook.Progress, lease domain.UUID) {
	r.Progress, r.lease, r.endedAt = p, domain.UUID{}, time.Time{}
	switch p.Status() {
	case webhook.Pending:
		heap.Push(&r.hook.due, dueEntry{r, p.Record().DueAt})
	case webhook.InFlight:
		r.lease = lease
	case webhook.Delivered:
		r.endedAt = p.Record().DeliveredAt
	default:
		r.endedAt = time.Now()
	}
}

// Record implements ports.Deliveries. A delivery that it has stored before, under the same ID, is not left out: when an
// answer is lost, call it again.
func (s *WebhookStore) Record(ctx context.Context, lease domain.UUID, ds []webhook.Delivery) (left []domain.UUID, err error) {
	err = s.call(ctx, "Record", func() error {
		for i := range ds {
			if s.deliveries[ds[i].ID] == nil && !s.insert(ds[i], lease) {
				left = append(left, ds[i].ID)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return left, nil
}

func (s *WebhookStore) insert(d webhook.Delivery, lease domain.UUID) bool {
	_, hook := s.hook(d.Webhook)
	if hook == nil || hook.events[d.Event] {
		return false
	}
	row := &deliveryRow{Delivery: d, hook: hook}
	row.move(d.Progress, lease)
	hook.events[d.Event] = true
	hook.deliveries = append(hook.deliveries, row)
	s.deliveries[d.ID] = row
	return true
}

// claim is a delivery that was put in flight.
type claim struct {
	row      *deliveryRow
	before   webhook.Progress
	delivery webhook.Delivery // afterwards
}

// Claim implements ports.Deliveries. What a call has claimed that returned an error, the next one gives back first.
func (s *WebhookStore) Claim(ctx context.Context, lease domain.UUID, now time.Time, rooms []webhook.Room) (claimed []webhook.Delivery, next map[domain.UUID]time.Time, err error) {
	var taken []claim
	err = s.call(ctx, "Claim", func() error {
		s.giveBack()
		next = map[domain.UUID]time.Time{}
		for _, room := range rooms {
			_, hook := s.hook(room.Webhook)
			if hook == nil {
				continue
			}
			for range room.Places {
				row, due := hook.next()
				if row == nil || due.After(now) {
					break
				}
				before := row.Progress
				after, err := before.Begin()
				if err != nil {
					return err
				}
				row.move(after, lease)
				taken = append(taken, claim{row, before, row.Delivery})
			}
			if row, due := hook.next(); row != nil {
				next[room.Webhook] = due
			}
		}
		return nil
	})
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lost = append(s.lost, taken...)
		return nil, nil, err
	}
	slices.SortFunc(taken, func(a, b claim) int {
		return cmp.Or(a.before.Record().DueAt.Compare(b.before.Record().DueAt), compareIDs(a.row.ID, b.row.ID))
	})
	for _, c := range taken {
		claimed = append(claimed, c.delivery)
	}
	return claimed, next, nil
}

// giveBack undoes the claims whose answer was lost.
func (s *WebhookStore) giveBack() {
	for _, l := range s.lost {
		if l.row.Progress == l.delivery.Progress {
			l.row.move(l.before, domain.UUID{})
		}
	}
	s.lost = nil
}

// Settle implements ports.Deliveries.
func (s *WebhookStore) Settle(ctx context.Context, lease domain.UUID, done []webhook.Settled, states []webhook.State) (fenced []domain.UUID, err error) {
	err = s.call(ctx, "Settle", func() error {
		for i := range done {
			row := s.deliveries[done[i].Delivery]
			if row == nil || row.Progress.Status() != webhook.InFlight || row.lease != lease {
				fenced = append(fenced, done[i].Delivery)
				continue
			}
			row.move(done[i].Progress, lease)
			if a := done[i].Attempt; a.Number > 0 {
				a.Outcome.Detail = "" // for logs only
				row.Last = a.Outcome
				row.attempts = append(row.attempts, a)
				if status := row.Progress.Status(); status == webhook.Dead || status == webhook.Canceled {
					row.endedAt = a.Outcome.StartedAt.Add(a.Outcome.Timings.Total)
				}
			}
		}
		for _, state := range states {
			_, h := s.hook(state.Webhook)
			if h == nil {
				continue
			}
			h.Health = state.Health
			if h.Activation == webhook.Active && state.Activation == webhook.Gone { // the rest is for Change to say
				h.Activation, h.UpdatedAt = state.Activation, state.UpdatedAt
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fenced, nil
}

// TakeOver implements ports.Deliveries.
func (s *WebhookStore) TakeOver(ctx context.Context, lease domain.UUID, now time.Time) (next map[domain.UUID]time.Time, err error) {
	err = s.call(ctx, "TakeOver", func() error {
		next = map[domain.UUID]time.Time{}
		for _, hook := range s.hooks {
			for _, row := range hook.deliveries {
				if row.Progress.Status() == webhook.InFlight && row.lease != lease {
					p, err := row.Progress.Release(now)
					if err != nil {
						return err
					}
					row.move(p, domain.UUID{})
				}
			}
			if row, due := hook.next(); row != nil {
				next[hook.ID] = due
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}
