package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is what cargo says to the examples' tests and to their build, which the first test does for all.
var built = sync.OnceValues(func() (output string, err error) {
	for _, args := range [][]string{{"test", "--offline", "--quiet"}, {"build", "--offline", "--quiet"}} {
		target, err := filepath.Abs("../../.cache/rust") // outside of docs, which is only text
		if err != nil {
			return "", err
		}
		cmd := exec.Command("cargo", args...)
		cmd.Dir = "../../docs/examples/rust"
		cmd.Env = append(os.Environ(), "CARGO_TARGET_DIR="+target, "RUSTFLAGS=-D warnings")
		if out, err := cmd.CombinedOutput(); err != nil {
			return string(out), err
		}
	}
	return "", nil
})

// rust returns the folder of the Rust examples' programs, once their own tests have passed and they are built. A machine without
// Rust is no broken one, also where CI is true: nothing that the hub is made of needs it.
func rust(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"rustc", "cargo"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("SKIPPED: " + tool + " is not installed")
		}
	}
	if out, err := built(); err != nil {
		t.Fatalf("cargo: %v\n%s", err, out)
	}
	return "../../.cache/rust/debug"
}
