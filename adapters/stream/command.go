package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gobwas/ws"

	"github.com/matric/matric-events/domain"
)

// command is a client's message.
type command struct {
	Type        any             `json:"type"`
	ID          json.RawMessage `json:"id"`
	Types       json.RawMessage `json:"types"`
	JobIDs      json.RawMessage `json:"job_ids"`
	NoteIDs     json.RawMessage `json:"note_ids"`
	LastEventID json.RawMessage `json:"last_event_id"`
}

// reply is an answer to a command. The ID is the command's own, as it stood.
type reply struct {
	Type    string          `json:"type"`
	ID      json.RawMessage `json:"id,omitempty"`
	Filter  *filterView     `json:"filter,omitempty"`
	Code    string          `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
}

// filterView is a filter as its client sees it; what is not restricted is left out.
type filterView struct {
	Types   []string      `json:"types,omitempty"`
	JobIDs  []domain.UUID `json:"job_ids,omitempty"`
	NoteIDs []domain.UUID `json:"note_ids,omitempty"`
}

// Codes of error replies.
const (
	codeBadJSON       = "bad_json"
	codeUnknownType   = "unknown_type"
	codeInvalidFilter = "invalid_filter"
	codeTooLarge      = "too_large"
)

// receive answers one message or control frame of the client.
func (c *conn) receive(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpText:
		c.command(payload)
	case ws.OpPing:
		c.send(controlFrame(ws.NewPongFrame(payload)))
	case ws.OpClose:
		code, err := peerClose(payload)
		if err != nil {
			return err
		}
		c.answered = true
		if !c.closing {
			c.close(code, "")
			c.reason = "peer " + c.reason
		}
		return errClosing
	}
	if c.counting {
		return errHold
	}
	return nil
}

var errClosing = errors.New("stream: the peer closes")

// command acts on a text message. Text that is neither an object nor the word refresh is ignored, as older clients send
// such things.
func (c *conn) command(text []byte) {
	text = bytes.TrimSpace(text)
	if string(text) == "refresh" {
		c.refresh()
		return
	}
	if len(text) == 0 || text[0] != '{' {
		return
	}
	var cmd command
	if err := json.Unmarshal(text, &cmd); err != nil {
		c.respond(reply{Type: "error", Code: codeBadJSON, Message: "not a JSON object"})
		return
	}
	id := echo(cmd.ID)
	switch cmd.Type {
	case "ping":
		c.respond(reply{Type: "pong", ID: id})
	case "refresh":
		c.respond()
		c.refresh()
	case "subscribe":
		c.subscribe(&cmd, id)
	case "unsubscribe":
		c.following.Store(false)
		c.respond(reply{Type: "unsubscribed", ID: id})
	default:
		c.respond(reply{Type: "error", ID: id, Code: codeUnknownType, Message: "type must be ping, refresh, subscribe or unsubscribe"})
	}
}

// respond sends replies to a client that has shown that it speaks JSON.
func (c *conn) respond(replies ...reply) {
	c.modern = true
	for _, r := range replies {
		c.send(textFrame(marshal(r)))
	}
}

// refresh sends the asker alone a fresh QueueStatus. Counting may take time, which the loop has not: what the client sends
// next waits until it is done.
func (c *conn) refresh() {
	e := c.shard.engine
	c.counting = true
	e.crew.Go(func() {
		frame := c.format.snapshot(e.snapshot(context.Background()))
		c.shard.tell(c, func() {
			c.counting = false
			c.send(frame)
			c.shard.take(c, nil)
		})
	})
}

// subscribe replaces the filter. The reply, the replay and what follows are one sequence, for they are queued and the
// cursor is moved in one step.
func (c *conn) subscribe(cmd *command, id json.RawMessage) {
	filter, err := cmd.filter()
	var last string
	if err == nil && json.Unmarshal(orNull(cmd.LastEventID), &last) != nil {
		err = domain.Invalid("last_event_id", "must be a string")
	}
	if err != nil {
		c.respond(reply{Type: "error", ID: id, Code: errorCode(err), Message: err.Error()})
		return
	}
	view := &filterView{JobIDs: filter.Jobs, NoteIDs: filter.Notes}
	if filter.Types != 0 {
		view.Types = filter.Types.Names()
	}
	c.respond(reply{Type: "subscribed", ID: id, Filter: view})
	head := c.shard.engine.feed.Head()
	if !c.following.Load() {
		c.advance(head)
	}
	c.refilter(filter)
	c.following.Store(true)
	if last != "" {
		c.send(c.resume(last, head))
	}
}

func (cmd *command) filter() (domain.Filter, error) {
	types, err := names("types", cmd.Types)
	if err != nil {
		return domain.Filter{}, err
	}
	jobs, err := names("job_ids", cmd.JobIDs)
	if err != nil {
		return domain.Filter{}, err
	}
	notes, err := names("note_ids", cmd.NoteIDs)
	if err != nil {
		return domain.Filter{}, err
	}
	return domain.ParseFilter(types, jobs, notes)
}

var errTooMany = fmt.Errorf("more than %d values", domain.MaxFilterIDs)

// names reads an array of strings, or nothing.
func names(field string, raw json.RawMessage) (domain.FilterList, error) {
	l := domain.FilterList{Field: field}
	if err := json.Unmarshal(orNull(raw), &l.Values); err != nil {
		return l, domain.Invalid(field, "must be an array of strings")
	}
	if len(l.Values) > domain.MaxFilterIDs {
		return l, fmt.Errorf("%s: %w", field, errTooMany)
	}
	return l, nil
}

func orNull(raw json.RawMessage) []byte {
	if raw == nil {
		return []byte("null")
	}
	return raw
}

func errorCode(err error) string {
	if errors.Is(err, errTooMany) {
		return codeTooLarge
	}
	return codeInvalidFilter
}

const maxEchoedID = 256

// echo returns the ID to answer with: a string or a number as it stands, nothing for anything else.
func echo(id json.RawMessage) json.RawMessage {
	if len(id) == 0 || len(id) > maxEchoedID || id[0] != '"' && id[0] != '-' && (id[0] < '0' || id[0] > '9') {
		return nil
	}
	return id
}
