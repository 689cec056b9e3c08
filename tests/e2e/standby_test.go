package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
)

// TestStandbyTakesOver kills the first of two servers with SIGKILL while notes are written. The second one must be ready
// within two seconds, know every note that was acknowledged, and bring every event of them to a webhook and to a stream.
func TestStandbyTakesOver(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		const takeover = 2 * time.Second
		flags := append([]string{"--webhook-allow-http", "--webhook-allow-cidr", "127.0.0.0/8", "--webhook-retry-initial", "100ms"}, database...)
		first := harness.Serve(t, flags...)
		second := harness.Standby(t, flags...)
		waits(t, second)
		rc := harness.NewReceiver(t, nil)
		first.Call(201, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"url":%q,"events":["note","job"]}`, rc.URL))
		acknowledged := map[string]bool{}
		for i := range 60 {
			acknowledged[first.Call(201, "POST", "/api/v1/notes", fmt.Sprintf(`{"title":"%d","content":"See [[x]]."}`, i))["id"].(string)] = true
		}
		first.Kill() // jobs run and deliveries are under way
		killed := time.Now()
		second.AwaitReady()
		if status, body := second.Do("GET", "/readyz", ""); status != 200 {
			t.Errorf("readyz after the takeover = %d %s", status, body)
		}
		if d := time.Since(killed); d > takeover {
			t.Errorf("the takeover took %s; want %s at most", d, takeover)
		} else {
			t.Logf("ready %s after the kill", d)
		}
		stream := second.Events("?types=note", "")
		last := second.Call(201, "POST", "/api/v1/notes", `{"title":"last"}`)["id"]
		stream.Until(func(e harness.Event) bool { return e.Data["note_id"] == last })
		for id := range acknowledged {
			if status, body := second.Do("GET", "/api/v1/notes/"+id, ""); status != 200 {
				t.Errorf("note %s = %d %s", id, status, body)
			}
		}
		rc.Await(t, "every note's creation, and the end of every job", func(got []harness.Delivery) bool {
			created, ended := map[string]bool{}, map[string]bool{}
			for _, d := range got {
				note := field(d.Body, "note_id")
				created[note] = created[note] || field(d.Body, "operation") == "created"
				ended[note] = ended[note] || field(d.Body, "type") == "JobCompleted"
			}
			for id := range acknowledged {
				if !created[id] || !ended[id] {
					return false
				}
			}
			return true
		})
	})
}

// waits checks what a server that stands by answers.
func waits(t *testing.T, s *harness.Server) {
	t.Helper()
	if status, body := s.Do("GET", "/livez", ""); status != 200 {
		t.Errorf("livez = %d %s", status, body)
	}
	if status, body := s.Do("GET", "/readyz", ""); status != 503 || !strings.Contains(string(body), `"status":"standby"`) {
		t.Errorf("readyz = %d %s", status, body)
	}
	resp, err := http.Get(s.URL + "/api/v1/notes")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("another path = %d %v", resp.StatusCode, resp.Header)
	}
}

// TestStandbyEnds: a server that stands by can be told to end, and leaves the first one alone. Its connections do not outlive
// the takeover.
func TestStandbyEnds(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		first := harness.Serve(t, database...)
		if code := harness.Standby(t, database...).Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		first.Call(200, "GET", "/readyz", "")
		second := harness.Standby(t, database...)
		conn, err := net.Dial("tcp", strings.TrimPrefix(second.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if code := first.Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		second.AwaitReady()
		second.Call(200, "GET", "/readyz", "")
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a connection of the standby server still talks")
		}
	})
}

// Without --standby a second server says who has the database.
func TestSecondServerIsTurnedAway(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		first := harness.Serve(t, database...)
		_, stderr, code := harness.Run(t, append([]string{"serve", "--listen", "127.0.0.1:0"}, database...)...)
		if who := fmt.Sprintf("process %d", first.PID()); code == 0 || !strings.Contains(stderr, "another server is using the database") || !strings.Contains(stderr, who) {
			t.Errorf("exit code %d, %s; want %q", code, stderr, who)
		}
	})
}

// TestServersStartAtOnce starts servers at the same moment on an empty database. One serves, the others stand by, and each
// takes over in turn.
func TestServersStartAtOnce(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		first, others := harness.Race(t, 4, database...)
		note := first.Call(201, "POST", "/api/v1/notes", `{"title":"one"}`)["id"].(string)
		for len(others) > 0 {
			first.Kill()
			first, others = harness.Next(t, others)
			first.Call(200, "GET", "/api/v1/notes/"+note, "")
		}
	})
}

// TestMigrateCommand brings a database up and down.
func TestMigrateCommand(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		migrate := func(action, want string) {
			t.Helper()
			stdout, stderr, code := harness.Run(t, append([]string{"migrate", action}, database...)...)
			if code != 0 || !strings.Contains(stdout, want) {
				t.Errorf("migrate %s = %d %s%s; want %q", action, code, stdout, stderr, want)
			}
		}
		migrate("status", "no")
		migrate("up", "applied 1 00001_")
		migrate("up", "nothing to do")
		migrate("down", "took back ")
		migrate("status", "no")
		migrate("up", "applied ")
		s := harness.Serve(t, database...)
		s.Call(201, "POST", "/api/v1/notes", `{"title":"one","content":"two"}`)
		_, stderr, code := harness.Run(t, append([]string{"migrate", "down"}, database...)...)
		if code == 0 || !strings.Contains(stderr, "another server is using the database") {
			t.Errorf("migrate down below a server = %d %s", code, stderr)
		}
		s.Stop()
		migrate("down", "took back ")
		harness.Serve(t, database...).Call(201, "POST", "/api/v1/notes", `{"title":"one","content":"two"}`)
	})
}
