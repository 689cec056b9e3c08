package httpapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

// Bounds of a list.
const (
	defaultLimit = 50
	maxLimit     = 500
)

// page is where in a list a request is.
type page struct {
	limit  int
	before domain.UUID
}

// paging reads limit and cursor.
func paging(r *http.Request) (p page, err error) {
	p.limit = defaultLimit
	if s := r.URL.Query().Get("limit"); s != "" {
		if p.limit, err = strconv.Atoi(s); err != nil || p.limit < 1 || p.limit > maxLimit {
			return p, domain.Invalid("limit", "must be a whole number from 1 to %d", maxLimit)
		}
	}
	p.before, err = queryID(r, "cursor")
	return p, err
}

// found puts a cursor that does not exist, or no longer, in terms of the request.
func (p page) found(err error) error {
	if errors.Is(err, domain.ErrNotFound) {
		return domain.Invalid("cursor", "there is no such item; start again without a cursor")
	}
	return err
}

// answer sends items, and a Link to the next page if there are more.
func answer[Item, View any](w http.ResponseWriter, r *http.Request, items []Item, more bool, id func(*Item) domain.UUID, view func(*Item) View) {
	if more {
		next := *r.URL
		q := next.Query()
		q.Set("cursor", id(&items[len(items)-1]).String())
		next.RawQuery = q.Encode()
		w.Header().Set("Link", "<"+next.RequestURI()+`>; rel="next"`)
	}
	views := make([]View, len(items))
	for i := range items {
		views[i] = view(&items[i])
	}
	web.JSON(w, http.StatusOK, views)
}
