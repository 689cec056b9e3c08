package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// Bounds of a poll.
const (
	defaultPollLimit = 100
	maxPollLimit     = 1000
	maxPollWait      = 50 // seconds
)

// pollRequest is what the query of a poll asks for.
type pollRequest struct {
	filter domain.Filter
	after  domain.UUID // zero: from now on
	limit  int
	wait   time.Duration
}

// pollResponse is the answer. Cursor is always a valid after.
type pollResponse struct {
	Events    []json.RawMessage `json:"events"`
	Cursor    domain.UUID       `json:"cursor"`
	Truncated bool              `json:"truncated"`
	HasMore   bool              `json:"has_more"`
}

// ServePoll answers with the events after a cursor, and waits for one if asked to.
func (e *Engine) ServePoll(w http.ResponseWriter, r *http.Request) {
	req, err := parsePoll(r.URL.Query())
	if err != nil {
		e.edge.count(func(s *app.StreamStats) { s.Poll.Rejected++ })
		web.Problem(w, err)
		return
	}
	ctx := r.Context()
	if req.wait > 0 {
		var leave func(string)
		ctx, leave, err = e.registry.Attend(ctx, web.RemoteIP(r), domain.Connection{
			ID: e.opts.NewID(), Transport: "poll", Remote: r.RemoteAddr, User: web.User(ctx), Filter: req.filter,
		})
		if err != nil {
			web.Problem(w, refused(err))
			return
		}
		defer leave("answered")
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.wait)
		defer cancel()
	}
	answer := e.poll(ctx, req)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	answer.write(w, e.opts.WriteTimeout)
	e.edge.count(func(s *app.StreamStats) {
		s.Poll.Accepted++
		s.Poll.Writes++
		s.Poll.Events += uint64(len(answer.Events))
		for _, event := range answer.Events {
			s.Poll.Bytes += uint64(len(event))
		}
	})
}

// write writes the answer as JSON, the events as they stand in the log: they may be megabytes, and a client that reads slowly
// is not to hold a copy.
func (p *pollResponse) write(w http.ResponseWriter, timeout time.Duration) {
	out := []byte(`{"events":[`)
	for i, event := range p.Events {
		if i > 0 {
			out = append(out, ',')
		}
		if len(out)+len(event) > patienceBytes {
			if web.Send(w, out, timeout) != nil {
				return // the client has gone, or takes nothing
			}
			out = out[:0]
		}
		out = append(out, event...)
	}
	out = fmt.Appendf(out, "],\"cursor\":%q,\"truncated\":%t,\"has_more\":%t}\n", p.Cursor, p.Truncated, p.HasMore)
	_ = web.Send(w, out, timeout) // likewise
}

func parsePoll(q url.Values) (req pollRequest, err error) {
	if req.filter, err = queryFilter(q); err != nil {
		return req, err
	}
	if after := q.Get("after"); after != "" {
		if req.after, err = domain.ParseUUID(after); err != nil {
			return req, domain.Invalid("after", "is not an event ID")
		}
	}
	if req.limit, err = number(q, "limit", defaultPollLimit, 1, maxPollLimit); err != nil {
		return req, err
	}
	seconds, err := number(q, "wait", 0, 0, maxPollWait)
	req.wait = time.Duration(seconds) * time.Second
	return req, err
}

func number(q url.Values, name string, otherwise, least, most int) (int, error) {
	s := q.Get(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, domain.Invalid(name, "must be a whole number from %d to %d", least, most)
	}
	return n, nil
}

// poll answers at once, or when there is something to tell or ctx ends.
func (e *Engine) poll(ctx context.Context, req pollRequest) pollResponse {
	q := app.PollQuery{Filter: req.filter, After: req.after, Limit: req.limit}
	var a app.PollAnswer
	if req.wait > 0 {
		a = e.lot.Poll(ctx, q)
	} else {
		a = app.Poll(e.feed, q)
	}
	res := pollResponse{Events: []json.RawMessage{}, Cursor: a.Cursor, Truncated: a.Truncated, HasMore: a.HasMore}
	for i := range a.Entries {
		res.Events = append(res.Events, a.Entries[i].JSON)
	}
	return res
}

var _ app.Member = (*conn)(nil)
