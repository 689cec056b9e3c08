package client

import (
	"encoding/json"
	"errors"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

const (
	noticeResync = "ResyncRequired"
	noticeLagged = "EventsLagged"
)

// decode reads what the hub put into an event of the stream. It reports false for a type of event that a newer hub may
// send and this version knows nothing of. An event that cannot be read becomes a notice that one is missing.
func decode(e streamEvent) (ports.Message, bool) {
	switch e.name {
	case "resync_required":
		return ports.Message{JSON: e.data, Notice: notice(noticeResync, e.data)}, true
	case "events.lagged":
		return ports.Message{JSON: e.data, Notice: notice(noticeLagged, e.data)}, true
	}
	event, err := domain.DecodeEvent(e.data)
	if err == nil {
		return ports.Message{Event: event, JSON: e.data}, true
	}
	if invalid, ok := errors.AsType[*domain.FieldError](err); ok && invalid.Field == "type" {
		return ports.Message{}, false
	}
	return ports.Message{JSON: e.data, Notice: &ports.Notice{Type: noticeLagged, Dropped: 1}}, true
}

// notice reads a notice as far as it can be read; that it came says the most of it.
func notice(kind string, data []byte) *ports.Notice {
	var w struct {
		Reason  string `json:"reason"`
		Dropped uint64 `json:"dropped_count"`
	}
	_ = json.Unmarshal(data, &w)
	return &ports.Notice{Type: kind, Reason: w.Reason, Dropped: w.Dropped}
}

// recentIDs is how many identifiers a subscription remembers. It is as many events as a hub keeps by default.
const recentIDs = 8192

// recent is a set of the identifiers added last.
type recent struct {
	limit  int
	known  map[domain.UUID]struct{}
	order  []domain.UUID // a ring once it is full
	oldest int
}

func newRecent(limit int) *recent {
	return &recent{limit: limit, known: map[domain.UUID]struct{}{}}
}

// add reports whether id is new. The zero identifier, which marks a snapshot, always is.
func (r *recent) add(id domain.UUID) bool {
	if id.IsZero() {
		return true
	}
	if _, ok := r.known[id]; ok {
		return false
	}
	r.known[id] = struct{}{}
	if len(r.order) < r.limit {
		r.order = append(r.order, id)
		return true
	}
	delete(r.known, r.order[r.oldest])
	r.order[r.oldest] = id
	r.oldest = (r.oldest + 1) % r.limit
	return true
}
