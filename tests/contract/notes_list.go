package contract

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

func notesOrder(t *testing.T, f NotesFixture) {
	notes := samples(5)
	notes[0].CreatedAt, notes[4].CreatedAt = notes[4].CreatedAt, notes[0].CreatedAt // clocks may jump
	f.create(t, notes...)
	for limit, want := range map[int][]int{10: {4, 3, 2, 1, 0}, 5: {4, 3, 2, 1, 0}, 2: {4, 3}, 0: {}} {
		if d := cmp.Diff(want, f.list(t, domain.NoteQuery{Limit: limit})); d != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, d)
		}
	}
}

func notesPages(t *testing.T, f NotesFixture) {
	f.create(t, samples(7)...)
	changed := sample(4)
	changed.Title, changed.UpdatedAt = "Changed", changed.UpdatedAt.AddDate(1, 0, 0)
	f.write(t, put(changed, domain.Updated))
	var got []int
	q := domain.NoteQuery{Limit: 2}
	for page := f.list(t, q); len(page) > 0 && len(got) < 9; page = f.list(t, q) {
		got = append(got, page...)
		q.Before = id(page[len(page)-1])
	}
	if d := cmp.Diff([]int{6, 5, 4, 3, 2, 1, 0}, got); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
}

func notesUnknownPage(t *testing.T, f NotesFixture) {
	f.create(t, sample(1))
	if _, _, err := f.Notes.Notes(t.Context(), domain.NoteQuery{Before: id(2), Limit: 1}); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Notes = %v; want ErrNotFound", err)
	}
}

// page returns the IDs of the notes that q selects, and whether there are more. Their contents must be those of want.
func (f NotesFixture) page(t *testing.T, q domain.NoteQuery, want []domain.Note) (ids []domain.UUID, more bool) {
	t.Helper()
	notes, more, err := f.Notes.Notes(t.Context(), q)
	if err != nil {
		t.Fatalf("Notes(%+v): %v", q, err)
	}
	for i := range notes {
		if notes[i].Content != want[notes[i].ID[15]].Content {
			t.Errorf("the content of note %s differs", notes[i].ID)
		}
	}
	return idsOf(notes, func(n *domain.Note) domain.UUID { return n.ID }), more
}

func notesMore(t *testing.T, f NotesFixture) {
	notes := samples(3)
	f.create(t, notes...)
	for _, q := range []domain.NoteQuery{{}, {Search: "content"}, {Tag: "a"}} {
		checkEnds(t, len(notes), func(limit int) ([]domain.UUID, bool) {
			q.Limit = limit
			return f.page(t, q, notes)
		})
	}
}

func notesLarge(t *testing.T, f NotesFixture) {
	notes := samples(len(largeSizes))
	for i, size := range largeSizes {
		notes[i].Content = strings.Repeat(".", size) // no words to index
	}
	f.create(t, notes...)
	for _, q := range []domain.NoteQuery{{Limit: 500}, {Limit: 2}, {Search: "title", Tag: "a", Limit: 500}} {
		checkPages(t, fmt.Sprintf("%+v", q), largePages, func(before domain.UUID) ([]domain.UUID, bool) {
			q.Before = before
			return f.page(t, q, notes)
		})
	}
}

func notesTag(t *testing.T, f NotesFixture) {
	notes := samples(4)
	notes[0].Tags = []string{"go", "sql"}
	notes[1].Tags = []string{"golang"}
	notes[2].Tags = []string{"x", `"go"`}
	notes[3].Tags = []string{"x", "go"}
	f.create(t, notes...)
	untagged := notes[3]
	for _, c := range []struct {
		why  string
		q    domain.NoteQuery
		want []int
	}{
		{"whole tags only, in any place", domain.NoteQuery{Tag: "go", Limit: 9}, []int{3, 0}},
		{"quotes are text", domain.NoteQuery{Tag: `"go"`, Limit: 9}, []int{2}},
		{"nothing is special", domain.NoteQuery{Tag: "g%", Limit: 9}, []int{}},
		{"with a place to begin", domain.NoteQuery{Tag: "go", Before: id(3), Limit: 9}, []int{0}},
		{"with a search", domain.NoteQuery{Tag: "go", Search: "sql", Limit: 9}, []int{0}},
	} {
		if d := cmp.Diff(c.want, f.list(t, c.q)); d != "" {
			t.Errorf("%s: Notes(%+v) (-want +got):\n%s", c.why, c.q, d)
		}
	}
	untagged.Tags = nil
	f.write(t, put(untagged, domain.Updated))
	if d := cmp.Diff([]int{0}, f.list(t, domain.NoteQuery{Tag: "go", Limit: 9})); d != "" {
		t.Errorf("a tag was taken away (-want +got):\n%s", d)
	}
}

