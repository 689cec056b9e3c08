package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

var _ ports.Notes = (*Notes)(nil)

// EnqueueFunc adds a job within a transaction of the writer. Its error rolls the transaction back.
type EnqueueFunc func(ctx context.Context, tx *sql.Tx, spec domain.JobSpec) error

// Notes implements ports.Notes. Use DB.Notes.
type Notes struct {
	db      *DB
	enqueue EnqueueFunc
}

// Notes returns the notes of the database. enqueue adds the jobs that changes of notes call for.
func (d *DB) Notes(enqueue EnqueueFunc) *Notes { return &Notes{d, enqueue} }

// Write implements ports.Notes.
func (n *Notes) Write(ctx context.Context, id domain.UUID, change func(current *domain.Note) (ports.NoteWrite, error)) error {
	var refused error // the error of change, which goes out as it is
	err := n.db.transact(ctx, func(tx *sqlx.Tx) error {
		current, err := noteForUpdate(ctx, tx, id)
		if err != nil {
			return err
		}
		w, err := change(current)
		if err != nil {
			refused = err
			return err
		}
		return n.store(ctx, tx, w)
	})
	if err == nil || refused != nil {
		return refused
	}
	return fmt.Errorf("sqlstore: write note %s: %w", id, err)
}

// noteForUpdate returns nil when there is no such note.
func noteForUpdate(ctx context.Context, tx *sqlx.Tx, id domain.UUID) (*domain.Note, error) {
	row, err := readNote(ctx, tx, id)
	if errors.Is(err, domain.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	note, err := row.note()
	return &note, err
}

func (n *Notes) store(ctx context.Context, tx *sqlx.Tx, w ports.NoteWrite) error {
	var err error
	if w.Event.Note.Operation == domain.Deleted {
		err = deleteNote(ctx, tx, w.Note.ID)
	} else {
		err = upsertNote(ctx, tx, &w.Note, w.Job == nil)
	}
	if err != nil {
		return err
	}
	body, err := w.Event.MarshalJSON()
	if err != nil {
		return err
	}
	if err := n.db.AppendOutbox(ctx, tx.Tx, KindNote, string(body)); err != nil {
		return err
	}
	if w.Job == nil {
		return nil
	}
	return n.enqueue(ctx, tx.Tx, *w.Job)
}

func deleteNote(ctx context.Context, tx *sqlx.Tx, id domain.UUID) error {
	if _, err := tx.ExecContext(ctx, unindexNote, id.String()); err != nil {
		return translate(err)
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM note WHERE id = ?`, id.String()) // its links go with it
	return translate(err)
}

func upsertNote(ctx context.Context, tx *sqlx.Tx, note *domain.Note, index bool) error {
	row, err := rowOf(note)
	if err != nil {
		return err
	}
	if _, err := tx.NamedExecContext(ctx, upsertNoteRow, row); err != nil {
		return translate(err)
	}
	if !index {
		return nil
	}
	_, err = tx.ExecContext(ctx, indexNote, row.ID)
	return translate(err)
}

// Note implements ports.Notes.
func (n *Notes) Note(ctx context.Context, id domain.UUID) (domain.Note, error) {
	row, err := readNote(ctx, n.db.read, id)
	if err != nil {
		return domain.Note{}, fmt.Errorf("sqlstore: read note %s: %w", id, err)
	}
	return row.note()
}

// Notes implements ports.Notes.
func (n *Notes) Notes(ctx context.Context, q domain.NoteQuery) ([]domain.Note, error) {
	notes, err := n.list(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: list notes: %w", err)
	}
	return notes, nil
}

func (n *Notes) list(ctx context.Context, q domain.NoteQuery) ([]domain.Note, error) {
	where := []string{"true"}
	var args []any
	if !q.Before.IsZero() {
		before, err := readNote(ctx, n.db.read, q.Before)
		if err != nil {
			return nil, err
		}
		where, args = append(where, "seq < ?"), append(args, before.Seq)
	}
	if term := searchTerm(q.Search); term != "" {
		where, args = append(where, noteMatches), append(args, term)
	}
	if q.Tag != "" {
		where, args = append(where, noteHasTag), append(args, q.Tag)
	}
	if !q.Links.IsZero() {
		where, args = append(where, noteLinksTo), append(args, q.Links.String())
	}
	return n.db.selectNotes(ctx, strings.Join(where, " AND "), append(args, max(q.Limit, 0)))
}
