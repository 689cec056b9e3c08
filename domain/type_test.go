package domain_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain"
)

const (
	jobTypes = "JobQueued JobStarted JobProgress JobCompleted JobFailed"
	allTypes = jobTypes + " NoteUpdated QueueStatus"
)

func TestParseTypes(t *testing.T) {
	for name, tt := range map[string]struct {
		in   []string
		want string
	}{
		"nothing selects by no type":       {nil, ""},
		"empty strings count as nothing":   {[]string{"", " , ,"}, ""},
		"wire name":                        {[]string{"JobCompleted"}, "JobCompleted"},
		"snake case":                       {[]string{"job_completed"}, "JobCompleted"},
		"dotted":                           {[]string{"job.completed"}, "JobCompleted"},
		"kebab case":                       {[]string{"job-completed"}, "JobCompleted"},
		"any case":                         {[]string{"JOBCOMPLETED", "nOtE_uPdAtEd", "QUEUE.STATUS"}, "JobCompleted NoteUpdated QueueStatus"},
		"job family":                       {[]string{"job"}, jobTypes},
		"note family":                      {[]string{"note"}, "NoteUpdated"},
		"queue family":                     {[]string{"queue"}, "QueueStatus"},
		"family in capitals":               {[]string{"JOB"}, jobTypes},
		"all families":                     {[]string{"queue,note,job"}, allTypes},
		"commas and spaces":                {[]string{" JobQueued , job_failed,,"}, "JobQueued JobFailed"},
		"repeated parameter":               {[]string{"JobFailed", "JobQueued"}, "JobQueued JobFailed"},
		"named twice":                      {[]string{"JobFailed,job"}, jobTypes},
		"unknown beside known is ignored":  {[]string{"JobPaused,JobFailed"}, "JobFailed"},
		"unknown after known is ignored":   {[]string{"JobFailed", "JobPaused"}, "JobFailed"},
		"unknown beside known, any string": {[]string{"<script>", "note"}, "NoteUpdated"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := domain.ParseTypes("types", tt.in)
			if err != nil || strings.Join(got.Names(), " ") != tt.want {
				t.Errorf("ParseTypes(%q) = %v, %v; want %s", tt.in, got.Names(), err, tt.want)
			}
		})
	}
}

func TestParseTypesWithNoneKnownListsTheValidNames(t *testing.T) {
	for name, in := range map[string][]string{
		"unknown":                   {"JobPaused"},
		"several unknown":           {"a,b", "c"},
		"plural of a family":        {"jobs"},
		"part of a name":            {"jo"},
		"separators only":           {"._-"},
		"separators inside family":  {"j_ob"},
		"star":                      {"*"},
		"very long":                 {"x" + strings.Repeat("é", 5000)},
		"not UTF-8":                 {"\xff\xfe"},
		"control characters inside": {"a\nb"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := domain.ParseTypes("events", in)
			if got != 0 {
				t.Errorf("ParseTypes(%q) = %v beside an error", in, got.Names())
			}
			fe := fieldError(t, err, "events")
			for valid := range strings.FieldsSeq(allTypes + " job note queue") {
				if !strings.Contains(fe.Detail, valid) {
					t.Errorf("message %q does not name %s", fe.Detail, valid)
				}
			}
			if name == "very long" && !strings.Contains(fe.Detail, `"x`+strings.Repeat("é", 31)+`…"`) {
				t.Errorf("message %q, want the name cut between characters", fe.Detail)
			}
			if len(fe.Detail) > 500 || strings.Contains(fe.Detail, "\n") {
				t.Errorf("message %q repeats the input as it is", fe.Detail)
			}
		})
	}
}

func TestTypeNamesParseBack(t *testing.T) {
	for typ := range domain.AllTypes.All() {
		if got, ok := domain.ParseType(typ.String()); !ok || got != typ {
			t.Errorf("ParseType(%q) = %v, %v", typ, got, ok)
		}
		if _, ok := domain.ParseType(strings.ToLower(typ.String())); ok {
			t.Errorf("ParseType accepts %q in lower case", typ)
		}
		if got, err := domain.ParseTypes("types", []string{typ.Dotted()}); err != nil || got != domain.Set(typ) {
			t.Errorf("ParseTypes(%q) = %v, %v", typ.Dotted(), got.Names(), err)
		}
	}
}

func TestTypeOutsideTheSetHasNoName(t *testing.T) {
	for _, typ := range []domain.Type{domain.TypeQueueStatus + 1, 200} {
		if typ.String() != "" || typ.Dotted() != "" || domain.AllTypes.Has(typ) {
			t.Errorf("Type(%d) is %q, %q", typ, typ.String(), typ.Dotted())
		}
	}
	if _, ok := domain.ParseType(""); ok || domain.AllTypes.Has(0) {
		t.Error("the zero type counts as one of the seven")
	}
}

func TestTypeSetHoldsWhatWasPutIn(t *testing.T) {
	every := slices.Collect(domain.AllTypes.All())
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfDistinct(rapid.SampledFrom(every), rapid.ID).Draw(t, "types")
		set := domain.Set(in...)
		slices.Sort(in)
		if got := slices.Collect(set.All()); !slices.Equal(got, in) || set.Len() != len(in) {
			t.Fatalf("Set(%v) holds %v, Len %d", in, got, set.Len())
		}
		for _, typ := range every {
			if set.Has(typ) != slices.Contains(in, typ) {
				t.Fatalf("Set(%v).Has(%v) = %v", in, typ, set.Has(typ))
			}
		}
	})
	for typ := range domain.AllTypes.All() {
		if typ != domain.TypeJobQueued {
			t.Fatalf("All goes on after it was told to stop, or starts with %v", typ)
		}
		break
	}
	if diff := cmp.Diff(strings.Fields(allTypes), domain.AllTypes.Names()); diff != "" {
		t.Errorf("contract order (-want +got):\n%s", diff)
	}
}

func TestParseOperation(t *testing.T) {
	for in, want := range map[string]bool{"created": true, "updated": true, "deleted": true, "Created": false, "": false, "renamed": false} {
		if _, ok := domain.ParseOperation(in); ok != want {
			t.Errorf("ParseOperation(%q) = %v, want %v", in, ok, want)
		}
	}
}
