package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/matric/matric-events/docs"
)

// checker compares requests and answers with openapi.yaml, and remembers which operations have given which answers.
type checker struct {
	doc    *openapi3.T
	router routers.Router
	seen   map[string]map[int]bool // by operationId
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(docs.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	doc.Servers = nil // every server is one of the document's
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &checker{doc: doc, router: router, seen: map[string]map[int]bool{}}
}

// exchange is a request and its answer, with their bodies read.
type exchange struct {
	request  *http.Request
	sent     []byte
	response *http.Response
	received []byte
}

// check returns whether the document allows the request, and whether it has the answer.
func (c *checker) check(ctx context.Context, x exchange) (request, response error) {
	req := x.request.Clone(ctx)
	req.Body, req.GetBody = io.NopCloser(bytes.NewReader(x.sent)), nil
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		return err, err
	}
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			RejectWhenRequestBodyNotSpecified: true, SkipSettingDefaults: true,
		},
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: x.response.StatusCode, Header: x.response.Header, Options: in.Options,
	}
	out.SetBodyBytes(x.received)
	id := route.Operation.OperationID
	if c.seen[id] == nil {
		c.seen[id] = map[int]bool{}
	}
	c.seen[id][x.response.StatusCode] = true
	request = openapi3filter.ValidateRequest(ctx, in)
	response = openapi3filter.ValidateResponse(ctx, out)
	if content := route.Operation.Responses.Status(x.response.StatusCode); response == nil && content != nil &&
		len(content.Value.Content) == 0 && len(x.received) > 0 {
		response = fmt.Errorf("a body where the document has none: %s", x.received)
	}
	return request, response
}

// operation is an operation of the document with where it is.
type operation struct {
	*openapi3.Operation
	method, path string
}

// operations yields those of the document in order.
func (c *checker) operations() iter.Seq[operation] {
	return func(yield func(operation) bool) {
		paths := c.doc.Paths.Map()
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			methods := paths[path].Operations()
			for _, method := range slices.Sorted(maps.Keys(methods)) {
				if !yield(operation{methods[method], method, path}) {
					return
				}
			}
		}
	}
}

// at returns the path with an identifier in it.
func (o operation) at(id string) string { return strings.ReplaceAll(o.path, "{id}", id) }

func (o operation) hasID() bool { return strings.Contains(o.path, "{id}") }

func (o operation) tagged(tags ...string) bool { return slices.Contains(tags, o.Tags[0]) }

// isOpen reports whether the operation needs no token even if the server does.
func (o operation) isOpen() bool { return o.Security != nil && len(*o.Security) == 0 }

// bodies yields the examples of the request's body by media type.
func (o operation) bodies() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		if o.RequestBody == nil {
			return
		}
		content := o.RequestBody.Value.Content
		for _, media := range slices.Sorted(maps.Keys(content)) {
			if ex := content[media].Example; ex != nil && !yield(media, ex) {
				return
			}
			examples := content[media].Examples
			for _, name := range slices.Sorted(maps.Keys(examples)) {
				if !yield(media, examples[name].Value.Value) {
					return
				}
			}
		}
	}
}
