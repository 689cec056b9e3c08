package domain_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain"
)

func TestFilterMatch(t *testing.T) {
	progress := domain.Entry{Type: domain.TypeJobProgress, Job: id(1), Note: id(2)}
	note := domain.Entry{Type: domain.TypeNoteUpdated, Note: id(2)}
	status := domain.Entry{Type: domain.TypeQueueStatus}
	for name, tt := range map[string]struct {
		filter domain.Filter
		entry  domain.Entry
		want   bool
	}{
		"zero filter takes everything":         {domain.Filter{}, status, true},
		"type named":                           {domain.Filter{Types: domain.Set(domain.TypeQueueStatus, domain.TypeJobQueued)}, status, true},
		"type not named":                       {domain.Filter{Types: domain.Set(domain.TypeJobQueued)}, status, false},
		"one of several jobs":                  {domain.Filter{Jobs: []domain.UUID{id(9), id(1)}}, progress, true},
		"other job":                            {domain.Filter{Jobs: []domain.UUID{id(9)}}, progress, false},
		"event about no job":                   {domain.Filter{Jobs: []domain.UUID{id(1)}}, note, false},
		"event about nothing":                  {domain.Filter{Notes: []domain.UUID{id(2)}}, status, false},
		"note of a job event":                  {domain.Filter{Notes: []domain.UUID{id(2)}}, progress, true},
		"note of a note event":                 {domain.Filter{Notes: []domain.UUID{id(2)}}, note, true},
		"kinds combine with AND, all hold":     {domain.Filter{Types: domain.Set(domain.TypeJobProgress), Jobs: []domain.UUID{id(1)}, Notes: []domain.UUID{id(2)}}, progress, true},
		"kinds combine with AND, one does not": {domain.Filter{Jobs: []domain.UUID{id(1)}, Notes: []domain.UUID{id(9)}}, progress, false},
		"type holds and note does not":         {domain.Filter{Types: domain.Set(domain.TypeNoteUpdated), Notes: []domain.UUID{id(9)}}, note, false},
		"note holds and type does not":         {domain.Filter{Types: domain.Set(domain.TypeJobFailed), Notes: []domain.UUID{id(2)}}, note, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.filter.Match(&tt.entry); got != tt.want {
				t.Errorf("%+v.Match(%+v) = %v", tt.filter, tt.entry, got)
			}
		})
	}
}

// Widening one kind of condition never loses an event; adding a kind never gains one.
func TestFilterMatchIsMonotone(t *testing.T) {
	few := rapid.SampledFrom([]domain.UUID{id(1), id(2), id(3)})
	rapid.Check(t, func(t *rapid.T) {
		f := domain.Filter{
			Types: domain.TypeSet(rapid.Uint8().Draw(t, "types")) & domain.AllTypes,
			Jobs:  rapid.SliceOfN(few, 1, 3).Draw(t, "jobs"), Notes: rapid.SliceOfN(few, 1, 3).Draw(t, "notes"),
		}
		e := domain.Entry{Type: domain.Type(rapid.IntRange(1, 7).Draw(t, "type")), Job: few.Draw(t, "job"), Note: few.Draw(t, "note")}
		matched := f.Match(&e)
		wider := f
		wider.Jobs = append(slices.Clone(f.Jobs), few.Draw(t, "more"))
		if matched && !wider.Match(&e) {
			t.Fatalf("%+v matches, %+v does not", f, wider)
		}
		for _, loose := range []domain.Filter{{Types: f.Types}, {Jobs: f.Jobs}, {Notes: f.Notes}, {Types: f.Types, Jobs: f.Jobs}} {
			if matched && !loose.Match(&e) {
				t.Fatalf("%+v matches, the weaker %+v does not", f, loose)
			}
		}
	})
}

func TestFilterByTypeOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		filter domain.Filter
		want   bool
	}{
		"zero":       {domain.Filter{}, true},
		"types":      {domain.Filter{Types: domain.AllTypes}, true},
		"with jobs":  {domain.Filter{Jobs: []domain.UUID{id(1)}}, false},
		"with notes": {domain.Filter{Notes: []domain.UUID{id(1)}}, false},
	} {
		if got := tt.filter.ByTypeOnly(); got != tt.want {
			t.Errorf("%s: ByTypeOnly() = %v", name, got)
		}
	}
}

