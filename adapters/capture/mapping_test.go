package capture

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

func TestParseMappingProblems(t *testing.T) {
	for name, tc := range map[string]struct {
		source   string
		settings []string
		want     string
	}{
		"unknown key":        {"jobs: {tabel: x}", nil, "jobs.tabel: unknown key"},
		"unknown state":      {"jobs: {states: {waiting: x}}", nil, "jobs.states.waiting: unknown key"},
		"wrong type":         {"jobs: {id: [a]}", nil, "jobs.id: must be a name, not a list"},
		"list in a list":     {"jobs: {states: {queued: [[a]]}}", nil, "jobs.states.queued[0]: must be a value, not a list"},
		"not a mapping":      {"jobs: 7", nil, "jobs: must be a mapping, not a number"},
		"the whole":          {"- a", nil, "must be a mapping, not a list"},
		"no YAML":            {"a: b: c", nil, "not valid YAML"},
		"nothing":            {"preset: matric\njobs: {states: {failed: [{}]}}", nil, "jobs.states.failed[0]: must be a value, not a mapping"},
		"truth":              {"preset: matric\nnotes: {title: true}", nil, "notes.title: must be a name, not true or false"},
		"no number":          {"preset: matric\njobs: {progress_max: ~}", nil, "jobs.progress_max: must be a whole number, not nothing"},
		"no end":             {"preset: matric\njobs: {progress_max: 0}", nil, "jobs.progress_max: must be at least 1"},
		"a message alone":    {"preset: matric", []string{"jobs.progress="}, "jobs.message: is told with the progress"},
		"a line break":       {"preset: matric", []string{"jobs.states.failed=a\nb"}, "a name or value holds a line break"},
		"preset":             {"preset: rails", nil, "preset: rails is not known"},
		"empty":              {"", nil, "nothing would be captured"},
		"required":           {"jobs: {table: a}", nil, "jobs.id: is required"},
		"one state twice":    {"preset: river\njobs: {states: {failed: [completed]}}", nil, `jobs.states.failed: "completed" is in completed, too`},
		"half of retries":    {"preset: matric\njobs: {max_retries: ''}", nil, "jobs.retry_count: goes with jobs.max_retries"},
		"tags in two places": {"preset: matric\nnotes: {tags: {column: x}}", nil, "notes.tags: are in a column or in a table"},
		"setting":            {"preset: matric", []string{"jobs.progress_max=many"}, "jobs.progress_max: must be a whole number"},
		"a body's quote":     {"preset: matric\njobs: {states: {queued: ['$matric$; DROP TABLE x']}}", nil, "a name or value holds $matric$"},
		"no setting":         {"preset: matric", []string{"jobs"}, `"jobs" is not of the form KEY=VALUE`},
	} {
		_, err := ParseMapping([]byte(tc.source), tc.settings...)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %q", name, err, tc.want)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := ParseMapping([]byte("jobs: {a: 1, b: 2, id: [x]}\nnotes: {c: 3}"))
	var p Problems
	if !errors.As(err, &p) || len(p) != 4 {
		t.Errorf("%v; want four problems", err)
	}
}

func TestPresetsAreChangedKeyByKey(t *testing.T) {
	got, err := ParseMapping([]byte("preset: matric\njobs: {table: app.jobs, states: {queued: [new, 0]}, priority: prio}\nnotes: false"), "jobs.states.canceled=gone,away", "jobs.progress_max=1")
	if err != nil {
		t.Fatal(err)
	}
	want := matric()
	want.Notes = nil
	want.Jobs.Table, want.Jobs.Priority, want.Jobs.ProgressMax = "app.jobs", "prio", 1
	want.Jobs.States.Queued, want.Jobs.States.Canceled = []string{"new", "0"}, []string{"gone", "away"}
	if d := cmp.Diff(&want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// What is stored is read again as the same.
func TestMappingsSurviveStorage(t *testing.T) {
	for _, source := range []string{
		"preset: matric", "preset: river", `{preset: matric, notes: {table: '"a.b"."c"""', watch: [x, y], tags: {column: t, table: '', note: '', tag: ''}}}`,
	} {
		m, err := ParseMapping([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.Dump(m.tree())
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseMapping(text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if d := cmp.Diff(m, again); d != "" {
			t.Errorf("%s (-before +after):\n%s", source, d)
		}
	}
}

func TestParseTable(t *testing.T) {
	for s, want := range map[string]tableName{
		"a": {"public", "a"}, "a.b": {"a", "b"}, `"A.b"."c""d"`: {"A.b", `c"d`}, `My Table`: {"public", "My Table"}, `"a"`: {"public", "a"}, `x."y.z"`: {"x", "y.z"},
	} {
		if got := parseTable(s); got != want {
			t.Errorf("%s = %+v; want %+v", s, got, want)
		}
		if got := parseTable(want.reference()); got != want {
			t.Errorf("%s = %+v; want %+v", want.reference(), got, want)
		}
	}
}

// The function in the database and RowID agree.
func TestRowIDsAreTheSameInSQL(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	for _, key := range []string{"1", "", "ключ", "-9223372036854775808", strings.Repeat("x", 1000)} {
		var got string
		if err := r.hub.QueryRow(`SELECT capture_row_id($1, $2)`, "public.task", key).Scan(&got); err != nil || got != RowID("public.task", key).String() {
			t.Errorf("%q: %s in SQL, %s here (%v)", key, got, RowID("public.task", key), err)
		}
	}
	if got := RowID("public.river_job", "42").String(); got[14] != '8' {
		t.Errorf("%s is not of version 8", got)
	}
}

// What is attached by another version is attached anew; that takes a new number whenever the SQL changes.
func TestVersionChangesWithTheSQL(t *testing.T) {
	const known = "2:9b63a133e73f4331"
	sum := sha256.New()
	for _, name := range []string{"matric", "river"} {
		m, err := ParseMapping([]byte("preset: " + name))
		if err != nil {
			t.Fatal(err)
		}
		plan, err := m.Plan("default")
		if err != nil {
			t.Fatal(err)
		}
		sum.Write([]byte(plan.SQL()))
	}
	if got := fmt.Sprintf("%d:%x", version, sum.Sum(nil)[:8]); got != known {
		t.Errorf("the SQL is %s and was %s: unless it is not released yet, raise version; then write the new text here", got, known)
	}
}
