// Package soak_test runs the hub for as long as one likes under load on all channels, while everything around it breaks at
// random, and keeps a ledger of what it had promised. README.md says how to run it and how to read the ledger.
package soak_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/harness/socket"
)

var (
	length  = flag.Duration("soak", 0, "how long there is load and trouble; at least until every fault was there once")
	seeding = flag.Uint64("seed", 0, "what chance goes by; 0 picks a seed")
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

func TestSoak(t *testing.T) {
	chance := *seeding
	if chance == 0 {
		chance = uint64(time.Now().UnixNano()) % 1_000_000
	}
	for _, name := range slices.Sorted(maps.Keys(databases)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := fnv.New64()
			_, _ = h.Write([]byte(name)) // never fails
			s := newSoak(t, name, rand.New(rand.NewPCG(chance, h.Sum64())))
			s.say("%s, SEED=%d", *length, chance)
			s.run(*length)
			verdict := "every promise was kept"
			if n := s.ledger.breaches(); n > 0 {
				verdict = fmt.Sprintf("%d BREACHES", n)
				t.Fail()
			}
			if !s.ledger.complete() {
				verdict = "some promises were not looked at"
				t.Fail()
			}
			t.Logf("ledger of %s, SEED=%d: %s\n%s", name, chance, verdict, s.ledger)
		})
	}
}

// soak is one hub, and all that is around it.
type soak struct {
	t       *testing.T
	name    string
	rng     *rand.Rand
	started time.Time
	ledger  *ledger
	db      *database
	hub     *hub
	books   *books
	host    *hostBooks

	hooks     []*hook
	producers [3]*producer
	herald    *producer // publishes for the test itself
	writers   []*writer
	readers   []*reader
	reference *reference
	deaf      []*socket.Conn

	kills, stops, outages, resets, full, faults int
}

