// Package memory implements ports.Notes, ports.JobQueue, ports.JobCounter, ports.Outbox and ports.Probe, and the three
// ports of the webhooks' storage, in memory, for tests of what stands on them: it keeps the promises of the ports, which
// the suites of tests/contract check, in far less time than a database.
//
// One mutex is the transaction: what one change of a note or of a job stores becomes visible together. Nothing survives
// the process. A search knows the accents of ISO 8859-1 only, and looks at every note.
package memory

import (
	"errors"
	"sync"

	"github.com/matric/matric-events/domain"
)

// Store holds everything. Use New. Safe for concurrent use.
type Store struct {
	newID func() domain.UUID

	mu      sync.Mutex    // guards all below, so that a change is seen as a whole or not at all
	notes   []*noteRow    // in the order of their creation
	jobs    []*jobRow     // likewise
	records []outboxRow   // in the order of their positions
	last    int64         // position of the newest record that there ever was
	bell    chan struct{} // closed and replaced when a record or a job was added
	failure error
	refusal error
}

// New returns an empty store. newID makes UUIDv7 identifiers.
func New(newID func() domain.UUID) *Store {
	return &Store{newID: newID, bell: make(chan struct{})}
}

// Fail makes every call on notes and jobs, and every canary, return the error, with nothing stored; nil ends that.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// RefuseJobs makes adding a job return the error; nil ends that.
func (s *Store) RefuseJobs(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = err
}

// begin locks the store for a call, unless calls are to fail.
func (s *Store) begin() error {
	s.mu.Lock()
	if err := s.failure; err != nil {
		s.mu.Unlock()
		return err
	}
	return nil
}

// ring tells all who wait that there is something new. The caller holds s.mu.
func (s *Store) ring() {
	close(s.bell)
	s.bell = make(chan struct{})
}

var errNoKind = errors.New("memory: no such kind of record")
