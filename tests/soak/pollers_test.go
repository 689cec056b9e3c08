package soak_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/domain"
)

// page is the answer to a poll.
type page struct {
	Events    []json.RawMessage `json:"events"`
	Cursor    domain.UUID       `json:"cursor"`
	Truncated bool              `json:"truncated"`
}

// pollOn polls until the process has ended, or something went wrong.
func (r *reader) pollOn(ctx context.Context, life int64) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for ctx.Err() == nil {
		r.heed(ctx)
		more := []string{"wait", "2", "limit", "300"}
		if !r.cursor.IsZero() {
			more = append(more, "after", r.cursor.String())
		}
		var p page
		if !get(ctx, transport, r.hub.url(r.proxied)+"/api/v1/events/poll"+r.parameters(more...), &p) || r.hub.life.Load() != life {
			return
		}
		r.turn(life, &p)
	}
}

// get reads an object. It reports whether it got one.
func get(ctx context.Context, transport *http.Transport, url string, out any) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(out) == nil && resp.StatusCode == http.StatusOK
}

// turn takes a page down.
func (r *reader) turn(life int64, p *page) {
	if r.cursor.IsZero() || r.of != life || len(r.stretches) == 0 || r.stretches[len(r.stretches)-1].life != life {
		r.connect(life)
	}
	if p.Truncated {
		r.notice(told, 0)
	}
	for _, e := range p.Events {
		id, f, err := parse(e)
		if err != nil {
			r.ledger.breach(pStream, "%s: %v in %s", r.who, err, e)
			continue
		}
		r.add(seen{id, f.kind})
	}
	r.trail.mu.Lock()
	defer r.trail.mu.Unlock()
	r.cursor, r.of = p.Cursor, life
}

// askOn is an agent that waits for events, call after call.
func (r *reader) askOn(ctx context.Context, life int64) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	opening, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	session, err := sdk.NewClient(&sdk.Implementation{Name: "soak", Version: "1"}, nil).Connect(opening, &sdk.StreamableClientTransport{
		Endpoint: r.hub.url(r.proxied) + "/mcp", HTTPClient: &http.Client{Transport: transport, Timeout: callTimeout}, MaxRetries: -1, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		return
	}
	defer session.Close()
	for ctx.Err() == nil {
		arguments := map[string]any{"timeout_s": 2, "limit": 200}
		if !r.cursor.IsZero() {
			arguments["cursor"] = r.cursor.String()
		}
		if r.query != "" {
			arguments["types"] = strings.Split(r.query, ",")
		}
		result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: "wait_for_event", Arguments: arguments})
		if err != nil || result.IsError || len(result.Content) != 1 || r.hub.life.Load() != life {
			return
		}
		var p page
		text, ok := result.Content[0].(*sdk.TextContent)
		if !ok || json.Unmarshal([]byte(text.Text), &p) != nil {
			r.ledger.breach(pStream, "%s: an answer that cannot be read", r.who)
			return
		}
		r.turn(life, &p)
	}
}

// reference polls for everything, from the first event of each process on. What it has is the order that all others are held to.
type reference struct {
	hub    *hub
	books  *books
	ledger *ledger
	cursor domain.UUID

	mu      sync.Mutex // guards records
	records []*record
}

// current returns the record of the process that was polled last, and its life.
func (r *reference) current() (life int64, last *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.records) == 0 {
		return 0, &record{}
	}
	last = r.records[len(r.records)-1]
	return last.life, last
}

func (r *reference) run(ctx context.Context) {
	for ctx.Err() == nil {
		if life, ok := r.hub.serving(); ok {
			r.poll(ctx, life)
		}
		pause(ctx, 5*time.Millisecond)
	}
}

func (r *reference) poll(ctx context.Context, life int64) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for ctx.Err() == nil {
		of, last := r.current()
		begun := of == life
		after := r.cursor
		if !begun {
			after = newID() // unknown to every process: the answer begins with the oldest event
		}
		var p page
		if !get(ctx, transport, r.hub.url(false)+"/api/v1/events/poll?limit=1000&wait=1&after="+after.String(), &p) || r.hub.life.Load() != life {
			return
		}
		if !begun {
			last = &record{life: life}
			r.mu.Lock()
			r.records = append(r.records, last)
			r.mu.Unlock()
		}
		last.take(&p, r.books, r.ledger)
		last.lapped = last.lapped || begun && p.Truncated
		r.cursor = p.Cursor
	}
}

func (r *record) take(p *page, b *books, l *ledger) {
	for _, e := range p.Events {
		id, f, err := parse(e)
		if err != nil {
			l.breach(pStream, "poll: %v in %s", err, e)
			continue
		}
		r.mu.Lock()
		r.events = append(r.events, seen{id, f.kind})
		r.mu.Unlock()
		if f.kind != domain.TypeQueueStatus {
			b.witness(id, f)
		}
	}
}

// newest returns the last event that a filter selects.
func (r *record) newest(types domain.TypeSet) (id domain.UUID, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.events) - 1; i >= 0; i-- {
		if types.Has(r.events[i].kind) {
			return r.events[i].id, true
		}
	}
	return id, false
}
