package httpapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

// maxBody bounds a request's body.
const maxBody = 1 << 20

const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
)

// mediaType returns the media type of a request's body, which must be one of those allowed, in UTF-8 and not compressed.
func mediaType(w http.ResponseWriter, r *http.Request, allowed ...string) (string, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(allowed, media) {
		w.Header().Set("Accept", strings.Join(allowed, ", "))
		return "", unsupported("the Content-Type must be " + strings.Join(allowed, " or "))
	}
	if charset := strings.ToLower(params["charset"]); charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return "", unsupported("the charset must be utf-8")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		w.Header().Set("Accept-Encoding", "identity") // RFC 9110, section 15.5.16
		return "", unsupported("the Content-Encoding must be identity")
	}
	return media, nil
}

func unsupported(detail string) error {
	return &web.StatusError{Status: http.StatusUnsupportedMediaType, Detail: detail}
}

// read reads a request's body.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, &web.StatusError{Status: http.StatusRequestEntityTooLarge, Detail: "the body must be at most 1 MiB"}
	}
	if err != nil {
		return nil, domain.Invalid("", "the body could not be read to its end")
	}
	return data, nil
}

// checkText refuses what encoding/json would read as text with replacement characters.
func checkText(data []byte) error {
	if !utf8.Valid(data) {
		return domain.Invalid("", "the text is not valid UTF-8")
	}
	return nil
}

// body reads a JSON body.
func body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if _, err := mediaType(w, r, mediaJSON); err != nil {
		return nil, err
	}
	data, err := read(w, r)
	if err != nil {
		return nil, err
	}
	return data, checkText(data)
}

// optionalBody reads a JSON body that may be left out, and then needs no media type.
func optionalBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	data, err := read(w, r)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	if _, err := mediaType(w, r, mediaJSON); err != nil {
		return nil, err
	}
	return data, checkText(data)
}

// decode reads a JSON body into v.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	data, err := body(w, r)
	if err != nil {
		return err
	}
	return domain.DecodeStrict(data, v)
}
