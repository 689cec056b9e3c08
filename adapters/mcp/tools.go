package mcp

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

// catalogue is what agents read of the tools, in the form of a tools/list result.
//
//go:embed tools.json
var catalogue []byte

func (s *Server) addTools() {
	var described []*sdk.Tool
	if err := json.Unmarshal(catalogue, &described); err != nil {
		panic("mcp: tools.json: " + err.Error())
	}
	handlers := map[string]sdk.ToolHandler{
		"wait_for_event":       tool(s, s.waitForEvent),
		"poll_events":          tool(s, s.pollEvents),
		"list_recent_events":   tool(s, s.listRecentEvents),
		"get_queue_status":     tool(s, s.getQueueStatus),
		"list_webhooks":        tool(s, s.listWebhooks),
		"list_dead_deliveries": tool(s, s.listDeadDeliveries),
		"redeliver":            tool(s, s.redeliver),
	}
	if s.Notes != nil {
		handlers["enqueue_job"] = tool(s, s.enqueueJob)
		handlers["create_note"] = tool(s, s.createNote)
		handlers["update_note"] = tool(s, s.updateNote)
		handlers["get_note"] = tool(s, s.getNote)
		handlers["search_notes"] = tool(s, s.searchNotes)
	}
	for _, t := range described {
		if h, ok := handlers[t.Name]; ok {
			s.sdk.AddTool(t, h)
		}
	}
}

// toolCall is one call of a tool.
type toolCall struct {
	*sdk.CallToolRequest
	by *caller
}

// tool makes a handler of a function that takes the arguments as a struct and returns what is to be told.
//
// The SDK could check arguments against the schema, too, but in words that name Go's types or the schema's keywords; and
// it would put results in another order, by reading and writing them once more.
func tool[In any](s *Server, f func(ctx context.Context, c toolCall, in *In) (any, error)) sdk.ToolHandler {
	return func(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		var in In
		if err := decode(req.Params.Arguments, &in); err != nil {
			return s.failure(err), nil
		}
		out, err := f(ctx, toolCall{req, from(req.Extra)}, &in)
		if err != nil {
			return s.failure(err), nil
		}
		data, err := marshal(out)
		if err != nil {
			return s.failure(err), nil
		}
		return &sdk.CallToolResult{StructuredContent: data, Content: []sdk.Content{&sdk.TextContent{Text: string(data)}}}, nil
	}
}

// decode reads arguments strictly. None are an empty object.
func decode(arguments json.RawMessage, in any) error {
	if data := bytes.TrimSpace(arguments); len(data) == 0 || string(data) == "null" {
		return nil
	}
	return domain.DecodeStrict(arguments, in)
}

// marshal writes JSON as the rest of the interface does, without escapes for HTML.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// failure is a result that tells the model what is wrong.
func (s *Server) failure(err error) *sdk.CallToolResult {
	var result sdk.CallToolResult
	result.SetError(s.explain(err))
	return &result
}

// explain puts an error in words for a model, and tells the operator of an internal one.
func (s *Server) explain(err error) error {
	d, retryAfter, internal := web.Describe(err)
	if internal {
		s.opts.Fault(err)
	}
	if retryAfter > 0 {
		return fmt.Errorf("%s; wait %s before that", d.Detail, retryAfter)
	}
	return fmt.Errorf("%s", d.Detail)
}

// readID reads an identifier that is required, and tells where to get one.
func readID(field string, given *string, source string) (domain.UUID, error) {
	if given == nil {
		return domain.UUID{}, domain.Invalid(field, "is required: %s", source)
	}
	id, err := domain.ParseUUID(*given)
	if err != nil {
		return id, domain.Invalid(field, "is not a UUID: %s", source)
	}
	return id, nil
}

// optionalID is readID for one that may be left out.
func optionalID(field string, given *string, source string) (domain.UUID, error) {
	if given == nil {
		return domain.UUID{}, nil
	}
	return readID(field, given, source)
}

// number reads a number within bounds.
func number(field string, given *int, otherwise, least, most int) (int, error) {
	if given == nil {
		return otherwise, nil
	}
	if *given < least || *given > most {
		return 0, domain.Invalid(field, "must be a whole number from %d to %d", least, most)
	}
	return *given, nil
}
