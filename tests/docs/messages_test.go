package docs_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/matric/matric-events/docs"
)

// messages compares what comes over the wire with asyncapi.yaml, and remembers which of a channel's messages have come.
type messages struct {
	*schemas
	doc  document
	seen map[string]map[string]bool // members by channel/message
}

// document is the part of an AsyncAPI document that the tests look at, and of an OpenAPI document what is like it.
type document struct {
	Channels   map[string]struct{ Messages map[string]any }
	Components struct {
		Messages map[string]struct {
			Headers  any
			Payload  any
			Examples []struct {
				Headers map[string]any
				Payload any
			}
		}
		Schemas map[string]any
	}
}

func newMessages(t *testing.T) *messages {
	t.Helper()
	doc, resource := parse(t, docs.AsyncAPI)
	return &messages{schemas: newSchemas(t, resource), doc: doc, seen: map[string]map[string]bool{}}
}

// schemas are those of a description (JSON Schema 2020-12).
type schemas struct {
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema // by place
}

const resourceURL = "https://hub.example/description.yaml"

func newSchemas(t *testing.T, resource any) *schemas {
	t.Helper()
	s := &schemas{jsonschema.NewCompiler(), map[string]*jsonschema.Schema{}}
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource(resourceURL, resource); err != nil {
		t.Fatal(err)
	}
	return s
}

// parse reads a description, also as the JSON that it stands for.
func parse(t *testing.T, source []byte) (doc document, resource any) {
	t.Helper()
	var raw any
	if err := yaml.Unmarshal(source, &raw); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if resource, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return doc, resource
}

// validate compares a value with the schema at a place of the document, a JSON pointer.
func (s *schemas) validate(place string, value any) error {
	schema := s.compiled[place]
	if schema == nil {
		var err error
		if schema, err = s.compiler.Compile(resourceURL + "#" + (&url.URL{Path: place}).EscapedPath()); err != nil {
			return err
		}
		s.compiled[place] = schema
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(plain)
}

// received checks a message of a channel, which its type names, and returns the name.
func (m *messages) received(t *testing.T, channel string, payload []byte) (name string) {
	t.Helper()
	var typ struct{ Type string }
	if err := json.Unmarshal(payload, &typ); err != nil {
		t.Fatalf("%s: %v in %s", channel, err, payload)
	}
	// events and notices are named by their type, replies by it in lower case
	name = typ.Type
	if name != "" {
		name = strings.ToUpper(name[:1]) + name[1:]
	}
	m.match(t, channel, name, json.RawMessage(payload))
	return name
}

// match holds a message to the document, which must have it on the channel.
func (m *messages) match(t *testing.T, channel, name string, payload any) {
	t.Helper()
	if _, ok := m.doc.Channels[channel].Messages[name]; !ok {
		t.Fatalf("%s: the document has no message %q", channel, name)
	}
	if err := m.validate("/components/messages/"+name+"/payload", payload); err != nil {
		t.Errorf("%s: %s: %v", channel, payload, err)
	}
	m.remember(channel+"/"+name, payload)
}

// remember notes which members an object had.
func (m *messages) remember(message string, object any) {
	if m.seen[message] == nil {
		m.seen[message] = map[string]bool{}
	}
	var members map[string]any
	text, _ := json.Marshal(object)    // has been valid JSON before
	_ = json.Unmarshal(text, &members) // else it is no object, and has none
	for name := range members {
		m.seen[message][name] = true
	}
}

// members returns the names of what a schema says that an object can have.
func (m *messages) members(schema any) []string {
	object, _ := schema.(map[string]any)
	if ref, ok := object["$ref"].(string); ok {
		return m.members(m.doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")])
	}
	properties, _ := object["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(properties))
}

// delivered checks what a webhook's receiver got.
func (m *messages) delivered(t *testing.T, header http.Header, body []byte) {
	t.Helper()
	m.match(t, "deliveries", "Delivery", json.RawMessage(body))
	got, known := map[string]any{}, []string{"Content-Length"}
	for _, name := range m.members(m.doc.Components.Messages["Delivery"].Headers) {
		known = append(known, http.CanonicalHeaderKey(name))
		if values := header.Values(name); len(values) == 1 {
			got[name] = values[0]
		}
	}
	for name := range header {
		if !slices.Contains(known, name) {
			t.Errorf("the document has no header %s", name)
		}
	}
	if err := m.validate("/components/messages/Delivery/headers", got); err != nil {
		t.Errorf("headers %v: %v", header, err)
	}
	m.remember("headers", got)
}

// complete fails for messages of a channel that have not come, and for what they can have and never had.
func (m *messages) complete(t *testing.T, channel string) {
	t.Helper()
	if t.Failed() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m.doc.Channels[channel].Messages)) {
		seen := m.seen[channel+"/"+name]
		if seen == nil {
			t.Errorf("%s: %s was never seen", channel, name)
		}
		message := m.doc.Components.Messages[name]
		for _, member := range m.members(message.Payload) {
			if !seen[member] {
				t.Errorf("%s: no %s had %s", channel, name, member)
			}
		}
		for _, header := range m.members(message.Headers) {
			if !m.seen["headers"][header] {
				t.Errorf("%s: no %s had the header %s", channel, name, header)
			}
		}
	}
}

func TestMessageExamples(t *testing.T) {
	m := newMessages(t)
	for name, message := range m.doc.Components.Messages {
		if len(message.Examples) == 0 {
			t.Errorf("%s has no example", name)
		}
		for _, ex := range message.Examples {
			if err := m.validate("/components/messages/"+name+"/payload", ex.Payload); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if message.Headers == nil {
				continue
			}
			if err := m.validate("/components/messages/"+name+"/headers", ex.Headers); err != nil {
				t.Errorf("%s: headers: %v", name, err)
			}
		}
	}
}

// TestDescriptionsAgree wants the schemas that both descriptions have to be the same in both.
func TestDescriptionsAgree(t *testing.T) {
	open, _ := parse(t, docs.OpenAPI)
	async, _ := parse(t, docs.AsyncAPI)
	shared := 0
	for name, schema := range async.Components.Schemas {
		other, ok := open.Components.Schemas[name]
		if !ok || name == "Event" { // whose discriminator only OpenAPI can tell in this way
			continue
		}
		shared++
		if diff := cmp.Diff(other, schema); diff != "" {
			t.Errorf("%s: -openapi +asyncapi:\n%s", name, diff)
		}
	}
	if shared < 7 {
		t.Errorf("%d schemas in common; want at least the seven events", shared)
	}
}
