// Package tally keeps the books of a measurement: which events each subscriber has had, and how long they took.
//
// Everything here is a plain value that one goroutine owns. Numbers are only ever added up after the owners have stopped.
package tally

// Counts are of all subscribers whose events were noted in them. Lost may fall again, when an event turns out to be late
// instead.
type Counts struct {
	Received   int64
	Lost       int64
	Duplicated int64
	Reordered  int64
}

// Add adds the counts of other subscribers.
func (c *Counts) Add(other Counts) {
	c.Received += other.Received
	c.Lost += other.Lost
	c.Duplicated += other.Duplicated
	c.Reordered += other.Reordered
}

// memory is how many numbers back a late event is told from a second one.
const memory = 64

// Track follows the events of one publisher at one subscriber. Publishers run side by side and their events may interleave
// in any way; those of one publisher, who waits for each acknowledgement, must arrive in order. The zero value has seen
// nothing and expects number 1.
type Track struct {
	last uint64
	seen uint64 // bit i is set if number last-i has come
}

// Last returns the highest number seen.
func (t *Track) Last() uint64 { return t.last }

// Note enters the arrival of a number, and returns by how much the track advanced.
func (c *Counts) Note(t *Track, seq uint64) (advance uint64) {
	c.Received++
	if seq > t.last {
		advance = seq - t.last
		c.Lost += int64(advance) - 1
		t.last, t.seen = seq, t.seen<<advance|1 // a shift by 64 or more forgets all
		return advance
	}
	bit := uint64(1) << (t.last - seq)
	if t.last-seq >= memory || t.seen&bit != 0 {
		c.Duplicated++
		return 0
	}
	t.seen |= bit
	c.Lost--
	c.Reordered++
	return 0
}

// Missing returns how many of the numbers up to the last one published lie beyond the track.
func (t *Track) Missing(published uint64) int64 {
	if published <= t.last {
		return 0
	}
	return int64(published - t.last)
}
