package mcp

import (
	"context"
	"encoding/json"
	"time"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// Bounds of the tools for events.
const (
	defaultWait   = 30 // seconds
	maxWait       = 50 // below the minute that many clients give a call
	defaultEvents = 50
	defaultRecent = 20
	maxEvents     = 200 // a model has to read them
)

// eventsInput selects events. Not every tool takes every member.
type eventsInput struct {
	Types  []string `json:"types"`
	JobID  *string  `json:"job_id"`
	NoteID *string  `json:"note_id"`
	Limit  *int     `json:"limit"`
}

type pollInput struct {
	Types  []string `json:"types"`
	JobID  *string  `json:"job_id"`
	NoteID *string  `json:"note_id"`
	Limit  *int     `json:"limit"`
	Cursor *string  `json:"cursor"`
}

type waitInput struct {
	Types    []string `json:"types"`
	JobID    *string  `json:"job_id"`
	NoteID   *string  `json:"note_id"`
	Limit    *int     `json:"limit"`
	Cursor   *string  `json:"cursor"`
	TimeoutS *int     `json:"timeout_s"`
}

// eventsView is what the tools for events answer.
type eventsView struct {
	Events    []json.RawMessage `json:"events"`
	Cursor    domain.UUID       `json:"cursor"`
	Truncated bool              `json:"truncated"`
	HasMore   bool              `json:"has_more"`
}

func viewEvents(a app.PollAnswer) eventsView {
	v := eventsView{Events: make([]json.RawMessage, len(a.Entries)), Cursor: a.Cursor, Truncated: a.Truncated, HasMore: a.HasMore}
	for i := range a.Entries {
		v.Events[i] = a.Entries[i].JSON
	}
	return v
}

// query reads what all of these tools take.
func (in *eventsInput) query(defaultLimit int) (q app.PollQuery, err error) {
	if q.Filter.Types, err = domain.ParseTypes("types", in.Types); err != nil {
		return q, err
	}
	job, err := optionalID("job_id", in.JobID, "take it from enqueue_job or from an event")
	if err != nil {
		return q, err
	}
	note, err := optionalID("note_id", in.NoteID, "take it from create_note, search_notes or an event")
	if err != nil {
		return q, err
	}
	if !job.IsZero() {
		q.Filter.Jobs = []domain.UUID{job}
	}
	if !note.IsZero() {
		q.Filter.Notes = []domain.UUID{note}
	}
	q.Limit, err = number("limit", in.Limit, defaultLimit, 1, maxEvents)
	return q, err
}

func (in *pollInput) query() (q app.PollQuery, err error) {
	if q, err = (&eventsInput{in.Types, in.JobID, in.NoteID, in.Limit}).query(defaultEvents); err != nil {
		return q, err
	}
	q.After, err = optionalID("cursor", in.Cursor, "hand on the cursor of an earlier answer or an event_id, or leave it out to start from now")
	return q, err
}

func (s *Server) pollEvents(ctx context.Context, _ toolCall, in *pollInput) (any, error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	return viewEvents(app.Poll(s.Feed, q)), nil
}

func (s *Server) listRecentEvents(_ context.Context, _ toolCall, in *eventsInput) (any, error) {
	q, err := in.query(defaultRecent)
	if err != nil {
		return nil, err
	}
	return viewEvents(app.Recent(s.Feed, q.Filter, q.Limit)), nil
}

func (s *Server) waitForEvent(ctx context.Context, c toolCall, in *waitInput) (any, error) {
	if c.by.ending != nil {
		return viewEvents(c.by.ending.answer(s.Feed)), nil
	}
	q, err := (&pollInput{in.Types, in.JobID, in.NoteID, in.Limit, in.Cursor}).query()
	if err != nil {
		return nil, err
	}
	seconds, err := number("timeout_s", in.TimeoutS, defaultWait, 0, maxWait)
	if err != nil {
		return nil, err
	}
	cursor, truncated := q.Start(s.Feed)
	a := app.PollAt(s.Feed, cursor, q)
	if a.Truncated = a.Truncated || truncated; len(a.Entries) > 0 || a.Truncated || seconds == 0 {
		return viewEvents(a), nil // also that events are lost is something to act on
	}
	open, leave, err := s.attend(context.WithoutCancel(ctx), c.by, q.Filter)
	if err != nil {
		return nil, err
	}
	h := &hold{
		query: q, cursor: cursor, seconds: seconds, deadline: time.Now().Add(time.Duration(seconds) * time.Second),
		every: s.opts.ProgressEvery, token: c.Params.GetProgressToken(), open: open, leave: leave,
	}
	if c.by.offer(h) {
		return nil, nil // to be asked again
	}
	defer leave("answered")
	return viewEvents(s.await(ctx, c, h)), nil
}

// await waits in place, for clients whose connections are not theirs alone, and tells them now and then that it still does.
func (s *Server) await(ctx context.Context, c toolCall, h *hold) app.PollAnswer {
	ctx, cancel := context.WithDeadline(ctx, h.deadline)
	defer cancel()
	defer context.AfterFunc(h.open, cancel)()
	defer context.AfterFunc(c.by.ctx, cancel)() // a session outlives its requests
	released := make(chan struct{})
	waits := s.lot.Enter(h.cursor, &h.query.Filter, func() { close(released) })
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	for waited, over := h.every, false; !over; waited += h.every {
		select {
		case <-tick.C:
			if h.token != nil {
				_ = c.Session.NotifyProgress(ctx, h.progress(waited)) // one that has gone misses nothing
			}
		case <-released:
			over = true
		case <-ctx.Done():
			over = true
		}
	}
	h.cursor, h.truncated = s.lot.Leave(waits)
	return h.answer(s.Feed)
}

// queueView is how many jobs there are.
type queueView struct {
	Total   int `json:"total_jobs"`
	Running int `json:"running"`
	Pending int `json:"pending"`
}

func (s *Server) getQueueStatus(ctx context.Context, _ toolCall, _ *struct{}) (any, error) {
	counts, err := s.Queue.CountJobs(ctx)
	return queueView{counts.Running + counts.Pending, counts.Running, counts.Pending}, err
}

// now is the cursor of this moment.
func (s *Server) now() domain.UUID { return s.Feed.CursorID(s.Feed.Head()) }
