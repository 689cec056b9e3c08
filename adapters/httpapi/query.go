package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/julienschmidt/httprouter"

	"github.com/matric/matric-events/domain"
)

// checkQuery refuses a query that cannot be read as a whole, parts of which net/url would pass over in silence.
func checkQuery(r *http.Request) error {
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		return domain.Invalid("", "the query is malformed: it must be name=value pairs with & between, percent-encoded")
	}
	return nil
}

// queryText returns a text in the query that a store can look for.
func queryText(r *http.Request, name string) (string, error) {
	s := r.URL.Query().Get(name)
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return "", domain.Invalid(name, "must be UTF-8 without the NUL character")
	}
	return s, nil
}

// byID is an action on what the path names.
func byID(f func(w http.ResponseWriter, r *http.Request, id domain.UUID) error) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := domain.ParseUUID(httprouter.ParamsFromContext(r.Context()).ByName("id"))
		if err != nil {
			return domain.Invalid("id", "is not a UUID")
		}
		return f(w, r, id)
	}
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
