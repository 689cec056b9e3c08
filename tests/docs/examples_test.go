package docs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/docs"
	"github.com/matric/matric-events/tests/harness"
)

// TestExamples sends the document's examples of requests, which must work as they stand but for what they refer to. What
// examples it has, TestEveryExample says.
func TestExamples(t *testing.T) {
	c := newChecker(t).client(t, harness.Serve(t))
	note := c.call(201, "POST", "/api/v1/notes", `{"title":"t"}`).ID()
	hook := c.call(201, "POST", "/api/v1/webhooks", `{"url":"https://hooks.example.com","is_active":false}`).ID()
	ids := map[string]string{"notes": note, "webhooks": hook}
	sent := map[string]bool{}
	for o := range c.operations() {
		for b := range o.bodies() {
			var headers []string
			for _, p := range o.Parameters {
				if example, ok := p.Value.Example.(string); ok && p.Value.In == "header" {
					headers = append(headers, p.Value.Name+": "+example)
					sent[strings.TrimPrefix(p.Ref, "#")+"/example"] = true
				}
			}
			body := strings.ReplaceAll(text(t, b.value), exampleNote, note)
			a, allowed := c.exchange(success(o), c.request(o.method, o.at(ids[o.Tags[0]]), body, append(headers, "Content-Type: "+b.media)...), body, readAll)
			if allowed != nil {
				t.Errorf("%s %s %s is not what the document allows: %v", o.method, o.path, body, allowed)
			}
			if o.OperationID == "createWebhook" { // nothing shall be sent to it
				c.call(204, "DELETE", a.header.Get("Location"), "")
			}
			sent[b.place] = true
		}
	}
	types, _ := c.doc.Components.Parameters["Types"].Value.Example.([]any)
	c.call(200, "GET", fmt.Sprintf("/api/v1/events/poll?types=%s,%s", types[0], types[1]), "")
	sent["/components/parameters/Types/example"] = true

	var all []string
	for _, ex := range examplesOf(t) {
		if strings.Contains(ex.place, "/requestBody/") || strings.HasPrefix(ex.place, "/components/parameters/") {
			all = append(all, ex.place)
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(all)), slices.Sorted(maps.Keys(sent))); diff != "" {
		t.Errorf("examples of requests: -document +sent:\n%s", diff)
	}
}

// TestEveryExample holds every example of the document, wherever it is, to the schema that it is an example of.
func TestEveryExample(t *testing.T) {
	_, resource := parse(t, docs.OpenAPI)
	s := newSchemas(t, resource)
	kinds := map[string]int{}
	for _, ex := range examplesOf(t) {
		if err := s.validate(ex.schema, ex.value); err != nil {
			t.Errorf("%s: %v", ex.place, err)
		}
		kinds[ex.kind()]++
	}
	for _, kind := range []string{"requestBody", "responses", "parameters", "schemas"} {
		if kinds[kind] == 0 {
			t.Errorf("no example of %s has been found: %v", kind, kinds)
		}
	}
	t.Logf("%v", kinds)
}

// example is a value that the document shows, and where the schema is that it is to match.
type example struct {
	place, schema string
	value         any
}

func (e example) kind() string {
	for name := range strings.SplitSeq(e.place, "/") {
		if slices.Contains([]string{"requestBody", "responses", "parameters", "schemas"}, name) {
			return name
		}
	}
	return e.place
}

// examplesOf finds all examples of openapi.yaml: those of schemas, a list, and those of bodies, parameters and headers, one
// or a map.
func examplesOf(t *testing.T) (found []example) {
	t.Helper()
	_, resource := parse(t, docs.OpenAPI)
	var walk func(place string, node any)
	walk = func(place string, node any) {
		switch node := node.(type) {
		case []any:
			for i, item := range node {
				walk(fmt.Sprintf("%s/%d", place, i), item)
			}
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(node)) {
				at, value := place+pointer(name), node[name]
				many, isMap := value.(map[string]any)
				list, isList := value.([]any)
				switch {
				case name == "example":
					found = append(found, example{at, place + "/schema", value})
				case name == "examples" && isList:
					for i, one := range list {
						found = append(found, example{fmt.Sprintf("%s/%d", at, i), place, one})
					}
				case name == "examples" && isMap:
					for _, key := range slices.Sorted(maps.Keys(many)) {
						one, _ := many[key].(map[string]any)
						found = append(found, example{at + pointer(key, "value"), place + "/schema", one["value"]})
					}
				default:
					walk(at, value)
				}
			}
		}
	}
	walk("", resource)
	return found
}

// success returns the status of the operation's good answer.
func success(o operation) int {
	for _, status := range []int{http.StatusOK, http.StatusCreated, http.StatusAccepted} {
		if o.Responses.Status(status) != nil {
			return status
		}
	}
	return 0
}

// text returns an example as it is sent: a string as it stands, anything else as JSON.
func text(t *testing.T, example any) string {
	t.Helper()
	if s, ok := example.(string); ok {
		return s
	}
	b, err := json.Marshal(example)
	if err != nil {
		t.Fatal(fmt.Errorf("example %v: %w", example, err))
	}
	return string(b)
}
