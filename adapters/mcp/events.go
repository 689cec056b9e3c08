package mcp

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// The Events extension (SEP-3415), as far as the SDK lets it be served: its list of event types and its polls, on the one
// cursor. See docs/adr/0022-mcp-events-extension.md for what is missing.
const (
	eventsExtension = "io.modelcontextprotocol/events"
	codeNotFound    = -32011 // the extension's own
	nextPoll        = 2 * time.Second
	maxPolled       = 1000
	maxAge          = 1 << 40 // milliseconds
)

// descriptors is the list of event types.
//
//go:embed events.json
var descriptors []byte

// ListParams are those of events/list.
type ListParams struct {
	sdk.ParamsBase
	Cursor *string `json:"cursor,omitempty"`
}

// ListResult is that of events/list.
type ListResult struct {
	sdk.ResultBase
	Events json.RawMessage `json:"events"`
}

// PollParams are those of events/poll.
type PollParams struct {
	sdk.ParamsBase
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
	Cursor    *string         `json:"cursor"`
	MaxAgeMS  *int64          `json:"maxAgeMs,omitempty"`
	MaxEvents *int            `json:"maxEvents,omitempty"`
}

// PollResult is that of events/poll.
type PollResult struct {
	sdk.ResultBase
	Events     []Occurrence `json:"events"`
	Cursor     domain.UUID  `json:"cursor"`
	Truncated  bool         `json:"truncated"`
	HasMore    bool         `json:"hasMore"`
	NextPollMS int64        `json:"nextPollMs"`
}

// Occurrence is an event as the extension has it. Data is the event as all other transports have it.
type Occurrence struct {
	EventID   domain.UUID     `json:"eventId"`
	Name      string          `json:"name"`
	Timestamp string          `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

// Names of the extension's methods.
const (
	methodEventsList = "events/list"
	methodEventsPoll = "events/poll"
)

func (s *Server) addEvents() {
	for _, err := range []error{
		sdk.AddReceivingCustomMethod(s.sdk, methodEventsList, listEventTypes),
		sdk.AddReceivingCustomMethod(s.sdk, methodEventsPoll, s.pollExtension),
	} {
		if err != nil { // the SDK has learnt these methods
			panic("mcp: " + err.Error())
		}
	}
}

func invalidParams(err error) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: err.Error()}
}

func listEventTypes(_ context.Context, _ *sdk.ServerSession, p *ListParams) (*ListResult, error) {
	if p != nil && p.Cursor != nil && *p.Cursor != "" {
		return nil, invalidParams(domain.Invalid("cursor", "there is one page only"))
	}
	return &ListResult{Events: descriptors}, nil
}

func (p *PollParams) query() (q app.PollQuery, err error) {
	var in struct {
		JobID  *string `json:"job_id"`
		NoteID *string `json:"note_id"`
	}
	if err := decode(p.Arguments, &in); err != nil {
		return q, err
	}
	if q, err = (&pollInput{Types: []string{p.Name}, JobID: in.JobID, NoteID: in.NoteID, Cursor: p.Cursor}).query(); err != nil {
		return q, err
	}
	if p.MaxAgeMS != nil && (*p.MaxAgeMS < 0 || *p.MaxAgeMS > maxAge) {
		return q, domain.Invalid("maxAgeMs", "must be from 0 to %d", int64(maxAge))
	}
	q.Limit, err = number("maxEvents", p.MaxEvents, defaultEvents, 1, maxPolled)
	return q, err
}

func (s *Server) pollExtension(ctx context.Context, _ *sdk.ServerSession, p *PollParams) (*PollResult, error) {
	if p == nil {
		return nil, invalidParams(domain.Invalid("name", "is required"))
	}
	t, ok := domain.ParseType(p.Name)
	if !ok || t.String() != p.Name {
		return nil, &jsonrpc.Error{Code: codeNotFound, Message: fmt.Sprintf("name: there is no event type %.100q; see events/list", p.Name), Data: json.RawMessage(`{"kind":"event"}`)}
	}
	q, err := p.query()
	if err != nil {
		return nil, invalidParams(err)
	}
	a := app.Poll(s.Feed, q)
	if p.MaxAgeMS != nil {
		floor := time.Now().Add(-time.Duration(*p.MaxAgeMS) * time.Millisecond)
		all := len(a.Entries)
		a.Entries = slices.DeleteFunc(a.Entries, func(e domain.Entry) bool { return e.OccurredAt.Before(floor) })
		a.Truncated = a.Truncated || len(a.Entries) < all
	}
	result := &PollResult{
		Events: make([]Occurrence, len(a.Entries)), Cursor: a.Cursor, Truncated: a.Truncated, HasMore: a.HasMore,
		NextPollMS: nextPoll.Milliseconds(),
	}
	for i := range a.Entries {
		e := &a.Entries[i]
		result.Events[i] = Occurrence{EventID: e.ID, Name: e.Type.String(), Timestamp: web.Stamp(e.OccurredAt), Data: e.JSON}
	}
	return result, nil
}
