package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/matric/matric-events/docs"
	"github.com/matric/matric-events/tests/harness"
)

// node returns a command that runs a script of this folder or of its packages, in the tree's top folder. Without Node.js or
// the packages the test is skipped, or fails where everything must be there.
func node(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	program := harness.Need(t, "node")
	if _, err := os.Stat("node_modules/@redocly/cli"); errors.Is(err, os.ErrNotExist) {
		harness.Missing(t, "the npm packages are not installed: make test does that")
	}
	path, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, append([]string{path}, args...)...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true") // nothing leaves the machine
	return cmd
}

// output runs a command and reads the JSON that it prints.
func output(t *testing.T, cmd *exec.Cmd, into any) {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if _, exit := errors.AsType[*exec.ExitError](err); err != nil && !exit { // findings make a linter exit with 1
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%v in %s\n%s", err, out, errs.String())
	}
}

// TestOpenAPILint wants redocly's recommended rules to find nothing. What .redocly.lint-ignore.yaml leaves out has its reason
// there.
func TestOpenAPILint(t *testing.T) {
	var got struct {
		Totals   struct{ Errors, Warnings, Ignored int }
		Problems []struct {
			RuleID, Message string
			Location        []struct{ Pointer string }
		}
	}
	output(t, node(t, "node_modules/@redocly/cli/bin/cli.js", "lint", "docs/openapi.yaml", "--format=json"), &got)
	for _, p := range got.Problems {
		t.Errorf("%s: %s %v", p.RuleID, p.Message, p.Location)
	}
	if got.Totals.Errors+got.Totals.Warnings != 0 || got.Totals.Ignored != 1 {
		t.Errorf("totals %+v; want nothing but one that is ignored", got.Totals)
	}
}

// TestAsyncAPILint wants the parser to say nothing but that 3.0 is not the newest version.
func TestAsyncAPILint(t *testing.T) {
	var got struct {
		Parsed  bool
		Version string
		Said    []struct {
			Code, Message, Path string
			Line                int
		}
	}
	cmd := node(t, "asyncapi.mjs")
	cmd.Stdin = bytes.NewReader(docs.AsyncAPI)
	output(t, cmd, &got)
	for _, d := range got.Said {
		if d.Code != "asyncapi-latest-version" { // 3.0 is what other tools read
			t.Errorf("line %d: %s: %s (%s)", d.Line, d.Code, d.Message, d.Path)
		}
	}
	if !got.Parsed || got.Version != "3.0.0" {
		t.Errorf("parsed %v as version %q", got.Parsed, got.Version)
	}
}
