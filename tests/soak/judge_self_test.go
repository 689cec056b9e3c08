package soak_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/matric/matric-events/domain"
)

// TestJudge plants one violation after the other in what a reader saw, and wants each to be named.
func TestJudge(t *testing.T) {
	ev := func(n byte) seen { // odd ones are about jobs
		if n%2 == 1 {
			return seen{domain.UUID{15: n}, domain.TypeJobQueued}
		}
		return seen{domain.UUID{15: n}, domain.TypeNoteUpdated}
	}
	evs := func(ns ...byte) (list []seen) {
		for _, n := range ns {
			list = append(list, ev(n))
		}
		return list
	}
	from := func(n byte, ns ...byte) *stretch {
		return &stretch{join: resumed, after: ev(n).id, events: evs(ns...)}
	}
	live := func(ns ...byte) *stretch { return &stretch{events: evs(ns...)} }
	lagged := func(d uint64, ns ...byte) *stretch { return &stretch{join: counted, dropped: d, events: evs(ns...)} }
	notes := domain.Set(domain.TypeNoteUpdated)
	for _, tt := range []struct {
		reason string
		types  domain.TypeSet
		saw    []*stretch
		want   string // in the blame; empty for none
	}{
		{"all of it", allTypes, []*stretch{live(1, 2, 3, 4, 5, 6)}, ""},
		{"from the middle", allTypes, []*stretch{live(3, 4)}, ""},
		{"a filter", notes, []*stretch{live(2, 4, 6)}, ""},
		{"a resume", allTypes, []*stretch{live(1, 2), from(2, 3, 4)}, ""},
		{"a resume that brings nothing", allTypes, []*stretch{live(1, 2), from(2), from(2, 3)}, ""},
		{"a resume behind what comes again later", allTypes, []*stretch{from(4), {join: told, events: evs(2, 3)}, from(3, 4)}, ""},
		{"a resume, and a counted gap", allTypes, []*stretch{live(1), from(1), lagged(2, 4)}, ""},
		{"a resume, and a count too low", allTypes, []*stretch{live(1), from(1), lagged(1, 4)}, "was told of 1"},
		{"a counted gap", allTypes, []*stretch{live(1), lagged(2, 4, 5)}, ""},
		{"two counts", allTypes, []*stretch{live(1), lagged(1), lagged(1, 4)}, ""},
		{"a count of all types", notes, []*stretch{live(2), lagged(3, 6)}, ""},
		{"a gap that was told", allTypes, []*stretch{live(1), {join: told, events: evs(5)}}, ""},
		{"started anew", allTypes, []*stretch{live(1), live(5)}, ""},
		{"the last moments", allTypes, []*stretch{live(5, 6, 7, 8)}, ""},
		{"one is missing", allTypes, []*stretch{live(1, 2, 4)}, "1 events are missing"},
		{"one of a filter is missing", notes, []*stretch{live(2, 6)}, "1 events are missing"},
		{"one is missing at a resume", allTypes, []*stretch{live(1, 2), from(2, 4)}, "1 events are missing"},
		{"one came twice", allTypes, []*stretch{live(1, 2, 2, 3)}, "twice or out of order"},
		{"one came twice at a resume", allTypes, []*stretch{live(1, 2), from(1, 2, 3), live(3)}, "twice or out of order"},
		{"out of order", allTypes, []*stretch{live(1, 3, 2)}, "twice or out of order"},
		{"not selected", notes, []*stretch{live(2, 3, 4)}, "not what its filter selects"},
		{"a count too low", allTypes, []*stretch{live(1), lagged(1, 4)}, "was told of 1"},
		{"a count too high", allTypes, []*stretch{live(1), lagged(3, 4)}, "was told of 3"},
		{"a count below what its filter misses", notes, []*stretch{live(2), lagged(0, 6)}, "1 events are missing"},
		{"resumed where this process never was", allTypes, []*stretch{from(99, 5)}, "was not told"},
		{"another order in the last moments", allTypes, []*stretch{live(6, 8, 7)}, "not in the order"},
		{"back from the last moments", allTypes, []*stretch{live(7, 6)}, "twice or out of order"},
	} {
		witness := &trail{who: "witness", types: allTypes, stretches: []*stretch{live(7, 8)}}
		v := judge(&record{events: evs(1, 2, 3, 4, 5, 6)}, []*trail{witness, {who: "reader", types: tt.types, stretches: tt.saw}})
		if tt.want == "" && len(v.wrong) > 0 || tt.want != "" && !slices.ContainsFunc(v.wrong, func(s string) bool { return strings.Contains(s, tt.want) }) {
			t.Errorf("%s: %q; want %q", tt.reason, v.wrong, tt.want)
		}
	}
	if v := judge(&record{events: evs(1, 2, 1)}, nil); len(v.wrong) != 1 {
		t.Errorf("an event twice in the log: %q", v.wrong)
	}
}
