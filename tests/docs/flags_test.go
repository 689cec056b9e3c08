package docs_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/matric/matric-events/tests/harness"
)

var (
	flagInText = regexp.MustCompile("`(?:matric-events )?(?:[a-z]+ )*(--[a-z][a-z-]+)")
	flagInHelp = regexp.MustCompile(`(?m)^ +(?:-\w, +)?(--[a-z][a-z-]+)`)
	variable   = regexp.MustCompile(`\bMATRIC_[A-Z_]*[A-Z]\b`)
)

// TestFlagsExist wants the flags and variables that documents name to be the program's. tests/load has a program of its own.
func TestFlagsExist(t *testing.T) {
	help := ""
	for _, command := range []string{
		"serve", "tail", "top", "emit", "mcp", "webhook listen", "webhook verify", "config", "migrate", "version",
		"capture plan", "capture attach", "capture status", "capture detach",
	} {
		out, err := exec.CommandContext(t.Context(), harness.Binary(t), append(strings.Fields(command), "--help")...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s --help: %v\n%s", command, err, out)
		}
		help += string(out)
	}
	exists := map[string]bool{"--help": true, "--header": true} // the second is that of somebody else's program
	for _, m := range flagInHelp.FindAllStringSubmatch(help, -1) {
		exists[m[1]] = true
	}
	for _, name := range variable.FindAllString(help, -1) {
		exists[name] = true
	}
	named := 0
	walk(t, ".md", func(file, text string) {
		if strings.HasPrefix(file, "tests/load") {
			return
		}
		for _, m := range flagInText.FindAllStringSubmatch(text, -1) {
			if named++; !exists[m[1]] {
				t.Errorf("%s names the flag %s, which is none", file, m[1])
			}
		}
		for _, name := range variable.FindAllString(text, -1) {
			if named++; !exists[name] {
				t.Errorf("%s names the variable %s, which is none", file, name)
			}
		}
	})
	if named < 50 {
		t.Errorf("only %d names found", named)
	}
}
