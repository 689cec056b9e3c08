package httpapi

import (
	"net/http"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

// noteInput is what clients may set of a note. Null is the same as absent.
type noteInput struct {
	Title   *string   `json:"title"`
	Content *string   `json:"content"`
	Tags    *[]string `json:"tags"`
	UserID  *string   `json:"user_id"`
}

// noteView is a note as clients see it.
type noteView struct {
	ID            domain.UUID `json:"id"`
	Title         string      `json:"title"`
	Content       string      `json:"content"`
	Tags          []string    `json:"tags"`
	UserID        string      `json:"user_id,omitempty"`
	HasAIContent  bool        `json:"has_ai_content"`
	HasLinks      bool        `json:"has_links"`
	SuggestedTags []string    `json:"suggested_tags"`
	CreatedAt     string      `json:"created_at"`
	UpdatedAt     string      `json:"updated_at"`
}

func viewNote(n *domain.Note) noteView {
	return noteView{
		ID: n.ID, Title: n.Title, Content: n.Content, Tags: web.OrEmpty(n.Tags), UserID: n.UserID,
		HasAIContent: n.HasAIContent, HasLinks: n.HasLinks, SuggestedTags: web.OrEmpty(n.SuggestedTags),
		CreatedAt: web.Stamp(n.CreatedAt), UpdatedAt: web.Stamp(n.UpdatedAt),
	}
}

func (a *api) createNote(w http.ResponseWriter, r *http.Request) error {
	var in noteInput
	if err := decode(w, r, &in); err != nil {
		return err
	}
	note, err := a.Notes.Create(r.Context(), domain.NotePatch(in))
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/notes/"+note.ID.String())
	web.JSON(w, http.StatusCreated, viewNote(&note))
	return nil
}

func (a *api) updateNote(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	var in noteInput
	if err := decode(w, r, &in); err != nil {
		return err
	}
	note, err := a.Notes.Update(r.Context(), id, domain.NotePatch(in))
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, viewNote(&note))
	return nil
}

func (a *api) deleteNote(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	if err := a.Notes.Delete(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) getNote(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	note, err := a.Notes.Note(r.Context(), id)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, viewNote(&note))
	return nil
}

func (a *api) listNotes(w http.ResponseWriter, r *http.Request) error {
	p, err := paging(r)
	if err != nil {
		return err
	}
	q := domain.NoteQuery{Before: p.before, Limit: p.limit}
	if q.Search, err = queryText(r, "q"); err != nil {
		return err
	}
	if q.Tag, err = queryText(r, "tag"); err != nil {
		return err
	}
	if q.Links, err = queryID(r, "links_to"); err != nil {
		return err
	}
	notes, more, err := a.Notes.Notes(r.Context(), q)
	if err != nil {
		return p.found(err)
	}
	answer(w, r, notes, more, func(n *domain.Note) domain.UUID { return n.ID }, viewNote)
	return nil
}
