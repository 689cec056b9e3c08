package app

import (
	"container/list"
	"sync"

	"github.com/matric/matric-events/domain"
)

// jobMemories keeps what is remembered of jobs, and forgets the one least recently heard of when there are too many.
type jobMemories struct {
	mu     sync.Mutex // guards all below: the counts match the memories
	byID   map[domain.UUID]*list.Element
	recent *list.List // of *jobMemory, the most recent first
	max    int
	counts domain.QueueStatus // of jobs outside the built-in queue
}

type jobMemory struct {
	id     domain.UUID
	hosted bool // counted by its own queue, whoever else reports on it
	domain.JobMemory
}

func newJobMemories(limit int) *jobMemories {
	return &jobMemories{byID: make(map[domain.UUID]*list.Element), recent: list.New(), max: limit}
}

func (m *jobMemories) get(id domain.UUID) domain.JobMemory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if el, ok := m.byID[id]; ok {
		return el.Value.(*jobMemory).JobMemory
	}
	return domain.JobMemory{}
}

func (m *jobMemories) put(id domain.UUID, memory domain.JobMemory, hosted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	el, ok := m.byID[id]
	if !ok {
		if m.recent.Len() == m.max {
			oldest := m.recent.Remove(m.recent.Back()).(*jobMemory)
			delete(m.byID, oldest.id)
			m.tally(oldest, -1)
		}
		el = m.recent.PushFront(&jobMemory{id: id})
		m.byID[id] = el
	}
	m.recent.MoveToFront(el)
	job := el.Value.(*jobMemory)
	m.tally(job, -1)
	job.JobMemory, job.hosted = memory, job.hosted || hosted
	m.tally(job, +1)
}

func (m *jobMemories) tally(job *jobMemory, n int) {
	if job.hosted {
		return
	}
	switch job.Phase {
	case domain.PhaseQueued, domain.PhaseRetrying:
		m.counts.Pending += n
	case domain.PhaseRunning:
		m.counts.Running += n
	}
}

func (m *jobMemories) count() domain.QueueStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}
