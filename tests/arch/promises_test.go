package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// guard is a test named in the table of promises: `folder.TestName` or `folder.TestName/part of a case's name`. Suites of
// tests/contract, which all adapters of a port run, have no Test before their names.
var guard = regexp.MustCompile(`^([a-z0-9/-]+)\.([A-Z][A-Za-z0-9_]*)(?:/(.+))?$`)

// TestPromisesHaveTheirTests: a promise whose test has gone is not kept by anybody.
func TestPromisesHaveTheirTests(t *testing.T) {
	table, err := os.ReadFile("../../docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	promises := 0
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| promise ") {
			continue
		}
		if len(cells) != 3 {
			t.Errorf("a row has three cells: %s", line)
			continue
		}
		promises++
		for _, folder := range quoted(cells[1]) {
			if files, _ := filepath.Glob("../../" + folder + "/*"); len(files) == 0 {
				t.Errorf("there is no %s: %s", folder, line)
			}
		}
		guards := quoted(cells[2])
		if len(guards) == 0 {
			t.Errorf("nothing guards: %s", line)
		}
		for _, name := range guards {
			if problem := missing(name); problem != "" {
				t.Errorf("%s: %s", name, problem)
			}
		}
	}
	if promises < 100 {
		t.Errorf("%d promises were found", promises)
	}
}

// quoted returns what stands between backquotes.
func quoted(cell string) (names []string) {
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			names = append(names, part)
		}
	}
	return names
}

// missing says what is missing of a test, if anything is.
func missing(name string) string {
	m := guard.FindStringSubmatch(name)
	if m == nil {
		return "is not written as folder.TestName"
	}
	source := tests(m[1])
	switch {
	case !strings.Contains(source, "\nfunc "+m[2]+"("):
		return "there is no such test"
	case !strings.Contains(source, m[3]):
		return "has no such case"
	}
	return ""
}

var read = map[string]string{}

// tests returns the text of all tests in a folder, and the paths of the files that hold their cases.
func tests(folder string) string {
	if _, done := read[folder]; !done {
		pattern := "/*_test.go"
		if folder == "tests/contract" {
			pattern = "/*.go"
		}
		var text strings.Builder
		files, _ := filepath.Glob("../../" + folder + pattern)
		for _, file := range files {
			source, _ := os.ReadFile(file) // what cannot be read has no test
			text.Write(source)
		}
		cases, _ := filepath.Glob("../../" + folder + "/testdata/*/*")
		text.WriteString(strings.Join(cases, "\n"))
		read[folder] = text.String()
	}
	return read[folder]
}