func notesBacklinks(t *testing.T, f NotesFixture) {
	notes := samples(4)
	f.create(t, notes...)
	for n, links := range [][]domain.Link{
		{{Title: notes[0].Title}, {Title: notes[3].Title}},
		{{URL: "https://example.com/"}},
		{{Title: notes[0].Title}, {URL: notes[0].Title}},
		{{Title: notes[0].Title}},
	} {
		f.Analyze(t, domain.Analysis{NoteID: id(n), Revision: notes[n].Revision, Links: &links})
	}
	for _, c := range []struct {
		why  string
		q    domain.NoteQuery
		want []int
	}{
		{"newest first, without the note itself", domain.NoteQuery{Links: id(0), Limit: 9}, []int{3, 2}},
		{"one page", domain.NoteQuery{Links: id(0), Limit: 1}, []int{3}},
		{"the next page", domain.NoteQuery{Links: id(0), Before: id(3), Limit: 9}, []int{2}},
		{"another note", domain.NoteQuery{Links: id(3), Limit: 9}, []int{0}},
		{"nobody names it", domain.NoteQuery{Links: id(1), Limit: 9}, []int{}},
		{"no such note", domain.NoteQuery{Links: id(99), Limit: 9}, []int{}},
	} {
		if d := cmp.Diff(c.want, f.list(t, c.q)); d != "" {
			t.Errorf("%s: Notes(%+v) (-want +got):\n%s", c.why, c.q, d)
		}
	}
}

func notesSearch(t *testing.T, f NotesFixture) {
	notes := samples(4)
	notes[0].Title, notes[0].Content, notes[0].Tags = "Café crème", "A recipe with sugar", []string{"kitchen"}
	notes[1].Title, notes[1].Content, notes[1].Tags = "Sugar prices", "up and up", []string{"world-economy"}
	notes[2].Title, notes[2].Content, notes[2].Tags = "Empty", "", nil
	notes[3].Title, notes[3].Content, notes[3].Tags = "Kitchen", "C++ on the menu: it's \"fine\"", nil
	f.create(t, notes...)
	for _, c := range []struct {
		why, search string
		want        []int
	}{
		{"a word in title or content", "sugar", []int{1, 0}},
		{"a word in title or tags, in any case", "KITCHEN", []int{3, 0}},
		{"every word, wherever it is", "sugar kitchen", []int{0}},
		{"words in any order", "prices sugar", []int{1}},
		{"one word that does not occur", "sugar salt", []int{}},
		{"the last word may be unfinished", "sugar kit", []int{0}},
		{"another word may not", "sug kitchen", []int{}},
		{"accents may be left out", "cafe", []int{0}},
		{"part of a hyphenated tag", "economy", []int{1}},
		{"operators are words", "sugar OR salt", []int{}},
		{"punctuation counts for nothing beside words", "sugar - !", []int{1, 0}},
		{"quotes and apostrophes are no syntax", `it's "fine"`, []int{3}},
		{"a column name is a word", "title:sugar", []int{}},
		{"nothing but space is a plain list", " \t\n", []int{3, 2, 1, 0}},
		{"nothing but punctuation does not occur", "!!!", []int{}},
	} {
		if d := cmp.Diff(c.want, f.list(t, domain.NoteQuery{Search: c.search, Limit: 9})); d != "" {
			t.Errorf("%s: search %q (-want +got):\n%s", c.why, c.search, d)
		}
	}
	if d := cmp.Diff([]int{0}, f.list(t, domain.NoteQuery{Search: "sugar", Before: id(1), Limit: 9})); d != "" {
		t.Errorf("second page of a search (-want +got):\n%s", d)
	}
}

func notesIndex(t *testing.T, f NotesFixture) {
	find := func(why, word string, want ...int) {
		t.Helper()
		if d := cmp.Diff(append([]int{}, want...), f.list(t, domain.NoteQuery{Search: word, Limit: 9})); d != "" {
			t.Errorf("%s: search %q (-want +got):\n%s", why, word, d)
		}
	}
	n := sample(1)
	n.Content = "before"
	f.create(t, n)
	find("a change without a job is indexed at once", "before", 1)

	n.Content, n.Revision = "after", 2
	w := put(n, domain.Updated)
	w.Job = &domain.JobSpec{ID: id(9), Type: domain.JobNoteAnalysis, NoteID: n.ID}
	f.write(t, w)
	f.Analyze(t, domain.Analysis{NoteID: n.ID, Revision: 2, Index: true})
	find("the job has run", "after", 1)
	find("old words are gone", "before")

	n.Title = "Renamed"
	f.write(t, put(n, domain.Updated))
	find("the new title", "renamed", 1)
	find("with the content", "after renamed", 1)
}

