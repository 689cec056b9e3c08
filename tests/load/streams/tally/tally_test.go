package tally

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCounts(t *testing.T) {
	far := make([]uint64, 0, 102)
	for n := uint64(1); n <= 100; n++ {
		far = append(far, n)
	}
	for name, tc := range map[string]struct {
		seqs []uint64
		want Counts
	}{
		"in order":                            {[]uint64{1, 2, 3}, Counts{Received: 3}},
		"a gap":                               {[]uint64{1, 4}, Counts{Received: 2, Lost: 2}},
		"the first is missing":                {[]uint64{2}, Counts{Received: 1, Lost: 1}},
		"twice":                               {[]uint64{1, 1, 2, 1}, Counts{Received: 4, Duplicated: 2}},
		"late, so not lost":                   {[]uint64{1, 3, 2}, Counts{Received: 3, Reordered: 1}},
		"late, and then once more":            {[]uint64{1, 3, 2, 2}, Counts{Received: 4, Reordered: 1, Duplicated: 1}},
		"lost, late and twice at once":        {[]uint64{2, 5, 2, 4}, Counts{Received: 4, Lost: 2, Duplicated: 1, Reordered: 1}},
		"twice, further back than the memory": {append(far, 1, 36), Counts{Received: 102, Duplicated: 2}},
		"a gap longer than the memory":        {[]uint64{1, 1000, 999}, Counts{Received: 3, Lost: 997, Reordered: 1}},
	} {
		var c Counts
		var track Track
		var advance uint64
		for _, n := range tc.seqs {
			advance += c.Note(&track, n)
		}
		if c != tc.want {
			t.Errorf("%s: %v counts as %+v; want %+v", name, tc.seqs, c, tc.want)
		}
		if advance != track.Last() {
			t.Errorf("%s: advanced by %d to %d", name, advance, track.Last())
		}
	}
}

// Whatever comes, within the memory: distinct numbers and missing ones are told exactly.
func TestCountsAgainstASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seqs := rapid.SliceOfN(rapid.Uint64Range(1, memory), 1, 200).Draw(t, "seqs")
		var c Counts
		var track Track
		set := map[uint64]bool{}
		for _, n := range seqs {
			c.Note(&track, n)
			set[n] = true
		}
		if got, want := c.Duplicated, int64(len(seqs)-len(set)); got != want {
			t.Errorf("%d duplicated; want %d", got, want)
		}
		if got, want := c.Lost+track.Missing(memory), int64(memory-len(set)); got != want {
			t.Errorf("%d lost; want %d", got, want)
		}
	})
}

func TestMissing(t *testing.T) {
	var c Counts
	var track Track
	c.Note(&track, 3)
	for published, want := range map[uint64]int64{2: 0, 3: 0, 5: 2} {
		if got := track.Missing(published); got != want {
			t.Errorf("Missing(%d) = %d; want %d", published, got, want)
		}
	}
}

func TestLatency(t *testing.T) {
	a, b := NewLatency(), NewLatency()
	for i := range 99 {
		a.Record(int64(time.Duration(i+1) * time.Millisecond))
	}
	b.Record(int64(time.Hour))  // counts as the slowest
	b.Record(-int64(time.Hour)) // and this as none at all
	a.Add(b)
	for percentile, want := range map[float64]float64{50: 50, 98: 98, 100: 120_000} {
		if got := a.Millis(percentile); math.Abs(got-want) > want/50 {
			t.Errorf("percentile %v is %v ms; want %v", percentile, got, want)
		}
	}
	if a.Count() != 101 {
		t.Errorf("%d times; want 101", a.Count())
	}
}
