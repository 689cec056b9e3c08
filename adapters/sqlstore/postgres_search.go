package sqlstore

import (
	"context"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jmoiron/sqlx"
	"golang.org/x/text/unicode/norm"

	"github.com/matric/matric-events/domain"
)

// The words of notes are found here and not by PostgreSQL, whose parser takes an URL or a file name for one word, and
// which knows nothing of accents without an extension that may not be there. So both kinds of databases find the same.

const (
	maxWord     = 1 << 10         // bytes; PostgreSQL keeps twice as many. Longer ones are known by their beginning
	maxPosition = 1<<14 - 1       // behind it PostgreSQL knows a word, and not what stands beside it
	maxPlaces   = 256             // of one word, likewise
	maxVector   = 1<<20 - 1<<16   // bytes of a tsvector, with something to spare; what is beyond is not found
	placeSize   = 2               // bytes of a position
	entrySize   = 4 + placeSize*2 // about what a word takes besides its letters
)

func (postgresEngine) indexNote(ctx context.Context, tx *sqlx.Tx, row *noteRow) error {
	note, err := row.note()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO note_index (note, words) SELECT seq, $2::tsvector FROM note WHERE id = $1
		ON CONFLICT (note) DO UPDATE SET words = excluded.words`, row.ID, vector(note.Title, note.Content, strings.Join(note.Tags, " ")))
	return err
}

// unindexNote has nothing to do: the row of the index goes with that of the note.
func (postgresEngine) unindexNote(context.Context, *sqlx.Tx, domain.UUID) error { return nil }

func (postgresEngine) hasTag() string { return `tags @> jsonb_build_array(?::text)` }

// search is of the same meaning as on SQLite: every word must occur, the last one may be the beginning of one; what has
// punctuation in it are several words side by side.
func (postgresEngine) search(typed string) (condition string, args []any) {
	words := typedWords(typed)
	if len(words) == 0 {
		return "true", nil
	}
	var runs []string
	for _, w := range words {
		if run := textWords(w); len(run) > 0 {
			runs = append(runs, `'`+strings.Join(run, `' <-> '`)+`'`)
		}
	}
	if len(runs) == 0 {
		return "false", nil
	}
	return `seq IN (SELECT note FROM note_index WHERE words @@ ?::tsquery)`, []any{strings.Join(runs, " & ") + ":*"}
}

// textWords returns the runs of letters and digits of a text, in lower case and without accents. Nothing in them means
// anything to PostgreSQL.
func textWords(text string) []string {
	plain := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFD.String(text))
	words := strings.FieldsFunc(plain, func(r rune) bool { return r == utf8.RuneError || !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	for i, w := range words {
		if len(w) > maxWord {
			cut := maxWord
			for !utf8.RuneStart(w[cut]) {
				cut--
			}
			words[i] = w[:cut]
		}
	}
	return words
}

// vector writes the words of texts as PostgreSQL reads a tsvector. The last word of a text does not stand beside the first
// one of the next.
func vector(texts ...string) string {
	places := map[string][]int{}
	var order []string // so that the same texts make the same vector
	at, size := 0, 0
	for _, text := range texts {
		for _, w := range textWords(text) {
			at++
			known, met := places[w]
			if len(known) == maxPlaces {
				continue
			}
			size += placeSize
			if !met {
				size += len(w) + entrySize
			}
			if size > maxVector {
				return writeVector(order, places)
			}
			if !met {
				order = append(order, w)
			}
			places[w] = append(known, min(at, maxPosition))
		}
		at++
	}
	return writeVector(order, places)
}

func writeVector(words []string, places map[string][]int) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString(`'` + w + `'`)
		for i, p := range places[w] {
			b.WriteByte(":,"[min(i, 1)])
			b.WriteString(strconv.Itoa(p))
		}
		b.WriteByte(' ')
	}
	return b.String()
}
