package soak_test

import (
	"errors"
	"fmt"
	"time"
)

// sample is what a process holds at rest: no client, nothing to do.
type sample struct{ rss, goroutines, files int }

func (s sample) String() string {
	return fmt.Sprintf("%d MiB, %d goroutines, %d files", s.rss>>20, s.goroutines, s.files)
}

// The rule. Connections to the database and to receivers, which are kept for a while, are the small difference.
const (
	fewGoroutines = 24
	fewFiles      = 16
	someMemory    = 32 << 20
)

// flat says what has grown.
func (s sample) flat(base sample) error {
	var grown []error
	if s.rss > base.rss*3/2+someMemory {
		grown = append(grown, errors.New("memory"))
	}
	if s.goroutines > base.goroutines+fewGoroutines {
		grown = append(grown, errors.New("goroutines"))
	}
	if s.files > base.files+fewFiles {
		grown = append(grown, errors.New("files"))
	}
	return errors.Join(grown...)
}

// sampleNow reads a sample.
func (s *soak) sampleNow() (now sample, err error) {
	if now.rss, now.files, err = measure(s.hub.current().PID()); err != nil {
		return now, err
	}
	now.goroutines = int(s.hub.metrics("go_goroutines")["go_goroutines"])
	return now, nil
}

// rest waits until the hub has no connection left, the deaf ones included, and returns a sample: the lowest of some time,
// for what is kept for reuse goes by and by.
func (s *soak) rest() (lowest sample, err error) {
	for _, h := range s.hooks {
		h.server.CloseClientConnections()
	}
	var left []any
	if !until(func() bool { return s.hub.read("/api/v1/connections", &left) && len(left) == 0 }) {
		s.ledger.breach(pFlat, "%d connections are left: %v", len(left), left)
	}
	for i := range 10 {
		now, err := s.sampleNow()
		if err != nil {
			return now, err
		}
		if i == 0 {
			lowest = now
		}
		lowest = sample{min(lowest.rss, now.rss), min(lowest.goroutines, now.goroutines), min(lowest.files, now.files)}
		time.Sleep(100 * time.Millisecond) // between samples
	}
	return lowest, nil
}

// compare writes down whether the process is as it was.
func (s *soak) compare(base, end sample, shift time.Duration) {
	s.ledger.count(pFlat, "%s at rest after warming up, %s at rest %s of load and faults later", base, end, shift.Round(time.Second))
	if err := end.flat(base); err != nil {
		s.ledger.breach(pFlat, "grown: %v", err)
	}
}
