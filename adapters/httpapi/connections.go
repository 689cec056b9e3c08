package httpapi

import (
	"net/http"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

// connectionView is a connection as operators see it.
type connectionView struct {
	ID        domain.UUID `json:"id"`
	Transport string      `json:"transport"`
	Remote    string      `json:"remote"`
	User      string      `json:"user,omitempty"`
	Since     string      `json:"since"`
	Filter    filterView  `json:"filter"`
	Delivered uint64      `json:"delivered"`
	Lag       uint64      `json:"lag"`
}

// filterView is a filter; what is not restricted is left out.
type filterView struct {
	Types   []string      `json:"types,omitempty"`
	JobIDs  []domain.UUID `json:"job_ids,omitempty"`
	NoteIDs []domain.UUID `json:"note_ids,omitempty"`
}

func (a *api) connections(w http.ResponseWriter, _ *http.Request) error {
	list := a.Registry.List()
	views := make([]connectionView, len(list))
	for i := range list {
		c := &list[i]
		views[i] = connectionView{
			ID: c.ID, Transport: c.Transport, Remote: c.Remote, User: c.User, Since: stamp(c.Since),
			Filter:    filterView{Types: c.Filter.Types.Names(), JobIDs: c.Filter.Jobs, NoteIDs: c.Filter.Notes},
			Delivered: c.Delivered, Lag: c.Lag,
		}
	}
	web.JSON(w, http.StatusOK, views)
	return nil
}

func (a *api) kick(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	if err := a.Registry.Kick(id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
