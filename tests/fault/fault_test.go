// Package fault_test breaks things around the real program, and keeps a ledger of what it had promised: kill -9 under load,
// an outage of the database, a full disk, receivers that hang, drip, reset or lie. What was acknowledged must have come out
// in the end, under its one ID; nothing may come out that was rolled back.
package fault_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/pgtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

// loopbackWebhooks lets webhooks reach the test's receivers, and try again soon.
var loopbackWebhooks = []string{
	"--webhook-allow-http", "--webhook-allow-cidr", "127.0.0.0/8", "--webhook-retry-initial", "100ms", "--webhook-retry-max", "1s",
	"--webhook-timeout", "1s",
}

// subscribe makes a webhook for a receiver and returns its ID.
func subscribe(s *harness.Server, rc *harness.Receiver, events string) string {
	hook := s.Call(201, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"url":%q,"events":[%s],"max_retries":3}`, rc.URL, events))
	return hook["id"].(string)
}

// ledger is what producers were promised: the IDs of the events that were acknowledged.
type ledger struct {
	mu       sync.Mutex
	promised []string
}

func (l *ledger) add(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.promised = append(l.promised, id)
}

func (l *ledger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.promised...)
}

// awaitAll waits until every promised event has arrived.
func awaitAll(t *testing.T, rc *harness.Receiver, promised []string) {
	t.Helper()
	rc.Await(t, "complete ledger", func([]harness.Delivery) bool {
		counts := rc.Counts()
		return !slices.ContainsFunc(promised, func(id string) bool { return counts[id] == 0 })
	})
}

// TestNothingIsLostAcrossKills publishes while the server is killed with SIGKILL and started again. Producers repeat what
// was not acknowledged under the same event ID. In the end every acknowledged event must have arrived, and repetitions
// must be bounded by what can be in flight at a kill.
func TestNothingIsLostAcrossKills(t *testing.T) {
	for name, database := range databases {
		t.Run(name, func(t *testing.T) { killAgainAndAgain(t, database(t)) })
	}
}

// databases are what the promises hold on.
var databases = map[string]func(t *testing.T) string{
	"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "hub.db") },
	"postgres": func(t *testing.T) string { return pgtest.Database(t) },
}

func killAgainAndAgain(t *testing.T, database string) {
	const kills, producers, perEndpoint = 8, 4, 16
	rc := harness.NewReceiver(t, nil)
	flags := append([]string{
		"--listen", harness.FreePort(t), "--database-url", database, "--no-host", "--secret-key-file", filepath.Join(t.TempDir(), "key"),
	}, loopbackWebhooks...)
	s := harness.Serve(t, flags...)
	subscribe(s, rc, "")
	var book ledger
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() { produce(s, &book, stop) })
	}
	for range kills {
		before := len(book.all())
		waitFor(t, func() bool { return len(book.all()) >= before+60 })
		s.Kill()
		s = harness.Serve(t, flags...)
	}
	close(stop)
	wg.Wait()
	promised := book.all()
	awaitAll(t, rc, promised)
	repeated := 0
	for _, n := range rc.Counts() {
		repeated += n - 1
	}
	if most := kills * 2 * perEndpoint; repeated > most {
		t.Errorf("%d deliveries were repeated; at most %d can be in flight at %d kills", repeated, most, kills)
	}
	t.Logf("%d events acknowledged, %d distinct received, %d repeated, %d kills", len(promised), len(rc.Counts()), repeated, kills)
}

// produce publishes one event after the other, and repeats each until it is acknowledged.
func produce(s *harness.Server, book *ledger, stop <-chan struct{}) {
	for {
		id := uuid.Must(uuid.NewV7()).String()
		body := fmt.Sprintf(`{"type":"JobQueued","event_id":%q,"job_id":%q,"job_type":"Embedding"}`, id, uuid.NewString())
		for {
			if status, _ := s.TryDo("POST", "/api/v1/worker-events", body); status == 202 {
				book.add(id)
				break
			}
			select {
			case <-stop:
				return // it was not acknowledged: nothing was promised
			case <-time.After(5 * time.Millisecond):
			}
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

// waitFor polls for something that nothing announces.
func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(harness.Patience); !f(); {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		time.Sleep(5 * time.Millisecond) // there is no event to wait for: the other side is another process
	}
}
