package soak_test

import (
	"github.com/matric/matric-events/domain"
)

// closeStreams judges what readers saw, process by process, and the order of each job's events over all of them.
func (s *soak) closeStreams() {
	trails := make([]*trail, len(s.readers))
	cut := int64(0)
	for i, r := range s.readers {
		trails[i] = r.trail
		cut += r.cutoff.Load()
	}
	var sum verdict
	jobs := jobOrder{}
	for _, r := range s.reference.records {
		v := judge(r, trails)
		for _, what := range v.wrong {
			s.ledger.breach(pStream, "%s", what)
		}
		sum.events += v.events
		sum.resumes += v.resumes
		sum.exact += v.exact
		sum.gaps += v.gaps
		sum.tail += v.tail
		sum.unproved += v.unproved
		jobs.follow(r, s.books, s.ledger)
	}
	s.ledger.count(pStream, "%d events on %d readers of %d processes, %d resumes without a gap, %d gaps counted right, %d told, %d sent away for lagging, %d last moments, %d unproved",
		sum.events, len(trails), len(s.reference.records), sum.resumes, sum.exact, sum.gaps, cut, sum.tail, sum.unproved)
	s.ledger.count(pOrder, "%d jobs", len(jobs))
}

// jobOrder is how far each job has come.
type jobOrder map[domain.UUID]*jobPhase

type jobPhase struct {
	seen                  map[domain.UUID]bool // an event may come again from the next process
	queued, started, over bool
	progress              int
}

// follow goes on with the log of another process.
func (o jobOrder) follow(r *record, b *books, l *ledger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range r.events {
		f, ok := b.facts[e.id]
		if !ok || f.job.IsZero() {
			continue
		}
		p := o[f.job]
		if p == nil {
			p = &jobPhase{seen: map[domain.UUID]bool{}}
			o[f.job] = p
		}
		if p.seen[e.id] {
			continue
		}
		p.seen[e.id] = true
		if wrong := p.step(&f); wrong != "" {
			l.breach(pOrder, "process %d: job %s: %s %s", r.life/2, f.job, f.kind, wrong)
		}
	}
}

// step says what is wrong about an event at this place.
func (p *jobPhase) step(f *fact) (wrong string) {
	switch {
	case p.over:
		return "after the job's end"
	case f.kind == domain.TypeJobQueued:
		if p.queued || p.started {
			wrong = "is late"
		}
		p.queued = true
	case f.kind == domain.TypeJobStarted:
		p.started, p.progress = true, 0
	case f.kind == domain.TypeJobProgress:
		if f.progress < p.progress {
			wrong = "goes back"
		}
		p.started, p.progress = true, f.progress
	default:
		p.over = f.terminal()
		p.progress = 0
	}
	return wrong
}
