package fault_test

import (
	"database/sql"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to lock the database from outside

	"github.com/matric/matric-events/tests/harness"
)

// tellsWithin is how long a hub may take to say that a part of it hangs, or that it works again.
const tellsWithin = 10 * time.Second

// The database is locked by somebody else. The hub says that the store fails, to whoever asks, in its log and in its
// metrics, within ten seconds, lives on meanwhile, and says when it is well again.
func TestHubSaysWhichPartHangs(t *testing.T) {
	t.Parallel() // it mostly waits
	path := filepath.Join(t.TempDir(), "hub.db")
	s := harness.Serve(t, "--database-url", "sqlite:"+path)
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s.Call(200, "GET", "/readyz", "")
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "readyz to name the store", func() bool {
		status, body := s.Do("GET", "/readyz", "")
		var said struct{ Failed string }
		return status == 503 && json.Unmarshal(body, &said) == nil && said.Failed == "store"
	})
	await(t, "a line that says so", func() bool { return strings.Contains(s.Stderr(), `"part":"store"`) })
	await(t, "a metric that says so", func() bool {
		_, body := s.Do("GET", "/metrics", "")
		return strings.Contains(string(body), `matric_healthy{part="store"} 0`)
	})
	s.Call(200, "GET", "/livez", "")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	await(t, "readiness", func() bool { status, _ := s.Do("GET", "/readyz", ""); return status == 200 })
	await(t, "a line that says so", func() bool { return strings.Contains(s.Stderr(), `"message":"healthy again"`) })
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(tellsWithin); !f(); {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within %v", what, tellsWithin)
		}
		time.Sleep(50 * time.Millisecond) // nobody announces it
	}
}
