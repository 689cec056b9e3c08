package stream

import (
	"context"
	"encoding/json"
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
		place, err := e.registry.Admit("poll", web.RemoteIP(r))
		if err != nil {
			web.Problem(w, refused(err))
			return
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, req.wait)
		defer cancel()
		place.Occupy(&waitingPoll{
			close: cancel,
			about: domain.Connection{
				ID: e.opts.NewID(), Transport: "poll", Remote: r.RemoteAddr, User: web.User(ctx), Since: time.Now(), Filter: req.filter,
			},
		})
		defer place.Leave("answered")
	}
	w.Header().Set("Cache-Control", "no-store")
	answer := e.poll(ctx, req)
	web.JSON(w, http.StatusOK, answer)
	e.edge.count(func(s *app.StreamStats) {
		s.Poll.Accepted++
		s.Poll.Writes++
		s.Poll.Events += uint64(len(answer.Events))
		for _, event := range answer.Events {
			s.Poll.Bytes += uint64(len(event))
		}
	})
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

// poll reads until there is something to tell or ctx ends.
func (e *Engine) poll(ctx context.Context, req pollRequest) pollResponse {
	res := pollResponse{Events: []json.RawMessage{}}
	cursor := e.feed.Head()
	if !req.after.IsZero() {
		place := e.feed.Locate(req.after)
		res.Truncated = place.Standing != domain.StandingKept
		cursor = place.Seq // of an unknown one zero: before everything that is kept
	}
	entries := make([]domain.Entry, 0, req.limit+1) // one more than asked for tells whether there are more
	for {
		var missed uint64
		entries, cursor, missed = e.feed.Read(cursor, &req.filter, entries)
		res.Truncated = res.Truncated || missed > 0
		if len(entries) > 0 || req.wait == 0 || e.feed.Wait(ctx, cursor) != nil {
			break
		}
	}
	if len(entries) > req.limit {
		entries, res.HasMore = entries[:req.limit], true
		cursor = entries[len(entries)-1].Seq
	}
	for i := range entries {
		res.Events = append(res.Events, entries[i].JSON)
	}
	if n := len(entries); n > 0 && entries[n-1].Seq == cursor {
		res.Cursor = entries[n-1].ID
	} else {
		res.Cursor = e.feed.CursorID(cursor)
	}
	return res
}

// waitingPoll is a waiting poll as the registry sees it.
type waitingPoll struct {
	about domain.Connection
	close context.CancelFunc
}

var (
	_ app.Member = (*waitingPoll)(nil)
	_ app.Member = (*conn)(nil)
)

// Describe implements app.Member.
func (p *waitingPoll) Describe() domain.Connection { return p.about }

// Announce implements app.Member: a poll is answered soon anyway.
func (p *waitingPoll) Announce(time.Duration) {}

// Close implements app.Member.
func (p *waitingPoll) Close(app.CloseReason) { p.close() }
