package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/matric/matric-events/domain"
)

// maxAnswer bounds what is read of an answer that is not a stream.
const maxAnswer = 64 << 10

// do sends a request. Its error is transient unless trying again is pointless.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	resp, err := c.opts.HTTPClient.Do(req)
	if err == nil {
		return resp, nil
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return nil, err
	}
	if cause := context.Cause(req.Context()); cause != nil {
		err = cause
	}
	return nil, &transient{err: err}
}

// problem is an application/problem+json document (RFC 9457) with the hub's own members.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
	Index  *int   `json:"index"`
}

// refusal turns an answer that is not a success into an error that callers can branch on.
func refusal(resp *http.Response) error {
	p := readProblem(resp)
	detail := cmp.Or(p.Detail, p.Title, http.StatusText(resp.StatusCode), "refused")
	text := fmt.Sprintf("%s (status %d)", detail, resp.StatusCode)
	switch code := resp.StatusCode; code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return p.fieldError(detail)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %s", domain.ErrUnauthorized, text)
	case http.StatusNotFound:
		return fmt.Errorf("%w: %s", domain.ErrNotFound, text)
	case http.StatusConflict:
		return fmt.Errorf("%w: %s", domain.ErrConflict, text)
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return &transient{err: errors.New(text), after: retryAfter(resp.Header)}
	default:
		if code >= 500 {
			return &transient{err: errors.New(text), after: retryAfter(resp.Header)}
		}
		return errors.New(text)
	}
}

// fieldError drops from the detail what stands in the other members too, because a FieldError says it again.
func (p problem) fieldError(detail string) *domain.FieldError {
	e := &domain.FieldError{Field: p.Field, Index: domain.NoIndex}
	if p.Index != nil {
		e.Index = *p.Index
		detail = strings.TrimPrefix(detail, fmt.Sprintf("item %d: ", e.Index))
	}
	e.Detail = strings.TrimPrefix(detail, p.Field+": ")
	return e
}

// readProblem reads what an answer says about itself; nothing when it is no problem document.
func readProblem(resp *http.Response) (p problem) {
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); !strings.HasSuffix(media, "json") {
		return p
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil || json.Unmarshal(data, &p) != nil {
		return problem{}
	}
	return p
}
