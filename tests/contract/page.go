package contract

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

// largeSizes are how much content items of a list have, the oldest first, and largePages how they fill its pages, the newest
// first: two fill one to the last byte, two others have a byte too many, one has too much for any, and small ones end the
// list.
var (
	largeSizes = []int{10, 10, domain.MaxPage + 1, domain.MaxPage / 2, domain.MaxPage/2 + 1, domain.MaxPage / 2, domain.MaxPage / 2}
	largePages = [][]int{{6, 5}, {4}, {3}, {2}, {1, 0}}
)

// checkPages follows a list to its end and fails the test unless its pages hold the items with these IDs. read reads one.
func checkPages(t *testing.T, why string, want [][]int, read func(before domain.UUID) (ids []domain.UUID, more bool)) {
	t.Helper()
	ids, more := read(domain.UUID{})
	got := [][]domain.UUID{ids}
	for more && len(ids) > 0 && len(got) <= len(want) {
		ids, more = read(ids[len(ids)-1])
		got = append(got, ids)
	}
	wantIDs := make([][]domain.UUID, len(want))
	for i, page := range want {
		for _, n := range page {
			wantIDs[i] = append(wantIDs[i], id(n))
		}
	}
	if d := cmp.Diff(wantIDs, got); d != "" {
		t.Errorf("%s: pages (-want +got):\n%s", why, d)
	}
}

// checkEnds checks at every limit whether a list of n items, the newest of which is the last, says that there are more.
func checkEnds(t *testing.T, n int, read func(limit int) (ids []domain.UUID, more bool)) {
	t.Helper()
	var want []domain.UUID
	for limit := range n + 2 {
		if got, more := read(limit); !slices.Equal(got, want) || more != (limit < n) {
			t.Errorf("limit %d: %v, more: %t; want %v", limit, got, more, want)
		}
		if limit < n {
			want = append(want, id(n-1-limit))
		}
	}
}

// idsOf returns the IDs of items.
func idsOf[Item any](items []Item, id func(*Item) domain.UUID) (ids []domain.UUID) {
	for i := range items {
		ids = append(ids, id(&items[i]))
	}
	return ids
}
