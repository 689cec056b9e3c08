package soak_test

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/matric/matric-events/domain"
)

// fact is an event as it was told of by a webhook or in the log, as far as the ledger is about it.
type fact struct {
	kind      domain.Type
	job, note domain.UUID
	operation string
	title     string
	willRetry bool
	progress  int
}

// terminal reports whether the event ends its job.
func (f *fact) terminal() bool {
	return f.kind == domain.TypeJobCompleted || f.kind == domain.TypeJobFailed && !f.willRetry
}

// parse reads an event.
func parse(body []byte) (id domain.UUID, f fact, err error) {
	var e struct {
		Type      string      `json:"type"`
		EventID   domain.UUID `json:"event_id"`
		JobID     domain.UUID `json:"job_id"`
		NoteID    domain.UUID `json:"note_id"`
		Operation string      `json:"operation"`
		Title     string      `json:"title"`
		WillRetry bool        `json:"will_retry"`
		Progress  int         `json:"progress"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return id, f, err
	}
	kind, ok := domain.ParseType(e.Type)
	if !ok {
		return id, f, fmt.Errorf("type %q", e.Type)
	}
	return e.EventID, fact{kind, e.JobID, e.NoteID, e.Operation, e.Title, e.WillRetry, e.Progress}, nil
}

// subject is what a note event is about: a note, and what happened to it.
type subject struct {
	note      domain.UUID
	operation string
}

// books are what producers were promised, and what is known to have happened.
type books struct {
	mu       sync.Mutex                  // guards all below
	promised map[domain.UUID]domain.Type // events of producers that were acknowledged
	notes    map[subject]bool            // note events of producers that were acknowledged
	foreign  map[domain.UUID]bool        // jobs and notes of producers
	facts    map[domain.UUID]fact
	repeated int // events that were sent again under their ID
}

func newBooks() *books {
	return &books{promised: map[domain.UUID]domain.Type{}, notes: map[subject]bool{}, foreign: map[domain.UUID]bool{}, facts: map[domain.UUID]fact{}}
}

// owns writes down that a job or a note is a producer's, and not the host's.
func (b *books) owns(id domain.UUID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.foreign[id] = true
}

// promise writes down an event that was acknowledged.
func (b *books) promise(id domain.UUID, kind domain.Type) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.promised[id] = kind
}

func (b *books) promiseNote(s subject) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes[s] = true
}

// witness writes down an event that was seen.
func (b *books) witness(id domain.UUID, f fact) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.facts[id] = f
}

// size returns how many events were promised, and how many are known.
func (b *books) size() (promised, known int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.promised) + len(b.notes), len(b.facts)
}

// hosts reports whether an event is the built-in host's. The caller holds b.mu.
func (b *books) hosts(f *fact) bool {
	return f.kind != domain.TypeQueueStatus && !b.foreign[f.job] && !b.foreign[f.note]
}
