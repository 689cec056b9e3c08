package soak_test

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
	"github.com/matric/matric-events/tests/harness"
)

// mood is how a receiver answers at the time. taken says whether the answer tells the hub that the event has arrived.
type mood struct {
	name   string
	taken  bool
	answer harness.Answer
}

var (
	fine  = mood{"fine", true, harness.Status(http.StatusNoContent)}
	slow  = mood{"slow", true, crawl}
	hangs = mood{"hangs", false, harness.Hang}
	fails = mood{"fails", false, harness.Status(http.StatusInternalServerError)}
	moods = []mood{
		fine, slow, hangs, fails,
		{"drips", false, harness.Drip},
		{"resets", false, harness.Reset},
		{"is busy", false, busy},
	}
)

// crawl answers slowly, and in pieces, but in time.
func crawl(w http.ResponseWriter, r *http.Request, _ int) {
	w.WriteHeader(http.StatusOK)
	for range 3 {
		_, _ = w.Write([]byte("."))
		_ = http.NewResponseController(w).Flush()
		pause(r.Context(), 20*time.Millisecond)
	}
}

func busy(w http.ResponseWriter, _ *http.Request, _ int) {
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusTooManyRequests)
}

// receipt is what a receiver has of an event.
type receipt struct {
	body  uint64 // a hash
	times int
	taken bool
	kind  domain.Type
	note  subject
}

// hook is a webhook and its receiver.
type hook struct {
	name   string
	events []string
	types  domain.TypeSet
	ledger *ledger
	books  *books // of what it witnesses; nil for nothing
	server *httptest.Server
	id     string

	mu     sync.Mutex // guards all below; that of books comes before
	verify signing.Verifier
	mood   mood
	ill    float64 // the part of attempts that go by mood; the others are fine
	rng    *rand.Rand
	got    map[domain.UUID]receipt
	tries  int
	dead   int // letters, before they were sent again
}

// hooks are the receivers of a hub, from well to ill.
func newHooks(t *testing.T, l *ledger, b *books, rng *rand.Rand) []*hook {
	list := []*hook{
		{name: "healthy", events: []string{"job", "note"}, mood: fine, books: b},
		{name: "moody", events: []string{"job", "note"}, mood: fine, ill: 1},
		{name: "slow", events: []string{"note"}, mood: slow, ill: 1},
		{name: "filtered", events: []string{"job.completed", "job.failed", "note"}, mood: moods[5], ill: 0.1},
		{name: "hanging", events: []string{"job.failed"}, mood: hangs, ill: 1},
		{name: "failing", events: []string{"note"}, mood: fails, ill: 0.7},
	}
	for _, h := range list {
		h.ledger, h.got = l, map[domain.UUID]receipt{}
		h.rng = rand.New(rand.NewPCG(rng.Uint64(), 0))
		h.types, _ = domain.ParseTypes("events", h.events) // they are valid
		var taken sync.Map                                 // by attempt: what became of it is decided when it arrives
		h.server = harness.Receive(t, func(d harness.Delivery) int {
			nth, answer := h.arrive(d)
			taken.Store(nth, answer)
			return nth
		}, func(w http.ResponseWriter, r *http.Request, nth int) {
			answer, _ := taken.LoadAndDelete(nth)
			answer.(harness.Answer)(w, r, nth)
		})
	}
	return list
}

