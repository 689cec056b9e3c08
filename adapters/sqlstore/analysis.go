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
	changed, err = d.applyAnalysis(ctx, d.join(tx), a)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: apply analysis of note %s: %w", a.NoteID, err)
	}
	return changed, nil
}

func (d *DB) applyAnalysis(ctx context.Context, tx *sqlx.Tx, a domain.Analysis) (*domain.Note, error) {
	row, err := d.readNote(ctx, tx, a.NoteID, d.engine.forUpdate())
	if errors.Is(err, domain.ErrNotFound) {
		return nil, nil
	}
	if err != nil || row.Revision != a.Revision {
		return nil, err
	}
	if a.Index {
		if err := d.engine.indexNote(ctx, tx, row); err != nil {
			return nil, translate(err)
		}
	}
	note, err := row.note()
	if err != nil {
		return nil, err
	}
	before := note
	linksChanged, err := d.applyLinks(ctx, tx, row, a.Links)
	if err != nil {
		return nil, err
	}
	note.HasLinks = row.HasLinks
	if a.SuggestedTags != nil {
		note.SuggestedTags = *a.SuggestedTags
	}
	if !linksChanged && note.HasLinks == before.HasLinks && slices.Equal(note.SuggestedTags, before.SuggestedTags) {
		return nil, nil
	}
	suggested, err := encodeList(note.SuggestedTags)
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, d.write.Rebind(`UPDATE note SET has_links = ?, suggested_tags = ? WHERE seq = ?`), note.HasLinks, suggested, row.Seq)
	return &note, translate(err)
}

// applyLinks replaces the links of a note, unless nothing is known of them, and reports whether they changed.
func (d *DB) applyLinks(ctx context.Context, tx *sqlx.Tx, row *noteRow, links *[]domain.Link) (bool, error) {
	if links == nil {
		return false, nil
	}
	var have []linkRow
	if err := tx.SelectContext(ctx, &have, d.write.Rebind(`SELECT note, place, title, url FROM note_link WHERE note = ? ORDER BY place`), row.Seq); err != nil {
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
	if _, err := tx.ExecContext(ctx, d.write.Rebind(`DELETE FROM note_link WHERE note = ?`), row.Seq); err != nil {
		return false, translate(err)
	}
	if len(want) == 0 {
		return true, nil
	}
	insert, args, err := d.write.BindNamed(`INSERT INTO note_link (note, place, title, url) VALUES (:note, :place, :title, :url)`, want)
	if err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, insert, args...)
	return true, translate(err)
}