func parse(types, jobs, notes []string) (domain.Filter, error) {
	return domain.ParseFilter(domain.FilterList{Field: "types", Values: types},
		domain.FilterList{Field: "job_id", Values: jobs}, domain.FilterList{Field: "note_id", Values: notes})
}

func TestParseFilter(t *testing.T) {
	one, two := id(1).String(), id(2).String()
	for name, tt := range map[string]struct {
		types, jobs, notes []string
		want               domain.Filter
	}{
		"nothing":           {nil, nil, nil, domain.Filter{}},
		"empty values":      {[]string{""}, []string{"", ","}, []string{" "}, domain.Filter{}},
		"each kind":         {[]string{"note"}, []string{one}, []string{two}, domain.Filter{Types: domain.Set(domain.TypeNoteUpdated), Jobs: []domain.UUID{id(1)}, Notes: []domain.UUID{id(2)}}},
		"repeated":          {nil, []string{one, two}, nil, domain.Filter{Jobs: []domain.UUID{id(1), id(2)}}},
		"comma separated":   {nil, nil, []string{two + ", " + one}, domain.Filter{Notes: []domain.UUID{id(2), id(1)}}},
		"capitals":          {nil, []string{strings.ToUpper(one)}, nil, domain.Filter{Jobs: []domain.UUID{id(1)}}},
		"named twice":       {nil, []string{one + "," + one, one}, nil, domain.Filter{Jobs: []domain.UUID{id(1)}}},
		"unknown type name": {[]string{"job_failed,job_paused"}, nil, nil, domain.Filter{Types: domain.Set(domain.TypeJobFailed)}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(tt.types, tt.jobs, tt.notes)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("ParseFilter: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestParseFilterRefuses(t *testing.T) {
	var many []string
	for i := range domain.MaxFilterIDs + 1 {
		many = append(many, fmt.Sprintf("019ab3f2-7c01-7d4e-8a5b-%012x", i))
	}
	for name, tt := range map[string]struct {
		types, jobs, notes []string
		field              string
	}{
		"no known type":        {[]string{"nope"}, nil, nil, "types"},
		"job that is no UUID":  {nil, []string{id(1).String() + ",7"}, nil, "job_id"},
		"note that is no UUID": {nil, nil, []string{"7"}, "note_id"},
		"nil UUID":             {nil, nil, []string{domain.UUID{}.String()}, "note_id"},
		"too many jobs":        {nil, []string{strings.Join(many, ",")}, nil, "job_id"},
		"too many notes":       {nil, nil, many, "note_id"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(tt.types, tt.jobs, tt.notes)
			refused(t, err, tt.field)
		})
	}
	if f, err := parse(nil, many[:domain.MaxFilterIDs], nil); err != nil || len(f.Jobs) != domain.MaxFilterIDs {
		t.Errorf("as many identifiers as allowed: %d, %v", len(f.Jobs), err)
	}
}

func TestFieldErrorText(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"field":             {domain.Invalid("percent", "must be %d", 1), "percent: must be 1"},
		"whole input":       {domain.Invalid("", "the body is empty"), "the body is empty"},
		"in a batch":        {domain.AtIndex(domain.Invalid("percent", "is required"), 0), "item 0: percent: is required"},
		"whole batch item":  {domain.AtIndex(domain.Invalid("", "is no object"), 3), "item 3: is no object"},
		"wrapped, in batch": {domain.AtIndex(fmt.Errorf("decode: %w", domain.Invalid("x", "bad")), 1), "item 1: x: bad"},
	} {
		if got := tt.err.Error(); got != tt.want || !errors.Is(tt.err, domain.ErrInvalid) {
			t.Errorf("%s: %q, want %q and an ErrInvalid", name, got, tt.want)
		}
	}
	original := domain.Invalid("x", "bad")
	_ = domain.AtIndex(original, 5)
	if original.Index != domain.NoIndex {
		t.Error("AtIndex changed the error that it was given")
	}
	if other := errors.New("disk on fire"); !errors.Is(domain.AtIndex(other, 1), other) {
		t.Error("AtIndex lost an error that is no FieldError")
	}
}

func TestStandingNamesAreTheReasonsOnTheWire(t *testing.T) {
	for s, want := range map[domain.Standing]string{
		domain.StandingKept: "kept", domain.StandingExpired: "expired", domain.StandingUnknown: "unknown",
	} {
		if s.String() != want {
			t.Errorf("Standing(%d) = %q, want %q", s, s, want)
		}
	}
}
