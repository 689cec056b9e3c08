package client

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/matric/matric-events/domain"
)

// hub serves the two routes that a subscriber needs as the wire contract says, from a log that keeps everything since the
// last restart.
type hub struct {
	mu      sync.Mutex
	origin  domain.UUID
	log     []domain.Event
	changed chan struct{} // closed and replaced at each change of what follows
	cuts    int           // times that all connections were cut
	budget  int           // events that a connection may still write before it is cut; negative for no limit
	noPoll  bool          // an older hub without the poll route
}

func newHub() *hub { return &hub{origin: NewEventID(), changed: make(chan struct{}), budget: -1} }

func (h *hub) do(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *hub) publish(e domain.Event) { h.do(func() { h.log = append(h.log, e) }) }
func (h *hub) cut()                   { h.do(func() { h.cuts++ }) }

// restart forgets the log, as a process that starts anew does.
func (h *hub) restart() { h.do(func() { h.log, h.origin, h.cuts = nil, NewEventID(), h.cuts+1 }) }

func (h *hub) head() domain.UUID {
	if len(h.log) == 0 {
		return h.origin
	}
	return h.log[len(h.log)-1].ID
}

// find returns how many events stand before the place that id names.
func (h *hub) find(id string) (int, bool) {
	for i, e := range h.log {
		if e.ID.String() == id {
			return i + 1, true
		}
	}
	return 0, id == h.origin.String()
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/v1/events/poll" && !h.noPoll {
		h.mu.Lock()
		defer h.mu.Unlock()
		_, _ = fmt.Fprintf(w, `{"events":[],"cursor":%q,"truncated":false,"has_more":false}`, h.head())
		return
	}
	if r.URL.Path != "/api/v1/events" {
		http.NotFound(w, r)
		return
	}
	q := r.URL.Query()
	filter, err := domain.ParseFilter(
		domain.FilterList{Field: "types", Values: q["types"]},
		domain.FilterList{Field: "job_id", Values: q["job_id"]},
		domain.FilterList{Field: "note_id", Values: q["note_id"]})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.stream(w, r, &filter)
}

func (h *hub) stream(w http.ResponseWriter, r *http.Request, filter *domain.Filter) {
	h.mu.Lock()
	cuts, place := h.cuts, len(h.log)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	_, _ = fmt.Fprintf(w, ": welcome\nretry: 1\n\n")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		at, ok := h.find(last)
		if ok {
			place = at
		} else {
			_, _ = fmt.Fprintf(w, "event: resync_required\ndata: {\"type\":\"ResyncRequired\",\"reason\":\"unknown\",\"last_event_id\":%q}\n\n", last)
		}
	}
	if status := (domain.Event{Payload: domain.QueueStatus{Running: 1}}); filter.Types == 0 || filter.Types.Has(domain.TypeQueueStatus) {
		_, _ = fmt.Fprintf(w, "event: QueueStatus\ndata: %s\n\n", status.AppendJSON(nil))
	}
	for h.cuts == cuts && r.Context().Err() == nil {
		for ; place < len(h.log) && h.budget != 0; place++ {
			h.budget--
			writeEvent(w, &h.log[place], filter)
		}
		spent := h.budget == 0
		if spent {
			h.budget = -1
		}
		changed := h.changed
		h.mu.Unlock()
		w.(http.Flusher).Flush()
		if spent {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		h.mu.Lock()
	}
	h.mu.Unlock()
}

func writeEvent(w http.ResponseWriter, e *domain.Event, filter *domain.Filter) {
	job, note := e.Payload.Subject()
	if filter.Match(&domain.Entry{ID: e.ID, Type: e.Type(), Job: job, Note: note}) {
		_, _ = fmt.Fprintf(w, "event: %s\nid: %s\ndata: %s\n\n", e.Type(), e.ID, e.AppendJSON(nil))
	}
}