// HostileSearches are inputs that have broken search boxes before.
var HostileSearches = []string{
	`"`, `""`, `'`, `*`, `"*`, `a*`, `^a`, `a"b`, `"a`, `a"`, `(`, `)`, `()`, `-`, `--`, `+`, `NEAR(a b)`, `NOT`, `a NOT`,
	`AND`, `OR`, `a AND`, `title:`, `{title content}: a`, `nosuch:a`, `\`, `a\`, `%`, `_`, `?`, `$1`, `:id`, `@x`, ";", "a;b",
	"\x00", "a\x00b", "\x00\"", "\xff", "a\xffb", "\"\xfe", "é", "\u200b", "\u00a0", "👩‍👩‍👧", "&", "|", "!", "a & b", "a | !b", "<->",
	strings.Repeat("a ", 500), strings.Repeat(`"`, 999), strings.Repeat("x", 1<<16),
}

func notesHostileSearch(t *testing.T, f NotesFixture) {
	f.create(t, sample(1))
	for _, s := range HostileSearches {
		f.list(t, domain.NoteQuery{Search: s, Tag: s, Limit: 9})
		f.list(t, domain.NoteQuery{Search: s, Limit: 9})
	}
}

func notesAnalysis(t *testing.T, f NotesFixture) {
	n := sample(1)
	n.HasLinks, n.SuggestedTags = false, nil
	f.create(t, n)
	links := []domain.Link{{Title: "Home"}, {URL: "https://example.com/"}}
	fewer, none, tags := links[:1], []domain.Link{}, []string{"one", "two"}
	for _, c := range []struct {
		why     string
		a       domain.Analysis
		changed bool
		links   bool
		tags    []string
	}{
		{"the index is nothing to tell of", domain.Analysis{Index: true}, false, false, nil},
		{"no links as before", domain.Analysis{Links: &none}, false, false, nil},
		{"the first links", domain.Analysis{Links: &links}, true, true, nil},
		{"the same links", domain.Analysis{Links: &links}, false, true, nil},
		{"fewer links", domain.Analysis{Links: &fewer}, true, true, nil},
		{"tags, and links are not known", domain.Analysis{SuggestedTags: &tags}, true, true, tags},
		{"the same of both", domain.Analysis{Links: &fewer, SuggestedTags: &tags, Index: true}, false, true, tags},
		{"no links any more", domain.Analysis{Links: &none}, true, false, tags},
		{"no tags any more", domain.Analysis{SuggestedTags: &[]string{}}, true, false, nil},
	} {
		c.a.NoteID, c.a.Revision = n.ID, n.Revision
		want := n
		want.HasLinks, want.SuggestedTags = c.links, c.tags
		changed := f.Analyze(t, c.a)
		if (changed != nil) != c.changed {
			t.Errorf("%s: told of a change: %t, want %t", c.why, changed != nil, c.changed)
		} else if changed != nil && diff(want, *changed) != "" {
			t.Errorf("%s: returned note (-want +got):\n%s", c.why, diff(want, *changed))
		}
		got, err := f.Notes.Note(t.Context(), n.ID)
		if err != nil || diff(want, got) != "" {
			t.Errorf("%s: stored note, %v (-want +got):\n%s", c.why, err, diff(want, got))
		}
	}
}

func notesStaleAnalysis(t *testing.T, f NotesFixture) {
	n := sample(5)
	f.create(t, n)
	a := domain.Analysis{Links: &[]domain.Link{}, SuggestedTags: &[]string{"new"}, Index: true}
	for _, a.Revision = range []int64{4, 6} {
		a.NoteID = n.ID
		if changed := f.Analyze(t, a); changed != nil {
			t.Errorf("an analysis of revision %d changed revision 5", a.Revision)
		}
	}
	a.NoteID = id(6)
	if changed := f.Analyze(t, a); changed != nil {
		t.Error("an analysis of a note that does not exist returned one")
	}
	got, err := f.Notes.Note(t.Context(), n.ID)
	if err != nil || diff(n, got) != "" {
		t.Errorf("stored note, %v (-want +got):\n%s", err, diff(n, got))
	}
}
