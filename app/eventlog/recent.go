package eventlog

import "github.com/matric/matric-events/domain"

// recent maps the newest identifiers to their sequence numbers and forgets the oldest beyond its bound.
type recent struct {
	seqs  map[domain.UUID]domain.Seq
	order []domain.UUID // a ring once it has grown to max
	max   int
	next  int // where the next identifier goes once the ring is full
}

func newRecent(limit int) recent {
	return recent{seqs: make(map[domain.UUID]domain.Seq), max: limit}
}

func (r *recent) find(id domain.UUID) (domain.Seq, bool) {
	seq, ok := r.seqs[id]
	return seq, ok
}

func (r *recent) add(id domain.UUID, seq domain.Seq) {
	if len(r.order) < r.max {
		r.order = append(r.order, id)
	} else {
		delete(r.seqs, r.order[r.next])
		r.order[r.next] = id
		r.next = (r.next + 1) % r.max
	}
	r.seqs[id] = seq
}
