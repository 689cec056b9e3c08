package sqlstore

import (
	"strings"
	"unicode"
)

// The statements that another database would word differently.
const (
	// indexNote brings the full-text index up to date with the row of a note.
	indexNote = `INSERT OR REPLACE INTO note_index (rowid, title, content, tags)
		SELECT seq, title, content, (SELECT group_concat(value, ' ') FROM json_each(note.tags)) FROM note WHERE id = ?`

	// unindexNote must come before the row of the note goes.
	unindexNote = `DELETE FROM note_index WHERE rowid = (SELECT seq FROM note WHERE id = ?)`

	// noteMatches takes what searchTerm returns.
	noteMatches = `seq IN (SELECT rowid FROM note_index WHERE note_index MATCH ?)`

	noteHasTag = `EXISTS (SELECT 1 FROM json_each(note.tags) WHERE value = ?)`
	// noteLinksTo is true of notes that link to the title of another one.
	noteLinksTo = `seq IN (SELECT l.note FROM note AS target JOIN note_link AS l ON l.title = target.title AND l.title <> ''
		WHERE target.id = ? AND l.note <> target.seq)`
)

// searchTerm puts what a user typed in the language of FTS5: every word must occur, the last one may be the beginning of
// one. Words are quoted, so that nothing in them is syntax; one without letters and digits is ignored beside others. It
// returns the empty string when there are no words.
func searchTerm(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == 0 }) // NUL would end the text early
	if len(words) == 0 {
		return ""
	}
	var b strings.Builder
	for _, w := range words {
		b.WriteString(`"` + strings.ReplaceAll(w, `"`, `""`) + `" `)
	}
	return strings.TrimSuffix(b.String(), " ") + "*"
}
