package domain_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain"
)

const chunkSize = 16 << 10

func TestChunksCutWhereTheyShould(t *testing.T) {
	long := strings.Repeat("x", chunkSize)
	for name, tt := range map[string]struct {
		in   string
		want []int // lengths
	}{
		"nothing is one empty chunk":        {"", []int{0}},
		"as long as a chunk":                {long, []int{chunkSize}},
		"no place to cut":                   {long + "y", []int{chunkSize, 1}},
		"after the last line that fits":     {"one\ntwo\nthree " + long, []int{8, 6, chunkSize}},
		"after the last word without lines": {"one two " + long, []int{8, chunkSize}},
		"newline at the start only":         {"\n" + long, []int{chunkSize, 1}},
		"newline where the chunk ends":      {long[1:] + "\n" + long, []int{chunkSize, chunkSize}},
		"not within a two-byte character":   {long[1:] + "é" + long[2:], []int{chunkSize - 1, chunkSize}},
		"not within a four-byte character":  {long[3:] + "😀" + "z", []int{chunkSize - 3, 5}},
		"continuation bytes without end":    {strings.Repeat("\x80", chunkSize+100), []int{chunkSize - utf8.UTFMax, utf8.UTFMax + 100}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int
			for chunk := range domain.Chunks(tt.in) {
				if got = append(got, len(chunk)); len(got) > 10 {
					t.Fatalf("no end: chunks of %v bytes", got)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("chunks of %v bytes, want %v", got, tt.want)
			}
		})
	}
}

func TestChunksConcatenationIsTheText(t *testing.T) {
	piece := rapid.OneOf(genHostile, rapid.Custom(func(t *rapid.T) string {
		unit := rapid.SampledFrom([]string{"x", "é", "😀", "\u2028", "\x80", "\xf0", "word ", "line\n", "\n", " "}).Draw(t, "unit")
		return strings.Repeat(unit, rapid.IntRange(1, 2*chunkSize).Draw(t, "times"))
	}))
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 0, 5).Draw(t, "pieces"), "")
		var joined strings.Builder
		for chunk := range domain.Chunks(text) {
			if len(chunk) > chunkSize || chunk == "" && text != "" {
				t.Fatalf("chunk of %d bytes", len(chunk))
			}
			if utf8.ValidString(text) && !utf8.ValidString(chunk) {
				t.Fatalf("a character is cut in two at the end of %q", chunk[max(0, len(chunk)-8):])
			}
			joined.WriteString(chunk)
		}
		if joined.String() != text {
			t.Fatal("the chunks are not the text")
		}
	})
}

func TestChunksStopWhenTold(t *testing.T) {
	n := 0
	for range domain.Chunks(strings.Repeat("x", 5*chunkSize)) {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d chunks, want 2", n)
	}
}

func TestAddLinks(t *testing.T) {
	title := func(s string) domain.Link { return domain.Link{Title: s} }
	url := func(s string) domain.Link { return domain.Link{URL: s} }
	for name, tt := range map[string]struct {
		have []domain.Link
		in   string
		want []domain.Link
	}{
		"none":                         {nil, "plain text", nil},
		"title":                        {nil, "see [[Other note]]", []domain.Link{title("Other note")}},
		"title is trimmed":             {nil, "[[  Other ]]", []domain.Link{title("Other")}},
		"blank title":                  {nil, "[[ ]] [[]]", nil},
		"title over a line end":        {nil, "[[Other\nnote]]", nil},
		"brackets within a title":      {nil, "[[a[b]]", nil},
		"inner of nested brackets":     {nil, "[[[a]]]", []domain.Link{title("a")}},
		"longest title":                {nil, "[[" + strings.Repeat("é", 200) + "]]", []domain.Link{title(strings.Repeat("é", 200))}},
		"title too long":               {nil, "[[" + strings.Repeat("é", 201) + "]]", nil},
		"URL":                          {nil, "see http://example.org/a?b=c#d", []domain.Link{url("http://example.org/a?b=c#d")}},
		"URL at the end of a sentence": {nil, "See https://example.org/a. Or not?", []domain.Link{url("https://example.org/a")}},
		"URL in Markdown":              {nil, "[x](https://example.org/a), `https://example.org/b`", []domain.Link{url("https://example.org/a"), url("https://example.org/b")}},
		"URL in markup":                {nil, `<a href="https://example.org">x</a>`, []domain.Link{url("https://example.org")}},
		"other schemes":                {nil, "ftp://example.org mailto:x@example.org", nil},
		"in their order, each once":    {nil, "[[b]] https://a.example [[a]] [[b]] https://a.example", []domain.Link{title("b"), url("https://a.example"), title("a")}},
		"those known are kept, once":   {[]domain.Link{title("a")}, "[[a]] [[b]]", []domain.Link{title("a"), title("b")}},
	} {
		t.Run(name, func(t *testing.T) {
			got := domain.AddLinks(tt.have, tt.in)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("AddLinks(%q) (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}

func TestAddLinksIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&text, "[[note %d]] ", i)
	}
	links := domain.AddLinks(nil, text.String())
	if len(links) != 1000 || links[999].Title != "note 999" {
		t.Errorf("%d links, want the first 1000", len(links))
	}
}

func TestTermCounts(t *testing.T) {
	counts := domain.TermCounts{}
	counts.Add("Vector vector VECTOR search, search; the with about cat 2026 2026 rust2go rust2go")
	counts.Add("Straße straße once\n" + strings.Repeat("y", 101) + " " + strings.Repeat("y", 101))
	want := domain.TermCounts{"vector": 3, "search": 2, "rust2go": 2, "straße": 2}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestTermCountsSuggest(t *testing.T) {
	counts := domain.TermCounts{"beta": 2, "alpha": 2, "gamma": 5, "once": 1, "known": 9}
	for name, tt := range map[string]struct {
		n    int
		have []string
		want []string
	}{
		"most frequent first, then by name": {10, nil, []string{"known", "gamma", "alpha", "beta"}},
		"as many as asked for":              {2, nil, []string{"known", "gamma"}},
		"none asked for":                    {0, nil, nil},
		"without those had, in any case":    {10, []string{"KNOWN", "other"}, []string{"gamma", "alpha", "beta"}},
	} {
		if diff := cmp.Diff(tt.want, counts.Suggest(tt.n, tt.have), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// No link is cut in two, wherever in a long line it stands.
func TestChunksKeepLinksWhole(t *testing.T) {
	for _, tc := range []struct {
		filler, link string
		want         domain.Link
	}{
		{"word ", "[[A title of several words]]", domain.Link{Title: "A title of several words"}},
		{"字", "[[标题]]", domain.Link{Title: "标题"}},
		{"字", "(https://example.com/a/path)", domain.Link{URL: "https://example.com/a/path"}},
	} {
		for before := chunkSize - 2*len(tc.link); before <= chunkSize; before++ {
			n := len(tc.filler)
			start := strings.Repeat("x", before%n) + strings.Repeat(tc.filler, before/n)
			var links []domain.Link
			for text := range domain.Chunks(start + tc.link + strings.Repeat(tc.filler, chunkSize)) {
				links = domain.AddLinks(links, text)
			}
			if diff := cmp.Diff([]domain.Link{tc.want}, links); diff != "" {
				t.Fatalf("%s after %d bytes: %s", tc.link, before, diff)
			}
		}
	}
}
