package harness

import (
	"os"
	"os/exec"
	"testing"
)

// Missing skips a test that needs what is not there, and says so; where CI is true everything must be there, and it fails.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("CI is set, and " + what)
	}
	t.Skip("SKIPPED: " + what)
}

// Need returns the path of the first of some programs that is installed. Without any the test is skipped as by Missing.
func Need(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	Missing(t, names[0]+" is not installed")
	return ""
}