func newSoak(t *testing.T, name string, rng *rand.Rand) *soak {
	s := &soak{t: t, name: name, rng: rng, started: time.Now(), books: newBooks(), host: newHostBooks()}
	s.ledger = newLedger(s.say)
	s.db = databases[name](t)
	s.hub = newHub(t, s.db)
	s.hooks = newHooks(t, s.ledger, s.books, rng)
	for _, h := range s.hooks {
		h.subscribe(s.hub.current())
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	t.Cleanup(client.CloseIdleConnections)
	produce := func(name string, i int) *producer {
		return &producer{
			name: fmt.Sprintf("%s %d", name, i), hub: s.hub, books: s.books, ledger: s.ledger, client: client,
			rng: rand.New(rand.NewPCG(rng.Uint64(), 0)),
		}
	}
	for i := range s.producers {
		s.producers[i] = produce("producer", i)
	}
	s.herald = produce("herald", 0)
	for i := range 2 {
		s.writers = append(s.writers, &writer{producer: produce("writer", i), host: s.host})
	}
	s.readers = newReaders(s.hub, s.ledger, rng)
	s.reference = &reference{hub: s.hub, books: s.books, ledger: s.ledger}
	return s
}

// say prints a line at once with -v.
func (s *soak) say(format string, args ...any) {
	if testing.Verbose() {
		fmt.Fprintf(os.Stderr, "%s %7s %-8s %s\n", time.Now().Format(time.TimeOnly), time.Since(s.started).Round(time.Second), s.name, fmt.Sprintf(format, args...))
	}
}

// The parts of a run: processes come and go; then one process warms up, and is held against itself after the rest.
const (
	warmUp = 0.1
	steady = 0.3
)

func (s *soak) run(d time.Duration) {
	part := func(share float64) time.Duration { return time.Duration(share * float64(d)) }
	s.shift(part(1-warmUp-steady), slices.Concat(s.mild(), s.deadly()))
	s.hub.kill()
	s.kills++
	mild := s.mild()
	if d == 0 { // each was there once
		mild = slices.DeleteFunc(mild, func(f fault) bool { return f.name != "readers reset" && f.name != "proxy resets" })
	}
	s.shift(part(warmUp), mild)
	base, err := s.rest()
	begun := time.Now()
	s.shift(part(steady), mild)
	end, err2 := s.rest()
	if err := errors.Join(err, err2); err != nil {
		s.ledger.skip(pFlat, err.Error())
	} else {
		s.compare(base, end, time.Since(begun))
	}
	for _, c := range s.deaf {
		c.Abort()
	}
	s.settleDead()
	s.close()
}

// shift is load on all channels for a while, with one fault after the other, each of them at least once; then everything
// comes to rest.
func (s *soak) shift(d time.Duration, faults []fault) {
	serving, endServing := context.WithCancel(s.t.Context())
	defer endServing()
	reading, endReading := context.WithCancel(s.t.Context())
	defer endReading()
	var load, readers sync.WaitGroup
	readers.Go(func() { s.reference.run(reading) })
	for _, r := range s.readers {
		readers.Go(func() { r.run(reading) })
	}
	load.Go(func() { s.producers[0].workJobs(serving) })
	load.Go(func() { s.producers[1].workJobs(serving) })
	load.Go(func() { s.producers[2].reportNotes(serving) })
	for _, w := range s.writers {
		load.Go(func() { w.writeNotes(serving) })
	}
	s.trouble(d, faults)
	endServing()
	for _, step := range []struct {
		name string
		does func()
	}{
		{"load ends", load.Wait}, {"the queue comes to rest", s.restQueue}, {"readers have everything", s.awaitReaders}, {"webhooks have everything", s.settle},
	} {
		begun := time.Now()
		step.does()
		if d := time.Since(begun); d > remarkable {
			s.say("%s: took %s", step.name, d.Round(time.Millisecond))
		}
	}
	endReading()
	readers.Wait()
}

// remarkable is how long something takes that is worth a line.
const remarkable = 5 * time.Second

// trouble makes one fault after the other, in an order that chance gives, until the time is over.
func (s *soak) trouble(d time.Duration, faults []fault) {
	over, report := time.Now().Add(d), time.Now()
	const most = 4 * time.Second // between faults
	between := min(most, d/time.Duration(2*len(faults)))
	for round := 0; round == 0 || time.Now().Before(over); round++ {
		for _, i := range s.rng.Perm(len(faults)) {
			if round > 0 && !time.Now().Before(over) {
				break
			}
			pause(s.t.Context(), 50*time.Millisecond+random(s.rng, between))
			if time.Since(report) > 10*time.Second {
				report = time.Now()
				s.progress(faults[i].name)
			}
			begun := time.Now()
			faults[i].does(s.t.Context())
			if d := time.Since(begun); d > remarkable {
				s.say("%s took %s", faults[i].name, d.Round(time.Millisecond))
			}
			s.faults++
			s.mustLive(faults[i].name)
		}
	}
}

// mustLive starts the hub again if it has ended by itself, which it must not.
func (s *soak) mustLive(after string) {
	if h := s.hub.current(); h.Ended() {
		said := h.Stderr()
		s.ledger.breach(pLives, "after %s: process %d is gone; it said: …%s", after, h.PID(), said[max(0, len(said)-longest/2):])
		s.hub.kill()
	}
}

func (s *soak) progress(next string) {
	promised, known := s.books.size()
	now, _ := s.sampleNow()
	life, _ := s.hub.serving()
	s.say("%6d promised, %6d events known, process %d, %d faults, %s; now: %s; %d breaches", promised, known, life/2, s.faults, now, next, s.ledger.breaches())
}

// awaitReaders waits until every reader has the newest event that it wants. Now and then it has one of each kind published,
// for those that started anew meanwhile and have seen nothing yet.
func (s *soak) awaitReaders() {
	const markEvery = time.Second
	begun, marked, remarked := time.Now(), time.Time{}, false
	behind := map[string]string{}
	if !until(func() bool {
		if time.Since(marked) > markEvery {
			marked = time.Now()
			s.herald.mark(s.t.Context())
		}
		life, last := s.reference.current()
		clear(behind)
		for _, r := range s.readers {
			want, _ := last.newest(r.types)
			if got, ok := r.last(life); !ok || got != want {
				behind[r.who] = fmt.Sprintf("the newest event is %s, it has %s", want, got)
			}
		}
		if len(behind) > 0 && time.Since(begun) > remarkable && !remarked {
			remarked = true
			s.say("behind: %v", behind)
		}
		return len(behind) == 0
	}) {
		for who, what := range behind {
			s.ledger.breach(pCaughtUp, "%s: %s", who, what)
		}
	}
	s.ledger.count(pCaughtUp, "%d readers", len(s.readers))
}

// settleDead has dead letters sent again, with all receivers well.
func (s *soak) settleDead() {
	for _, h := range s.hooks {
		h.heal()
	}
	s.redeliver()
}

// close writes the ledger.
func (s *soak) close() {
	stored := map[domain.UUID]string{}
	if !s.pages("/api/v1/notes?limit=100", func(item json.RawMessage) bool {
		var n struct {
			ID    domain.UUID `json:"id"`
			Title string      `json:"title"`
		}
		err := json.Unmarshal(item, &n)
		stored[n.ID] = n.Title
		return err == nil
	}) {
		s.ledger.breach(pAtomic, "the notes cannot be listed")
	}
	s.host.audit(stored, s.books, s.ledger)
	s.closeHooks()
	s.closeStreams()
	s.ledger.count(pIdem, "%d events sent again after their acknowledgement", s.books.repeated)
	s.ledger.count(pAnswers, "%d faults, %d kills, %d resets of readers", s.faults, s.kills, s.resets)
	s.ledger.count(pGraceful, "%d", s.stops)
	s.ledger.count(pLives, "%d faults that it had to live through or to be started again after", s.faults)
	s.ledger.count(pReady, "%d outages", s.outages)
	if s.full > 0 {
		s.ledger.count(pFull, "%d times", s.full)
	} else if _, _, err := measure(os.Getpid()); err != nil {
		s.ledger.skip(pFull, err.Error())
	}
	s.ledger.skip(pClock, "a process cannot be given a clock of its own: TestClockGoesBack here, and tests on a virtual clock (testing/synctest) in app and adapters")
}

func (s *soak) closeHooks() {
	for _, h := range s.hooks {
		o, producers, host := h.missing(s.books)
		if !o.empty() {
			s.ledger.breach(pProducer, "%s: %s", h.name, &o)
		}
		repeated, most := h.repeated()
		s.ledger.count(pProducer, "%s %d", h.name, producers)
		s.ledger.count(pHost, "%s %d", h.name, host)
		s.ledger.count(pSigned, "%s %d attempts, %d events repeated (%d times at most), %d dead letters", h.name, h.tries, repeated, most, h.dead)
	}
}
