package publish

import "time"

// Schedule says when events are due at a fixed rate: those of several publishers evenly between each other, each publisher's
// own by a timetable that does not move when the publisher is held up.
type Schedule struct {
	Start      int64   // nanoseconds
	Rate       float64 // events per second of all publishers together
	Publishers int
}

// Due returns when an event of a publisher is to be sent; the first has number 1.
func (s Schedule) Due(publisher int, seq uint64) int64 {
	place := float64(seq-1)*float64(s.Publishers) + float64(publisher)
	return s.Start + int64(place/s.Rate*float64(time.Second))
}

// Stamp returns the time that an event's latency is counted from. A publisher that was free before the event was due counts
// from when it really sent it: that it overslept is not the server's fault. One that the server held up, with an earlier
// event, counts from when it should have sent this one; otherwise a slow server would hide delays by slowing the load.
func Stamp(due, free, now int64) int64 {
	if free <= due {
		return now
	}
	return due
}
