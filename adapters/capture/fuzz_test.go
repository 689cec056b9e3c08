package capture

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// A mapping that is read has a plan, of which no name and no value changes the SQL around it: with plain names in place of the
// ones given it is the same but for these.
func FuzzParseMapping(f *testing.F) {
	for _, seed := range [][2]string{
		{"preset: matric\njobs: {table: x}", "jobs.id=a"},
		{"preset: river", `jobs.table="A.b"."c""d"`},
		{"preset: matric", "notes="},
		{"preset: rails", "=x"},
		{"", "jobs.states.failed=a,b"},
		{"preset: matric", `jobs.status=a'; DROP TABLE "x"; --`},
		{"preset: matric", `jobs.type=a->b'c->"d"`},
		{"preset: matric\nnotes: {tags: {column: a}}", "notes.watch=x,y\\"},
		{"preset: matric\njobs: {states: {failed: [\"a\\nb\"]}}", ""},
		{"preset: matric\njobs: {states: {failed: ['$matric$']}}", ""},
		{"preset: matric\njobs: {states: {failed: ['%s%[1]d']}}", "jobs.progress_max=7"},
		{"a: &a [*a]", ""},
		{"jobs: !!binary aaaa", ""},
		{"? {a: b}\n: c", "a.b.c=d"},
		{"preset: matric\nnotes: {tags: {table: t, note: n, tag: g}}", "jobs.note_id= a -> b "},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, source, setting string) {
		var settings []string
		if setting != "" {
			settings = append(settings, setting)
		}
		m, err := ParseMapping([]byte(source), settings...)
		if err != nil {
			if _, ok := errors.AsType[Problems](err); !ok && !strings.HasPrefix(err.Error(), "mapping: ") {
				t.Fatalf("%v", err)
			}
			return
		}
		hostile, err := m.Plan("x")
		if err != nil {
			t.Fatalf("what was read has no plan: %v", err)
		}
		simple, err := disguised(m).Plan("x")
		if err != nil {
			t.Fatal(err)
		}
		mustBeAlike(t, m, simple.SQL(), hostile.SQL())
	})
}

// mustBeAlike fails unless two pieces of SQL differ in the disguises of the one only.
func mustBeAlike(t *testing.T, m *Mapping, plain, given string) {
	t.Helper()
	want, got := tokens(t, plain), tokens(t, given)
	for i := range min(len(want), len(got)) {
		switch {
		case undisguised(want[i]) == got[i]:
		case strings.HasPrefix(want[i], "'SELECT ") && got[i][0] == '\'': // SQL that the function executes
			mustBeAlike(t, m, want[i][1:], got[i][1:])
		default:
			t.Fatalf("%v: the SQL differs behind %q: %q, with plain names %q", m.tree(), got[max(0, i-20):i], got[i], want[i])
		}
	}
	if len(want) != len(got) {
		t.Fatalf("%v: the SQL has %d tokens, with plain names %d", m.tree(), len(got), len(want))
	}
}

// disguise makes a plain word of any, and different ones of different ones.
func disguise(s string) string {
	if s == "" {
		return ""
	}
	return "q" + hex.EncodeToString([]byte(s)) + "z"
}

var disguises = regexp.MustCompile("q((?:[0-9a-f]{2})+)z")

func undisguised(s string) string {
	return disguises.ReplaceAllStringFunc(s, func(d string) string {
		plain, _ := hex.DecodeString(d[1 : len(d)-1])
		return string(plain)
	})
}

