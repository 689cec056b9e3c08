package fault_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"github.com/matric/matric-events/tests/harness"
)

// TestMisbehavingReceivers has one event delivered to receivers that misbehave in every way, and to a healthy one, which
// must not notice.
func TestMisbehavingReceivers(t *testing.T) {
	elsewhere := harness.NewReceiver(t, nil)
	for _, tc := range []struct {
		name     string
		answer   harness.Answer
		status   string // of the delivery in the end
		class    string
		attempts int
	}{
		{"hangs", harness.Hang, "dead", "timeout", 4},
		{"drips a byte a second", harness.Drip, "dead", "timeout", 4},
		{"resets", harness.Reset, "dead", "reset", 4},
		{"redirects", harness.Redirect(elsewhere.URL), "dead", "redirect", 4},
		{"answers 500", harness.Status(500), "dead", "bad_status", 4},
		{"is gone", harness.Status(410), "dead", "bad_status", 1},
		{"sends a gzip bomb", harness.GzipBomb, "delivered", "", 1},
		{"recovers", harness.Flaky(2, 503), "delivered", "", 3},
		{"asks for patience", patient, "delivered", "", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := harness.Serve(t, append([]string{"--no-host"}, loopbackWebhooks...)...)
			bad, good := harness.NewReceiver(t, tc.answer), harness.NewReceiver(t, nil)
			hook := subscribe(s, bad, `"job.queued"`)
			subscribe(s, good, `"job.queued","job.started"`)
			job := uuid.NewString()
			s.Call(202, "POST", "/api/v1/worker-events", fmt.Sprintf(`{"type":"JobQueued","job_id":%q,"job_type":"Embedding"}`, job))
			var last map[string]any
			waitFor(t, func() bool {
				last = newest(t, s, hook)
				return last != nil && last["status"] != "pending" && last["status"] != "in_flight"
			})
			class, _ := last["error_class"].(string)
			if last["status"] != tc.status || class != tc.class || int(last["attempt_count"].(float64)) != tc.attempts {
				t.Errorf("delivery = %v; want %s, class %q, %d attempts", last, tc.status, tc.class, tc.attempts)
			}
			if n := len(bad.Got()); n != tc.attempts {
				t.Errorf("%d attempts arrived; want %d", n, tc.attempts)
			}
			// The healthy one has the first event and gets the next.
			s.Call(202, "POST", "/api/v1/worker-events", fmt.Sprintf(`{"type":"JobStarted","job_id":%q}`, job))
			good.Await(t, "two events", func(got []harness.Delivery) bool { return len(got) == 2 })
		})
	}
	t.Cleanup(func() {
		if n := len(elsewhere.Got()); n != 0 {
			t.Errorf("a redirect was followed %d times", n)
		}
	})
}

func patient(w http.ResponseWriter, _ *http.Request, nth int) {
	if nth == 0 {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

// newest returns the newest delivery of a webhook, nil before there is one.
func newest(t *testing.T, s *harness.Server, hook string) map[string]any {
	t.Helper()
	list := s.List("/api/v1/webhooks/" + hook + "/deliveries")
	if len(list) == 0 {
		return nil
	}
	return list[0]
}
