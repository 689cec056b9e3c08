package harness

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Delivery is one attempt as a receiver got it.
type Delivery struct {
	Header http.Header
	Body   []byte
	At     time.Time
}

// ID returns the webhook-id, which is the event's ID.
func (d Delivery) ID() string { return d.Header.Get("webhook-id") }

// Receiver is a webhook receiver that remembers what it got, and answers as it is told.
type Receiver struct {
	URL string

	mu      sync.Mutex // guards all below
	got     []Delivery
	arrived chan struct{} // closed and replaced at each arrival
}

// Answer answers one attempt; nth counts from 0 over all attempts.
type Answer func(w http.ResponseWriter, r *http.Request, nth int)

// NewReceiver starts a receiver on loopback. A nil answer is 204.
func NewReceiver(t testing.TB, answer Answer) *Receiver {
	sixteenMegabytes() // so that no answer waits for it
	rc := &Receiver{arrived: make(chan struct{})}
	rc.URL = Receive(t, rc.remember, answer).URL
	return rc
}

// Receive starts a receiver that remembers nothing, for a test that keeps books of its own: each attempt is handed to book, which
// says how many there were before it, and then answered.
func Receive(t testing.TB, book func(Delivery) (nth int), answer Answer) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender was killed
		}
		nth := book(Delivery{Header: r.Header.Clone(), Body: body, At: time.Now()})
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, r, nth)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

func (rc *Receiver) remember(d Delivery) int {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.got = append(rc.got, d)
	close(rc.arrived)
	rc.arrived = make(chan struct{})
	return len(rc.got) - 1
}

// Got returns what has arrived so far.
func (rc *Receiver) Got() []Delivery {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return append([]Delivery(nil), rc.got...)
}

// Counts returns how often each event has arrived so far.
func (rc *Receiver) Counts() map[string]int {
	counts := map[string]int{}
	for _, d := range rc.Got() {
		counts[d.ID()]++
	}
	return counts
}

// Await waits until f accepts what has arrived, and returns it; the test fails when that takes longer than Patience.
func (rc *Receiver) Await(t testing.TB, what string, f func([]Delivery) bool) []Delivery {
	t.Helper()
	deadline := time.After(Patience)
	for {
		rc.mu.Lock()
		got, arrived := append([]Delivery(nil), rc.got...), rc.arrived
		rc.mu.Unlock()
		if f(got) {
			return got
		}
		select {
		case <-arrived:
		case <-deadline:
			t.Fatalf("receiver: no %s within %v; %d attempts arrived", what, Patience, len(got))
		}
	}
}

// Answers of receivers that misbehave.

// Status answers with a status and no body.
func Status(code int) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(code) }
}

// Hang never answers.
func Hang(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() }

// Drip answers 200 at once, and then a byte a second for ever.
func Drip(w http.ResponseWriter, r *http.Request, _ int) {
	w.WriteHeader(http.StatusOK)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte(".")); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// Reset ends the connection without an answer.
func Reset(http.ResponseWriter, *http.Request, int) { panic(http.ErrAbortHandler) }

// Redirect sends the sender elsewhere.
func Redirect(to string) Answer {
	return func(w http.ResponseWriter, r *http.Request, _ int) {
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}
}

// GzipBomb answers 200 with a small body that unpacks to a gigabyte.
func GzipBomb(w http.ResponseWriter, _ *http.Request, _ int) {
	w.Header().Set("Content-Encoding", "gzip")
	for range 64 {
		if _, err := w.Write(sixteenMegabytes()); err != nil {
			return // the sender has stopped reading
		}
	}
}

// sixteenMegabytes returns that much nothing, compressed; members of the format may follow each other (RFC 1952, 2.2).
var sixteenMegabytes = sync.OnceValue(func() []byte {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(make([]byte, 16<<20)) // to memory
	_ = z.Close()
	return packed.Bytes()
})

// Flaky fails the first n attempts with a status, then succeeds.
func Flaky(n, code int) Answer {
	return func(w http.ResponseWriter, _ *http.Request, nth int) {
		if nth < n {
			w.WriteHeader(code)
			return
		}
		w.WriteHeader(http.StatusOK)
	}
}