// disguised is the mapping with plain names.
func disguised(m *Mapping) *Mapping {
	table := func(s string) string {
		if s == "" {
			return ""
		}
		t := parseTable(s)
		if t.name != "river_job" { // whose columns have other types
			t.name = disguise(t.name)
		}
		return quote(disguise(t.schema)) + "." + quote(t.name)
	}
	column := func(s string) string {
		spec := parseSpec(s)
		parts := []string{spec.column}
		if riverKinds[spec.column] == 0 {
			parts[0] = disguise(spec.column)
		}
		for _, k := range spec.keys {
			parts = append(parts, disguise(k))
		}
		return strings.Join(parts, "->")
	}
	list := func(values []string, f func(string) string) (out []string) {
		for _, v := range values {
			out = append(out, f(v))
		}
		return out
	}
	var out Mapping
	if j := m.Jobs; j != nil {
		s := j.States
		out.Jobs = &Jobs{
			Table: table(j.Table), ID: column(j.ID), Type: column(j.Type), NoteID: column(j.NoteID), Status: column(j.Status), Progress: column(j.Progress), ProgressMax: j.ProgressMax,
			Message: column(j.Message), Error: column(j.Error), RetryCount: column(j.RetryCount), MaxRetries: column(j.MaxRetries), Priority: column(j.Priority),
			StartedAt: column(j.StartedAt), CompletedAt: column(j.CompletedAt),
			States: States{
				list(s.Queued, disguise), list(s.Retrying, disguise), list(s.Running, disguise), list(s.Completed, disguise), list(s.Failed, disguise), list(s.Canceled, disguise),
			},
		}
	}
	if n := m.Notes; n != nil {
		out.Notes = &Notes{
			Table: table(n.Table), ID: column(n.ID), Title: column(n.Title), User: column(n.User), Deleted: column(n.Deleted), Archived: column(n.Archived),
			HasAIContent: column(n.HasAIContent), HasLinks: column(n.HasLinks), Watch: list(n.Watch, column),
			Tags: Tags{Column: column(n.Tags.Column), Table: table(n.Tags.Table), Note: column(n.Tags.Note), Tag: column(n.Tags.Tag)},
		}
	}
	return &out
}

// tokens splits SQL as PostgreSQL does (section 4.1): names and literals are one token each, with what they stand for. The
// bodies of functions are split, too.
func tokens(t *testing.T, sql string) (list []string) {
	t.Helper()
	for len(sql) > 0 {
		quote, escapes, from := byte(0), false, 1
		switch {
		case sql[0] == '"', sql[0] == '\'':
			quote = sql[0]
		case strings.HasPrefix(sql, "E'"):
			quote, escapes, from = '\'', true, 2
		case strings.HasPrefix(sql, "--"), strings.HasPrefix(sql, "/*"):
			end := strings.IndexByte(sql, '\n')
			if end < 0 {
				t.Fatalf("a comment to the end: %.100s", sql)
			}
			list, sql = append(list, sql[:end]), sql[end:]
			continue
		default:
			if strings.TrimSpace(sql[:1]) != "" {
				list = append(list, sql[:1])
			}
			sql = sql[1:]
			continue
		}
		var text strings.Builder
		i := from
		for ; ; i++ {
			if i >= len(sql) {
				t.Fatalf("a token without an end: %.100s", sql)
			}
			if escapes && sql[i] == '\\' && i+1 < len(sql) {
				i++
			} else if sql[i] == quote {
				if i+1 >= len(sql) || sql[i+1] != quote {
					break
				}
				i++
			}
			text.WriteByte(sql[i])
		}
		list, sql = append(list, fmt.Sprintf("%c%s", quote, text.String())), sql[i+1:]
	}
	return list
}

// A table's name is read again from the form that it is printed in.
func FuzzParseTable(f *testing.F) {
	for _, seed := range []string{"a", "a.b", "a.b.c", `"A.b"."c""d"`, `My Table`, `"a"`, `x."y.z"`, `"a`, `a"b`, `"".""`, ".", `""""`, `"a"b.c`, `a."b"c`, "é.ü"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			return // Validate refuses it
		}
		name := parseTable(s)
		if again := parseTable(name.reference()); again != name {
			t.Fatalf("%q is %q, printed as %s, which is %q", s, name, name.reference(), again)
		}
	})
}
