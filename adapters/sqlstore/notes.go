package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jmoiron/sqlx"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

var _ ports.Notes = (*Notes)(nil)

// jobTable is where EnqueueFunc adds jobs, as far as listeners are concerned.
const jobTable = "river_job"

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
	var enqueued bool
	err := n.db.transact(ctx, func(tx *sqlx.Tx) error {
		current, err := n.noteForUpdate(ctx, tx, id)
		if err != nil {
			return err
		}
		w, err := change(current)
		if err != nil {
			refused = err
			return err
		}
		enqueued = w.Job != nil
		return n.store(ctx, tx, w)
	})
	if err == nil && enqueued {
		n.db.commits.committed(jobTable)
	}
	if err == nil || refused != nil {
		return refused
	}
	return fmt.Errorf("sqlstore: write note %s: %w", id, err)
}

// noteForUpdate returns nil when there is no such note.
func (n *Notes) noteForUpdate(ctx context.Context, tx *sqlx.Tx, id domain.UUID) (*domain.Note, error) {
	if err := n.db.engine.lockNote(ctx, tx, id); err != nil {
		return nil, translate(err)
	}
	row, err := n.db.readNote(ctx, tx, id, n.db.engine.forUpdate())
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
		err = n.delete(ctx, tx, w.Note.ID)
	} else {
		err = n.upsert(ctx, tx, &w.Note, w.Job == nil)
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

func (n *Notes) delete(ctx context.Context, tx *sqlx.Tx, id domain.UUID) error {
	if err := n.db.engine.unindexNote(ctx, tx, id); err != nil {
		return translate(err)
	}
	_, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM note WHERE id = ?`), id.String()) // its links go with it
	return translate(err)
}

func (n *Notes) upsert(ctx context.Context, tx *sqlx.Tx, note *domain.Note, index bool) error {
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
	return translate(n.db.engine.indexNote(ctx, tx, row))
}

// Note implements ports.Notes.
func (n *Notes) Note(ctx context.Context, id domain.UUID) (domain.Note, error) {
	row, err := n.db.readNote(ctx, n.db.read, id, "")
	if err != nil {
		return domain.Note{}, fmt.Errorf("sqlstore: read note %s: %w", id, err)
	}
	return row.note()
}

// Notes implements ports.Notes.
func (n *Notes) Notes(ctx context.Context, q domain.NoteQuery) (notes []domain.Note, more bool, err error) {
	if notes, more, err = n.list(ctx, q); err != nil {
		return nil, false, fmt.Errorf("sqlstore: list notes: %w", err)
	}
	return notes, more, nil
}

func (n *Notes) list(ctx context.Context, q domain.NoteQuery) (notes []domain.Note, more bool, err error) {
	if strings.ContainsRune(q.Tag, 0) || !utf8.ValidString(q.Tag) {
		return nil, false, nil // no note has such a tag; PostgreSQL would take offence
	}
	condition, args := n.db.engine.search(q.Search)
	where := []string{condition}
	if !q.Before.IsZero() {
		before, err := n.db.readNote(ctx, n.db.read, q.Before, "")
		if err != nil {
			return nil, false, err
		}
		where, args = append(where, "seq < ?"), append(args, before.Seq)
	}
	if q.Tag != "" {
		where, args = append(where, n.db.engine.hasTag()), append(args, q.Tag)
	}
	if !q.Links.IsZero() {
		where, args = append(where, noteLinksTo), append(args, q.Links.String())
	}
	args = append(args, withNext(q.Limit))
	return readPage(ctx, n.db.read, q.Limit, pageOfNotes(n.db.engine, strings.Join(where, " AND ")), args, func(r *noteRow) (domain.Note, int, error) {
		note, err := r.note()
		return note, len(note.Content), err
	})
}

// pageOfNotes returns a query for the newest notes for which a condition holds: those that fit on a page and the one after
// them. The last of its arguments is the limit.
func pageOfNotes(e engine, condition string) string {
	const order = ` ORDER BY seq DESC`
	chosen := `SELECT seq, ` + sizeOf("content") + ` FROM note WHERE ` + condition + order + ` LIMIT ?`
	return selectNoteRow + `WHERE seq` + e.oneOf(fitting("seq", order, chosen)) + order
}

// noteLinksTo is true of notes that link to the title of another one.
const noteLinksTo = `seq IN (SELECT l.note FROM note AS target JOIN note_link AS l ON l.title = target.title AND l.title <> ''
	WHERE target.id = ? AND l.note <> target.seq)`
