package sqlstore

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var spans = cmp.AllowUnexported(span{})

func TestBookmark(t *testing.T) {
	var b bookmark
	for _, c := range []struct {
		why   string
		do    func()
		floor int64
		gaps  []span
	}{
		{"nothing is known", func() {}, 0, nil},
		{"the first ones", func() { b.removed([]int64{1, 2}) }, 2, nil},
		{"some are left out", func() { b.removed([]int64{3, 6, 9}) }, 9, []span{{4, 5}, {7, 8}}},
		{"one comes late", func() { b.removed([]int64{8}) }, 9, []span{{4, 5}, {7, 7}}},
		{"what was removed before", func() { b.removed([]int64{1, 6, 8}) }, 9, []span{{4, 5}, {7, 7}}},
		{"in the middle of a gap", func() { b.removed([]int64{20, 15}) }, 20, []span{{4, 5}, {7, 7}, {10, 14}, {16, 19}}},
		{"nothing more will come, but one is there", func() { b.settle(12, []int64{5, 13, 21}) }, 20, []span{{5, 5}, {13, 14}, {16, 19}}},
		{"all is as it should be", func() { b.check([]int64{5, 14, 21}) }, 20, []span{{5, 5}, {13, 14}, {16, 19}}},
		{"the last gaps", func() { b.settle(20, nil) }, 20, nil},
		{"positions are given again", func() { b.check([]int64{7}) }, 0, nil},
	} {
		c.do()
		gaps, floor := b.unread()
		if d := cmp.Diff(c.gaps, gaps, spans); floor != c.floor || len(c.gaps)+len(gaps) > 0 && d != "" {
			t.Errorf("%s: floor %d, want %d; gaps (-want +got):\n%s", c.why, floor, c.floor, d)
		}
	}
	for p := int64(2); p <= 2*(maxGaps+1); p += 2 {
		b.removed([]int64{p})
	}
	if gaps, floor := b.unread(); floor != 0 || len(gaps) != 0 {
		t.Errorf("after too many gaps: floor %d, %d gaps", floor, len(gaps))
	}
}

// Whatever is removed in whatever order, the spans hold exactly what was not.
func TestBookmarkModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bookmark
		removed := map[int64]bool{}
		for _, batch := range rapid.SliceOf(rapid.SliceOfN(rapid.Int64Range(1, 60), 1, 9)).Draw(t, "batches") {
			slices.Sort(batch)
			b.removed(batch)
			for _, p := range batch {
				removed[p] = true
			}
			gaps, floor := b.unread()
			for p := int64(1); p <= 61; p++ {
				in := p > floor || slices.ContainsFunc(gaps, func(g span) bool { return g.low <= p && p <= g.high })
				if in == removed[p] {
					t.Fatalf("position %d: removed %t, looked for %t; floor %d, gaps %v", p, removed[p], in, floor, gaps)
				}
			}
			if !slices.IsSortedFunc(gaps, func(a, b span) int { return int(a.low - b.high) }) {
				t.Fatalf("gaps %v", gaps)
			}
		}
	})
}
