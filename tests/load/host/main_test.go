// Package host_test measures the built-in host of the real program: its notes, its jobs, and the outbox that their events go
// through. go test -run '^$' -bench . -benchtime 1x ./tests/load/host runs it, in about two minutes.
package host_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/pgtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

// stores are what each benchmark runs on: names and how to make an empty database.
var stores = []struct {
	name string
	url  func(b *testing.B) string
}{
	{"sqlite", func(b *testing.B) string { return "sqlite:" + filepath.Join(b.TempDir(), "hub.db") }},
	{"postgres", func(b *testing.B) string { return pgtest.Database(b) }},
}
