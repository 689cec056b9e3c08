package docs_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
)

// seen is what of the document real exchanges have had.
type seen struct {
	answers    map[string]map[int]bool                // statuses by operationId
	parameters map[string]map[string]bool             // of requests that were not refused, by operationId
	headers    map[*openapi3.Response]map[string]bool // of answers
	members    map[*openapi3.Schema]map[string]bool   // of objects in answers
}

func newSeen() *seen {
	return &seen{
		answers: map[string]map[int]bool{}, parameters: map[string]map[string]bool{},
		headers: map[*openapi3.Response]map[string]bool{}, members: map[*openapi3.Schema]map[string]bool{},
	}
}

func put[K, V comparable](m map[K]map[V]bool, k K, v V) {
	if m[k] == nil {
		m[k] = map[V]bool{}
	}
	m[k][v] = true
}

// exchange remembers one.
func (s *seen) exchange(route *routers.Route, x exchange, has *openapi3.Response) {
	id, status := route.Operation.OperationID, x.response.StatusCode
	put(s.answers, id, status)
	for name := range has.Headers {
		if x.response.Header.Get(name) != "" {
			put(s.headers, has, name)
		}
	}
	if query := x.request.URL.Query(); status < 400 {
		for _, p := range parameters(route.PathItem, route.Operation) {
			if p.In == "query" && query.Has(p.Name) || p.In == "header" && x.request.Header.Get(p.Name) != "" {
				put(s.parameters, id, p.Name)
			}
		}
	}
	media, _, _ := strings.Cut(x.response.Header.Get("Content-Type"), ";")
	var value any
	if content := has.Content.Get(media); content != nil && strings.HasSuffix(media, "json") && json.Unmarshal(x.received, &value) == nil {
		s.value(content.Schema, value)
	}
}

// value remembers the members of objects in an answer.
func (s *seen) value(ref *openapi3.SchemaRef, value any) {
	schema := ref.Value
	for _, part := range schema.AllOf {
		s.value(part, value)
	}
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			s.value(schema.Items, item)
		}
	case map[string]any:
		for _, one := range schema.OneOf { // events, which their type tells apart
			if typ := one.Value.Properties["type"]; typ != nil && typ.Value.Const == v["type"] {
				s.value(one, value)
			}
		}
		for name, member := range schema.Properties {
			if of, ok := v[name]; ok {
				put(s.members, schema, name)
				s.value(member, of)
			}
		}
	}
}

// complete fails for what the document has and no exchange had.
func (s *seen) complete(t *testing.T, c *checker) {
	for o := range c.operations() {
		for _, p := range parameters(c.doc.Paths.Value(o.path), o.Operation) {
			if p.In != "path" && !s.parameters[o.OperationID][p.Name] {
				t.Errorf("%s %s was never sent %s %s", o.method, o.path, p.In, p.Name)
			}
		}
		for status, response := range o.Responses.Map() {
			if n, err := strconv.Atoi(status); err != nil || !s.answers[o.OperationID][n] {
				t.Errorf("%s %s never answered %s", o.method, o.path, status)
			}
			for name := range response.Value.Headers {
				if !s.headers[response.Value][name] {
					t.Errorf("%s %s: no %s had the header %s", o.method, o.path, status, name)
				}
			}
			for media, content := range response.Value.Content {
				if !strings.HasSuffix(media, "json") {
					continue
				}
				if !hasExample(content) {
					t.Errorf("%s %s: %s has no example of its body", o.method, o.path, status)
				}
				s.allMembers(t, o.OperationID, content.Schema, map[*openapi3.Schema]bool{})
			}
		}
	}
	for _, name := range commonHeaders {
		if !strings.Contains(c.doc.Info.Description, "`"+http.CanonicalHeaderKey(name)) {
			t.Errorf("the introduction does not name the header %s", name)
		}
	}
}

// hasExample reports whether there is an example of a body, or of the schema of what is in it.
func hasExample(content *openapi3.MediaType) bool {
	schema := content.Schema.Value
	if schema.Items != nil {
		schema = schema.Items.Value
	}
	return content.Example != nil || len(content.Examples) > 0 || len(schema.Examples) > 0
}

// allMembers fails for members that no answer had.
func (s *seen) allMembers(t *testing.T, of string, ref *openapi3.SchemaRef, done map[*openapi3.Schema]bool) {
	if ref == nil || done[ref.Value] {
		return
	}
	schema := ref.Value
	done[schema] = true
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		if !s.members[schema][name] {
			t.Errorf("%s: %s was never in an answer", of, name)
		}
		s.allMembers(t, of+"."+name, schema.Properties[name], done)
	}
	s.allMembers(t, of, schema.Items, done)
	for _, part := range append(slices.Clone(schema.AllOf), schema.OneOf...) {
		s.allMembers(t, of, part, done)
	}
}
