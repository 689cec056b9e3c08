package httpapi

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"

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

// byNeed orders lists of connections for those who look for the slow and the busy.
var byNeed = map[string]func(a, b domain.Connection) int{
	"since":     func(domain.Connection, domain.Connection) int { return 0 }, // as they are
	"lag":       func(a, b domain.Connection) int { return cmp.Compare(b.Lag, a.Lag) },
	"delivered": func(a, b domain.Connection) int { return cmp.Compare(b.Delivered, a.Delivered) },
}

// selectConnections applies the query: transport and user select, sort orders, limit cuts.
func selectConnections(q url.Values, list []domain.Connection) ([]domain.Connection, error) {
	order, known := byNeed[cmp.Or(q.Get("sort"), "since")]
	if !known {
		return nil, domain.Invalid("sort", "must be since, lag or delivered")
	}
	limit := len(list)
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, domain.Invalid("limit", "must be a whole number from 1")
		}
		limit = min(limit, n)
	}
	transport := q.Get("transport")
	if transport != "" && !slices.Contains([]string{"websocket", "sse", "poll", "mcp"}, transport) {
		return nil, domain.Invalid("transport", "must be websocket, sse, poll or mcp")
	}
	list = slices.DeleteFunc(list, func(c domain.Connection) bool {
		return transport != "" && c.Transport != transport || q.Has("user") && c.User != q.Get("user")
	})
	slices.SortStableFunc(list, order)
	return list[:min(limit, len(list))], nil
}

func (a *api) connections(w http.ResponseWriter, r *http.Request) error {
	list, err := selectConnections(r.URL.Query(), a.Registry.List())
	if err != nil {
		return err
	}
	views := make([]connectionView, len(list))
	for i := range list {
		c := &list[i]
		views[i] = connectionView{
			ID: c.ID, Transport: c.Transport, Remote: c.Remote, User: c.User, Since: web.Stamp(c.Since),
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
