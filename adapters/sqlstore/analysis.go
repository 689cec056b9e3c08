package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/matric/matric-events/domain"
)

// linkRow is a row of the table note_link.
type linkRow struct {
	Note  int64  `db:"note"`
	Place int    `db:"place"`
	Title string `db:"title"`
	URL   string `db:"url"`
}

// ApplyAnalysis stores what a job found out about a note, in the transaction that completes the job. It returns the note
// as it is afterwards when its links or suggested tags changed, which clients are to be told, and nil otherwise. It does
// nothing when the note is gone or its content is no longer the one that was analyzed.
func (d *DB) ApplyAnalysis(ctx context.Context, tx *sql.Tx, a domain.Analysis) (changed *domain.Note, err error) {
	changed, err = applyAnalysis(ctx, d.join(tx), a)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: apply analysis of note %s: %w", a.NoteID, err)
	}
	return changed, nil
}

func applyAnalysis(ctx context.Context, tx *sqlx.Tx, a domain.Analysis) (*domain.Note, error) {
	row, err := readNote(ctx, tx, a.NoteID)
	if errors.Is(err, domain.ErrNotFound) {
		return nil, nil
	}
	if err != nil || row.Revision != a.Revision {
		return nil, err
	}
	if a.Index {
		if _, err := tx.ExecContext(ctx, indexNote, row.ID); err != nil {
			return nil, translate(err)
		}
	}
	before := *row
	linksChanged, err := applyLinks(ctx, tx, row, a.Links)
	if err != nil {
		return nil, err
	}
	if a.SuggestedTags != nil {
		if row.SuggestedTags, err = encodeList(*a.SuggestedTags); err != nil {
			return nil, err
		}
	}
	if *row == before && !linksChanged {
		return nil, nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE note SET has_links = ?, suggested_tags = ? WHERE seq = ?`,
		row.HasLinks, row.SuggestedTags, row.Seq); err != nil {
		return nil, translate(err)
	}
	note, err := row.note()
	return &note, err
}

// applyLinks replaces the links of a note, unless nothing is known of them, and reports whether they changed.
func applyLinks(ctx context.Context, tx *sqlx.Tx, row *noteRow, links *[]domain.Link) (bool, error) {
	if links == nil {
		return false, nil
	}
	var have []linkRow
	if err := tx.SelectContext(ctx, &have, `SELECT note, place, title, url FROM note_link WHERE note = ? ORDER BY place`, row.Seq); err != nil {
		return false, translate(err)
	}
	want := make([]linkRow, len(*links))
	for i, l := range *links {
		want[i] = linkRow{row.Seq, i, l.Title, l.URL}
	}
	row.HasLinks = len(want) > 0
	if slices.Equal(have, want) {
		return false, nil
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM note_link WHERE note = ?`, row.Seq); err != nil {
		return false, translate(err)
	}
	if len(want) == 0 {
		return true, nil
	}
	_, err := sqlx.NamedExecContext(ctx, tx, `INSERT INTO note_link (note, place, title, url) VALUES (:note, :place, :title, :url)`, want)
	return true, translate(err)
}
