package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/matric/matric-events/domain"
)

// noteRow is a row of the table note.
type noteRow struct {
	Seq           int64  `db:"seq"`
	ID            string `db:"id"`
	Title         string `db:"title"`
	Content       string `db:"content"`
	Tags          string `db:"tags"`
	UserID        string `db:"user_id"`
	HasAIContent  bool   `db:"has_ai_content"`
	HasLinks      bool   `db:"has_links"`
	SuggestedTags string `db:"suggested_tags"`
	Revision      int64  `db:"revision"`
	CreatedAt     int64  `db:"created_at"`
	UpdatedAt     int64  `db:"updated_at"`
}

const selectNoteRow = `SELECT seq, id, title, content, tags, user_id, has_ai_content, has_links, suggested_tags, revision,
	created_at, updated_at FROM note `

// upsertNoteRow leaves seq as it is when the note exists.
const upsertNoteRow = `INSERT INTO note (id, title, content, tags, user_id, has_ai_content, has_links, suggested_tags,
		revision, created_at, updated_at)
	VALUES (:id, :title, :content, :tags, :user_id, :has_ai_content, :has_links, :suggested_tags,
		:revision, :created_at, :updated_at)
	ON CONFLICT (id) DO UPDATE SET title = excluded.title, content = excluded.content, tags = excluded.tags,
		user_id = excluded.user_id, has_ai_content = excluded.has_ai_content, has_links = excluded.has_links,
		suggested_tags = excluded.suggested_tags, revision = excluded.revision, created_at = excluded.created_at,
		updated_at = excluded.updated_at`

// readNote returns one row, or ErrNotFound. The suffix ends the query.
func (d *DB) readNote(ctx context.Context, from sqlx.QueryerContext, id domain.UUID, suffix string) (*noteRow, error) {
	var row noteRow
	if err := sqlx.GetContext(ctx, from, &row, d.write.Rebind(selectNoteRow+`WHERE id = ?`+suffix), id.String()); err != nil {
		return nil, translate(err)
	}
	return &row, nil
}

func rowOf(n *domain.Note) (*noteRow, error) {
	tags, err := encodeList(n.Tags)
	if err != nil {
		return nil, err
	}
	suggested, err := encodeList(n.SuggestedTags)
	if err != nil {
		return nil, err
	}
	return &noteRow{
		ID: n.ID.String(), Title: n.Title, Content: n.Content, Tags: tags, UserID: n.UserID, HasAIContent: n.HasAIContent,
		HasLinks: n.HasLinks, SuggestedTags: suggested, Revision: n.Revision,
		CreatedAt: n.CreatedAt.UnixMicro(), UpdatedAt: n.UpdatedAt.UnixMicro(),
	}, nil
}

func (r *noteRow) note() (domain.Note, error) {
	n := domain.Note{
		Title: r.Title, Content: r.Content, UserID: r.UserID, HasAIContent: r.HasAIContent, HasLinks: r.HasLinks,
		Revision: r.Revision, CreatedAt: time.UnixMicro(r.CreatedAt).UTC(), UpdatedAt: time.UnixMicro(r.UpdatedAt).UTC(),
	}
	var err error
	if n.ID, err = domain.ParseUUID(r.ID); err != nil {
		return n, fmt.Errorf("row of note %q: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(r.Tags), &n.Tags); err != nil {
		return n, fmt.Errorf("row of note %s: tags: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(r.SuggestedTags), &n.SuggestedTags); err != nil {
		return n, fmt.Errorf("row of note %s: suggested tags: %w", r.ID, err)
	}
	return n, nil
}

// encodeList writes a list as a JSON array, also when it is nil.
func encodeList(list []string) (string, error) {
	if list == nil {
		return "[]", nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}
