package httpapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/julienschmidt/httprouter"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

// maxBody bounds a request's body.
const maxBody = 1 << 20

const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
)

// body reads a request's body, whose media type must be one of those given; it returns which.
func body(w http.ResponseWriter, r *http.Request, allowed ...string) (data []byte, media string, err error) {
	media, _, err = mime.ParseMediaType(r.Header.Get("Content-Type"))
	known := false
	for _, a := range allowed {
		known = known || media == a
	}
	if err != nil || !known {
		w.Header().Set("Accept", allowed[0])
		return nil, "", &web.StatusError{Status: http.StatusUnsupportedMediaType, Detail: "the Content-Type must be " + list(allowed)}
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, "", &web.StatusError{Status: http.StatusUnsupportedMediaType, Detail: "the Content-Encoding must be identity"}
	}
	data, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, "", &web.StatusError{Status: http.StatusRequestEntityTooLarge, Detail: "the body must be at most 1 MiB"}
	}
	if err != nil {
		return nil, "", domain.Invalid("", "the body could not be read to its end")
	}
	return data, media, nil
}

func list(words []string) string {
	out := words[0]
	for _, w := range words[1:] {
		out += " or " + w
	}
	return out
}

// decode reads a JSON body into v.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	data, _, err := body(w, r, mediaJSON)
	if err != nil {
		return err
	}
	return domain.DecodeStrict(data, v)
}

// pathID returns the identifier in the path.
func pathID(r *http.Request) (domain.UUID, error) {
	s := httprouter.ParamsFromContext(r.Context()).ByName("id")
	id, err := domain.ParseUUID(s)
	if err != nil {
		return id, domain.Invalid("id", "is not a UUID")
	}
	return id, nil
}

// queryID returns an identifier in the query; zero when there is none.
func queryID(r *http.Request, name string) (domain.UUID, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return domain.UUID{}, nil
	}
	id, err := domain.ParseUUID(s)
	if err != nil {
		return id, domain.Invalid(name, "is not a UUID")
	}
	return id, nil
}

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

// fetch is how many items to ask for: one more than wanted tells whether there are more.
func (p page) fetch() int { return p.limit + 1 }

// found puts a cursor that does not exist, or no longer, in terms of the request.
func (p page) found(err error) error {
	if errors.Is(err, domain.ErrNotFound) {
		return domain.Invalid("cursor", "there is no such item; start again without a cursor")
	}
	return err
}

// answer sends up to limit items, and a Link to the next page if there is one.
func answer[Item, View any](w http.ResponseWriter, r *http.Request, p page, items []Item, id func(*Item) domain.UUID, view func(*Item) View) {
	if len(items) > p.limit {
		items = items[:p.limit]
		next := *r.URL
		q := next.Query()
		q.Set("cursor", id(&items[p.limit-1]).String())
		next.RawQuery = q.Encode()
		w.Header().Set("Link", "<"+next.RequestURI()+`>; rel="next"`)
	}
	views := make([]View, len(items))
	for i := range items {
		views[i] = view(&items[i])
	}
	web.JSON(w, http.StatusOK, views)
}
