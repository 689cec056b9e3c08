// Package e2e_test drives the real program: scripts in testdata/script for what a user types and reads, and Go tests for
// crashes, takeovers, limits and whole flows, on SQLite and, where it is installed, on PostgreSQL. One of them looks for
// secrets in all that the program prints and stores.
package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/matric/matric-events/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

// TestScripts runs the scripts. Beside testscript's own commands they have serve NAME [FLAG …], which starts a server and
// sets $NAME to its URL, and stop NAME, which ends it with SIGTERM and wants exit code 0.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(harness.Binary(t))+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Values[servers{}] = map[string]*harness.Server{}
			env.Values[root{}] = t
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"serve": serve, "stop": stop},
	})
}

// Keys of a script's values: its servers by name, and the test that starts them.
type (
	servers struct{}
	root    struct{}
)

func serve(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: serve NAME [FLAG ...]")
	}
	s := harness.Serve(ts.Value(root{}).(testing.TB), append([]string{"--database-url", "sqlite:" + ts.MkAbs(args[0]+".db")}, args[1:]...)...)
	ts.Value(servers{}).(map[string]*harness.Server)[args[0]] = s
	ts.Setenv(args[0], s.URL)
	ts.Defer(s.End)
}

func stop(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(servers{}).(map[string]*harness.Server)[args[0]]
	if s == nil {
		ts.Fatalf("no server %s", args[0])
	}
	if code := s.Stop(); code != 0 {
		ts.Fatalf("exit code %d\n%s", code, s.Stderr())
	}
}