// subscribe makes the webhook at the hub.
func (h *hook) subscribe(s *harness.Server) {
	events, _ := json.Marshal(h.events) // strings
	made := s.Call(http.StatusCreated, http.MethodPost, "/api/v1/webhooks", fmt.Sprintf(`{"url":%q,"events":%s,"max_retries":3}`, h.server.URL, events))
	secret, err := signing.ParseSecret(made["secret"].(string))
	if err != nil {
		h.ledger.breach(pSigned, "%s: secret: %v", h.name, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.id, h.verify = made["id"].(string), signing.Verifier{Secrets: []signing.Secret{secret}}
}

// feel changes how the receiver answers.
func (h *hook) feel(m mood) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mood = m
}

// heal has the receiver take everything, until what is returned is called.
func (h *hook) heal() (relapse func()) {
	h.mu.Lock()
	before := h.mood
	h.mood = fine
	h.mu.Unlock()
	h.server.CloseClientConnections() // of attempts that hang
	return func() { h.feel(before) }
}

var seed = maphash.MakeSeed()

// arrive takes an attempt down and says how it is answered.
func (h *hook) arrive(d harness.Delivery) (nth int, answer harness.Answer) {
	id, f, err := parse(d.Body)
	if h.books != nil && err == nil {
		h.books.witness(id, f)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tries++
	m := fine
	if h.rng.Float64() < h.ill {
		m = h.mood
	}
	if err != nil {
		h.ledger.breach(pSigned, "%s: %v in %s", h.name, err, d.Body)
		return h.tries, m.answer
	}
	if err := h.verify.Verify(d.Header.Get, d.Body, d.At); err != nil {
		h.ledger.breach(pSigned, "%s: %s: %v", h.name, id, err)
	}
	if err := h.verify.VerifyBody(d.Header.Get, d.Body); err != nil {
		h.ledger.breach(pSigned, "%s: %s: %v", h.name, id, err)
	}
	if d.ID() != id.String() || !h.types.Has(f.kind) {
		h.ledger.breach(pSigned, "%s: webhook-id %s with %s", h.name, d.ID(), d.Body)
	}
	sum := maphash.Bytes(seed, d.Body)
	r, again := h.got[id]
	if again && r.body != sum {
		h.ledger.breach(pSigned, "%s: %s came again with another body: %s", h.name, id, d.Body)
	}
	h.got[id] = receipt{body: sum, times: r.times + 1, taken: r.taken || m.taken, kind: f.kind, note: subject{f.note, f.operation}}
	return h.tries, m.answer
}

// repeated returns how many events came more often than once, and the most that one did.
func (h *hook) repeated() (n, most int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.got {
		if r.times > 1 {
			n++
		}
		most = max(most, r.times)
	}
	return n, most
}

// owed is what a hook has yet to take.
type owed struct {
	producers, host []domain.UUID
	notes           []subject
}

func (o *owed) empty() bool { return len(o.producers)+len(o.host)+len(o.notes) == 0 }

func (o *owed) String() string {
	var b strings.Builder
	for _, id := range slices.Concat(o.producers, o.host) {
		if b.Len() < longest {
			fmt.Fprintf(&b, " %s", id)
		}
	}
	for _, s := range o.notes {
		if b.Len() < longest {
			fmt.Fprintf(&b, " %s of %s", s.operation, s.note)
		}
	}
	return fmt.Sprintf("%d events of producers, %d of the host, %d of producers' notes:%s", len(o.producers), len(o.host), len(o.notes), b.String())
}

// missing returns what was promised, is known to have happened, and has not been taken.
func (h *hook) missing(b *books) (o owed, producers, host int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, kind := range b.promised {
		if h.types.Has(kind) {
			if producers++; !h.got[id].taken {
				o.producers = append(o.producers, id)
			}
		}
	}
	for id, f := range b.facts {
		if h.types.Has(f.kind) && b.hosts(&f) {
			if host++; !h.got[id].taken {
				o.host = append(o.host, id)
			}
		}
	}
	if h.types.Has(domain.TypeNoteUpdated) {
		o.notes = h.missingNotes(b)
		producers += len(b.notes)
	}
	return o, producers, host
}

func (h *hook) missingNotes(b *books) (list []subject) {
	took := map[subject]bool{}
	for _, r := range h.got {
		if r.taken && r.kind == domain.TypeNoteUpdated {
			took[r.note] = true
		}
	}
	for s := range b.notes {
		if !took[s] {
			list = append(list, s)
		}
	}
	return list
}
