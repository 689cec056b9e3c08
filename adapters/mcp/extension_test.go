package mcp_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/adapters/mcp"
	"github.com/matric/matric-events/domain"
)

// extension connects a client that knows the Events extension.
func (r *rig) extension(version string) *sdk.ClientSession {
	r.t.Helper()
	client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	for _, err := range []error{
		sdk.AddSendingCustomMethod[*mcp.ListParams, *mcp.ListResult](client, "events/list"),
		sdk.AddSendingCustomMethod[*mcp.PollParams, *mcp.PollResult](client, "events/poll"),
	} {
		if err != nil {
			r.t.Fatal(err)
		}
	}
	session, err := client.Connect(r.t.Context(), &sdk.StreamableClientTransport{Endpoint: r.url, DisableStandaloneSSE: true}, &sdk.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = session.Close() })
	return session
}

func pollExtension(t *testing.T, s *sdk.ClientSession, p mcp.PollParams) (*mcp.PollResult, error) {
	t.Helper()
	return sdk.CallCustomMethod[*mcp.PollParams, *mcp.PollResult](t.Context(), s, "events/poll", &p)
}

func pointer[T any](v T) *T { return &v }

func TestEventsExtension(t *testing.T) {
	onBoth(t, func(t *testing.T, version string) {
		r := newRig(t, setup{})
		session := r.extension(version)
		list, err := sdk.CallCustomMethod[*mcp.ListParams, *mcp.ListResult](t.Context(), session, "events/list", &mcp.ListParams{})
		if err != nil {
			t.Fatal(err)
		}
		var types []struct {
			Name, Description          string
			Delivery                   []string
			InputSchema, PayloadSchema object
		}
		if err := json.Unmarshal(list.Events, &types); err != nil || len(types) != 7 {
			t.Fatalf("%s, %v", list.Events, err)
		}
		for _, e := range types {
			if known, ok := domain.ParseType(e.Name); !ok || known.String() != e.Name || len(e.Delivery) != 1 || e.Delivery[0] != "poll" || e.Description == "" ||
				e.InputSchema["type"] != "object" || e.PayloadSchema["type"] != "object" {
				t.Errorf("%+v", e)
			}
		}
		mine := newID()
		start, err := pollExtension(t, session, mcp.PollParams{Name: "JobProgress"})
		if err != nil || len(start.Events) != 0 || start.NextPollMS < 1000 {
			t.Fatalf("%+v, %v", start, err)
		}
		r.progress(newID(), 1)
		id := r.progress(mine, 2)
		r.progress(mine, 3)
		arguments := json.RawMessage(`{"job_id":"` + mine.String() + `"}`)
		got, err := pollExtension(t, session, mcp.PollParams{Name: "JobProgress", Arguments: arguments, Cursor: pointer(start.Cursor.String()), MaxEvents: pointer(1)})
		if err != nil || len(got.Events) != 1 || got.Events[0].EventID != id || got.Events[0].Name != "JobProgress" || got.Events[0].Timestamp == "" || !got.HasMore || got.Truncated {
			t.Errorf("%+v, %v", got, err)
		}
		var data struct{ Progress int }
		if err := json.Unmarshal(got.Events[0].Data, &data); err != nil || data.Progress != 2 {
			t.Errorf("%s, %v", got.Events[0].Data, err)
		}
		got, err = pollExtension(t, session, mcp.PollParams{Name: "JobProgress", Cursor: pointer(newID().String())})
		if err != nil || !got.Truncated || len(got.Events) != 3 {
			t.Errorf("at nobody's cursor: %+v, %v", got, err)
		}
		got, err = pollExtension(t, session, mcp.PollParams{Name: "JobProgress", Cursor: pointer(start.Cursor.String()), MaxAgeMS: pointer(int64(0))})
		if err != nil || !got.Truncated || len(got.Events) != 0 {
			t.Errorf("too old: %+v, %v", got, err)
		}
	})
}

func TestEventsExtensionRefuses(t *testing.T) {
	r := newRig(t, setup{})
	session := r.extension(withSessions)
	for why, tc := range map[string]struct {
		params mcp.PollParams
		code   int64
	}{
		"no name":          {mcp.PollParams{}, -32011},
		"an unknown type":  {mcp.PollParams{Name: "JobDanced"}, -32011},
		"a family":         {mcp.PollParams{Name: "job"}, -32011},
		"an argument":      {mcp.PollParams{Name: "JobQueued", Arguments: json.RawMessage(`{"channel":"x"}`)}, jsonrpc.CodeInvalidParams},
		"an argument's":    {mcp.PollParams{Name: "JobQueued", Arguments: json.RawMessage(`{"job_id":"x"}`)}, jsonrpc.CodeInvalidParams},
		"arguments":        {mcp.PollParams{Name: "JobQueued", Arguments: json.RawMessage(`[]`)}, jsonrpc.CodeInvalidParams},
		"a cursor":         {mcp.PollParams{Name: "JobQueued", Cursor: pointer("x")}, jsonrpc.CodeInvalidParams},
		"too many":         {mcp.PollParams{Name: "JobQueued", MaxEvents: pointer(1001)}, jsonrpc.CodeInvalidParams},
		"the future":       {mcp.PollParams{Name: "JobQueued", MaxAgeMS: pointer(int64(-1))}, jsonrpc.CodeInvalidParams},
		"before the world": {mcp.PollParams{Name: "JobQueued", MaxAgeMS: pointer(int64(1) << 62)}, jsonrpc.CodeInvalidParams},
	} {
		_, err := pollExtension(t, session, tc.params)
		if wire, ok := errors.AsType[*jsonrpc.Error](err); !ok || wire.Code != tc.code {
			t.Errorf("%s: %v", why, err)
		}
	}
	_, err := sdk.CallCustomMethod[*mcp.ListParams, *mcp.ListResult](t.Context(), session, "events/list", &mcp.ListParams{Cursor: pointer("2")})
	if wire, ok := errors.AsType[*jsonrpc.Error](err); !ok || wire.Code != jsonrpc.CodeInvalidParams {
		t.Errorf("a second page: %v", err)
	}
}
