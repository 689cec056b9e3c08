package sqlstore

import (
	"context"
	"strings"
	"unicode"

	"github.com/jmoiron/sqlx"

	"github.com/matric/matric-events/domain"
)

func (sqliteEngine) indexNote(ctx context.Context, tx *sqlx.Tx, row *noteRow) error {
	_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO note_index (rowid, title, content, tags)
		SELECT seq, title, content, (SELECT group_concat(value, ' ') FROM json_each(note.tags)) FROM note WHERE id = ?`, row.ID)
	return err
}

func (sqliteEngine) unindexNote(ctx context.Context, tx *sqlx.Tx, id domain.UUID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM note_index WHERE rowid = (SELECT seq FROM note WHERE id = ?)`, id.String())
	return err
}

func (sqliteEngine) hasTag() string {
	return `EXISTS (SELECT 1 FROM json_each(note.tags) WHERE value = ?)`
}

func (sqliteEngine) search(typed string) (condition string, args []any) {
	term := searchTerm(typed)
	if term == "" {
		return "true", nil
	}
	return `seq IN (SELECT rowid FROM note_index WHERE note_index MATCH ?)`, []any{term}
}

// typedWords splits what a user typed at spaces. NUL is one, too: SQLite would take it for the end of the text.
func typedWords(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == 0 })
}

// searchTerm puts what a user typed in the language of FTS5: every word must occur, the last one may be the beginning of
// one. Words are quoted, so that nothing in them is syntax; one without letters and digits is ignored beside others. It
// returns the empty string when there are no words.
func searchTerm(s string) string {
	words := typedWords(s)
	if len(words) == 0 {
		return ""
	}
	var b strings.Builder
	for _, w := range words {
		b.WriteString(`"` + strings.ReplaceAll(w, `"`, `""`) + `" `)
	}
	return strings.TrimSuffix(b.String(), " ") + "*"
}
