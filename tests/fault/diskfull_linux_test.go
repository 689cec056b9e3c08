package fault_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/matric/matric-events/tests/harness"
)

// TestDiskFull fills the disk below SQLite. What cannot be stored is not acknowledged, the server stays up, and goes on
// once there is room again; what was acknowledged arrives.
func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("SKIPPED: no small disk to fill, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	rc := harness.NewReceiver(t, nil)
	s := harness.Serve(t, append([]string{"--no-host", "--database-url", "sqlite:" + filepath.Join(disk, "hub.db")}, loopbackWebhooks...)...)
	subscribe(s, rc, `"job.queued"`)
	var promised []string
	publish := func() bool {
		id := uuid.NewString()
		body := fmt.Sprintf(`{"type":"JobQueued","event_id":%q,"job_id":%q,"job_type":"T%s"}`, id, uuid.NewString(), strings.Repeat("x", 90))
		ok := within(t, time.Second, func() bool {
			status, _ := s.TryDo("POST", "/api/v1/worker-events", body)
			return status == 202
		})
		if ok {
			promised = append(promised, id)
		}
		return ok
	}
	for publish() {
		if len(promised) > 50_000 {
			t.Fatal("the disk does not fill up")
		}
	}
	full := len(promised)
	if status, body := s.Do("GET", "/livez", ""); status != 200 {
		t.Fatalf("livez with a full disk = %d %s", status, body)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	waitFor(t, publish)
	awaitAll(t, rc, promised)
	t.Logf("%d events acknowledged before the disk was full, %d in all", full, len(promised))
}

// within reports whether f returns true in time; a request that hangs is given up.
func within(t *testing.T, d time.Duration, f func() bool) bool {
	t.Helper()
	done := make(chan bool, 1)
	go func() { done <- f() }()
	select {
	case ok := <-done:
		return ok
	case <-time.After(d):
		return false
	}
}
