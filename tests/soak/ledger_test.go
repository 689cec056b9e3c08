package soak_test

import (
	"fmt"
	"strings"
	"sync"
)

// The promises, in the order of the ledger.
const (
	pProducer = "acknowledged events reach every matching webhook, or are dead letters"
	pHost     = "committed notes and jobs reach every matching webhook, or are dead letters"
	pDead     = "dead letters can be listed, and arrive when sent again"
	pSigned   = "deliveries are signed twice; a repetition has the same id and the same bytes"
	pStream   = "streams: what the filter selects, in one order, each once, gaps told and counted"
	pCaughtUp = "streams: whoever is connected has everything in the end"
	pAtomic   = "a note, its event and its job: all or none"
	pJobs     = "a queued job ends once"
	pOrder    = "a job's events are in order"
	pIdem     = "an event_id that is repeated is accepted, and not published again"
	pAnswers  = "what is valid is never refused; failing is 503 or no answer"
	pGraceful = "SIGTERM: exit code 0, nothing lost"
	pReady    = "readyz says when the database is away, and when it is back"
	pFull     = "out of descriptors: served again when some are free"
	pLives    = "the process does not end unless it is told to"
	pFlat     = "memory, goroutines and descriptors are flat"
	pClock    = "a clock that jumps"
)

var promises = []string{pProducer, pHost, pDead, pSigned, pStream, pCaughtUp, pAtomic, pJobs, pOrder, pIdem, pAnswers, pGraceful, pReady, pFull, pLives, pFlat, pClock}

// ledger is what was promised, and what became of it.
type ledger struct {
	tell func(format string, args ...any) // prints a line

	mu     sync.Mutex // guards all below
	counts map[string][]string
	broken map[string][]string
	unseen map[string]string // why there is nothing to say
}

func newLedger(tell func(format string, args ...any)) *ledger {
	return &ledger{tell: tell, counts: map[string][]string{}, broken: map[string][]string{}, unseen: map[string]string{}}
}

// count adds to what the ledger says of a promise that was looked at.
func (l *ledger) count(promise, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[promise] = append(l.counts[promise], fmt.Sprintf(format, args...))
}

// breach writes down that a promise was not kept.
func (l *ledger) breach(promise, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what := fmt.Sprintf(format, args...)
	if l.broken[promise] = append(l.broken[promise], what); len(l.broken[promise]) <= mostExamples {
		l.tell("BREACH: %s: %s", promise, what[:min(len(what), longest)])
	}
}

// skip says why a promise was not looked at here.
func (l *ledger) skip(promise, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unseen[promise] = why
}

// breaches returns how often promises were not kept.
func (l *ledger) breaches() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, list := range l.broken {
		n += len(list)
	}
	return n
}

const (
	mostExamples = 8
	longest      = 300 // bytes of one
)

// String returns the table. A promise that nothing was counted for, and that nobody said was left out, counts as broken: a
// ledger that looks at nothing must not pass.
func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, p := range promises {
		verdict, text := "kept", strings.Join(l.counts[p], ", ")
		switch {
		case len(l.broken[p]) > 0:
			verdict = "BROKEN"
		case l.unseen[p] != "":
			verdict, text = "not here", l.unseen[p]
		case text == "":
			verdict = "NOT SEEN"
		}
		fmt.Fprintf(&b, "  %-8s  %s\n            %s\n", verdict, p, text)
		for i, what := range l.broken[p] {
			if i == mostExamples {
				fmt.Fprintf(&b, "          ! … and %d more\n", len(l.broken[p])-i)
				break
			}
			fmt.Fprintf(&b, "          ! %s\n", what[:min(len(what), longest)])
		}
	}
	return b.String()
}

// complete reports whether every promise was looked at, or said to be left out.
func (l *ledger) complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range promises {
		if len(l.counts[p]) == 0 && l.unseen[p] == "" {
			return false
		}
	}
	return true
}
