package sqlstore

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
	"github.com/matric/matric-events/tests/pgtest"
)

func TestTextWords(t *testing.T) {
	long := strings.Repeat("é", maxWord)
	for _, c := range []struct {
		why, text string
		want      []string
	}{
		{"case and accents", "Crème Brûlée ÅNGSTRÖM", []string{"creme", "brulee", "angstrom"}},
		{"accents that stand alone", "e\u0301te\u0301", []string{"ete"}},
		{"addresses are words, too", "https://example.com/a_b?x=1", []string{"https", "example", "com", "a", "b", "x", "1"}},
		{"other scripts", "Привет, 世界 ٣", []string{"привет", "世界", "٣"}},
		{"what means something to PostgreSQL", `a'b & !c:*\d`, []string{"a", "b", "c", "d"}},
		{"not UTF-8, and NUL", "a\xffb\x00c", []string{"a", "b", "c"}},
		{"a long word", "x" + long, []string{"x" + strings.Repeat("e", maxWord-1)}},
		{"a long word of long letters", "a" + strings.Repeat("世", maxWord), []string{"a" + strings.Repeat("世", (maxWord-1)/3)}},
	} {
		if d := cmp.Diff(c.want, textWords(c.text)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.why, d)
		}
	}
}

// A note of any content can be indexed, also when PostgreSQL could not take all of its words; it is found by the first ones.
func TestPostgresIndexesAnyContent(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	r := rand.New(rand.NewPCG(1, 2))
	random := func(words int, word func() string) string {
		var b strings.Builder
		for range words {
			b.WriteString(word() + " ")
		}
		return b.String()
	}
	for n, content := range []string{
		"first " + random(200_000, func() string { return fmt.Sprint(r.Uint32()) }),
		"first " + random(200_000, func() string { return "again" }),
		"first " + random(1000, func() string { return strings.Repeat("y", 900) + fmt.Sprint(r.Uint32()) }),
		"first " + random(100_000, func() string { return string(rune(0x4e00 + r.IntN(0x5000))) }),
		"first " + random(1000, func() string { return string(rune(r.IntN(0x10ffff))) }),
		"first " + strings.Repeat("z", 1<<20),
	} {
		note := domain.Note{ID: testID(n), Content: strings.ReplaceAll(strings.ToValidUTF8(content, "?"), "\x00", ""), Revision: 1, CreatedAt: epoch, UpdatedAt: epoch}
		err := db.Notes(nil).Write(t.Context(), note.ID, func(*domain.Note) (ports.NoteWrite, error) {
			return ports.NoteWrite{Note: note, Event: domain.NoteEvent{EventID: testID(n), OccurredAt: epoch, Note: note.Event(domain.Created)}}, nil
		})
		if err != nil {
			t.Errorf("content %d: %v", n, err)
		}
		if found, _, err := db.Notes(nil).Notes(t.Context(), domain.NoteQuery{Search: "first", Limit: 1}); err != nil || len(found) != 1 || found[0].ID != note.ID {
			t.Errorf("content %d is not found: %v", n, err)
		}
	}
	if found, _, err := db.Notes(nil).Notes(t.Context(), domain.NoteQuery{Search: strings.Repeat("z", 1<<20), Limit: 9}); err != nil || len(found) != 1 {
		t.Errorf("%d notes with the longest word, %v", len(found), err)
	}
}

// A vector that is full ends where it is full, and not a word before.
func TestVectorLosesNothingThatFits(t *testing.T) {
	const letters = 6
	count := maxVector / (letters + entrySize + placeSize)
	if count*(letters+entrySize+placeSize) != maxVector {
		t.Fatal("words of this length do not fill a vector")
	}
	words := make([]string, count)
	for i := range words {
		words[i] = fmt.Sprintf("%0*d", letters, i)
	}
	last := "'" + words[count-1] + "'"
	for _, more := range []string{"", words[0], "another"} {
		got := vector(strings.Join(append(words[:count:count], more), " "))
		if !strings.Contains(got, last) || strings.Contains(got, "another") {
			t.Errorf("with %q behind it: %s is there: %t, and what follows: %t", more, last, strings.Contains(got, last), strings.Contains(got, "another"))
		}
	}
}
