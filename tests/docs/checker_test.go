package docs_test

import (
	"bytes"
	"cmp"
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

// checker compares requests and answers with openapi.yaml, and remembers what of it has been seen.
type checker struct {
	doc    *openapi3.T
	router routers.Router
	seen   *seen
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
	return &checker{doc: doc, router: router, seen: newSeen()}
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
	request = cmp.Or(openapi3filter.ValidateRequest(ctx, in), knownParameters(route, req))
	response = openapi3filter.ValidateResponse(ctx, out)
	if has := route.Operation.Responses.Status(x.response.StatusCode); response == nil && has != nil {
		if len(has.Value.Content) == 0 && len(x.received) > 0 {
			response = fmt.Errorf("a body where the document has none: %s", x.received)
		}
		response = cmp.Or(response, knownHeaders(has.Value, x.response.Header))
		c.seen.exchange(route, x, has.Value)
	}
	return request, response
}

// parameters returns those of the path and those of the operation.
func parameters(path *openapi3.PathItem, op *openapi3.Operation) []*openapi3.Parameter {
	var all []*openapi3.Parameter
	for _, p := range append(slices.Clone(path.Parameters), op.Parameters...) {
		all = append(all, p.Value)
	}
	return all
}

// knownParameters refuses a query that names what the document does not.
func knownParameters(route *routers.Route, req *http.Request) error {
	known := map[string]bool{}
	for _, p := range parameters(route.PathItem, route.Operation) {
		known[p.Name] = known[p.Name] || p.In == "query"
	}
	if security := route.Operation.Security; security != nil {
		for _, one := range *security {
			_, ok := one["token"]
			known["token"] = known["token"] || ok
		}
	}
	for name := range req.URL.Query() {
		if !known[name] {
			return fmt.Errorf("the document has no parameter %s", name)
		}
	}
	return nil
}

// The headers that any answer may have: HTTP's own, and those that the document's introduction names.
var (
	ownHeaders    = []string{"Connection", "Content-Length", "Content-Type", "Date", "Transfer-Encoding"}
	commonHeaders = []string{
		"Allow", "Vary", "X-Content-Type-Options", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers",
		"Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age",
	}
)

// knownHeaders refuses headers that neither the response nor the introduction has.
func knownHeaders(has *openapi3.Response, headers http.Header) error {
	known := append(slices.Clone(ownHeaders), commonHeaders...)
	for name := range has.Headers {
		known = append(known, http.CanonicalHeaderKey(name))
	}
	for name := range headers {
		if !slices.Contains(known, name) {
			return fmt.Errorf("the document has no header %s", name)
		}
	}
	return nil
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

// body is an example of a request's body.
type body struct {
	place string // in the document, as a JSON pointer (RFC 6901)
	media string
	value any
}

// bodies yields the examples of the request's body.
func (o operation) bodies() iter.Seq[body] {
	return func(yield func(body) bool) {
		if o.RequestBody == nil {
			return
		}
		content := o.RequestBody.Value.Content
		for _, media := range slices.Sorted(maps.Keys(content)) {
			place := pointer("paths", o.path, strings.ToLower(o.method), "requestBody", "content", media)
			if ex := content[media].Example; ex != nil && !yield(body{place + "/example", media, ex}) {
				return
			}
			examples := content[media].Examples
			for _, name := range slices.Sorted(maps.Keys(examples)) {
				if !yield(body{place + pointer("examples", name, "value"), media, examples[name].Value.Value}) {
					return
				}
			}
		}
	}
}

// pointer returns the JSON pointer of a place.
func pointer(path ...string) (p string) {
	for _, name := range path {
		p += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	return p
}
