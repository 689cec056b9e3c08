package docs_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var tree = os.DirFS("../..")

// walk calls f with each file of the tree that is ours, by its suffix.
func walk(t *testing.T, suffix string, f func(file, text string)) {
	t.Helper()
	err := fs.WalkDir(tree, ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "target" || len(d.Name()) > 1 && d.Name()[0] == '.'):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, suffix):
			return nil
		}
		text, err := fs.ReadFile(tree, file)
		f(file, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
)

// TestLinks wants every link between documents to lead to a file, and to a heading where it names one.
func TestLinks(t *testing.T) {
	anchors, links := map[string][]string{}, 0
	walk(t, ".md", func(file, text string) {
		for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			anchors[file] = append(anchors[file], anchor(h[1]))
		}
	})
	walk(t, ".md", func(file, text string) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			to, at, _ := strings.Cut(m[1], "#")
			target := file
			if to != "" {
				target = path.Join(path.Dir(file), to)
			}
			if _, err := fs.Stat(tree, target); err != nil {
				t.Errorf("%s: %s leads nowhere: %v", file, m[1], err)
			} else if at != "" && !slices.Contains(anchors[target], at) {
				t.Errorf("%s: %s: there is no such heading; there are %v", file, m[1], anchors[target])
			}
		}
	})
	if links < 50 {
		t.Errorf("only %d links found", links)
	}
}

// anchor returns what a heading is linked by where Markdown is shown: in lower case, with hyphens for spaces, and without
// punctuation.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '-':
			return '-'
		case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

var (
	testName = regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Z]\\w*)`")
	function = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)[A-Z]\w*)\(`)
)

// TestDecisions wants each decision to be listed under its own title, to say what it is worth today and what enforces it, and
// wants the tests that documents name to exist.
func TestDecisions(t *testing.T) {
	exists := map[string]bool{}
	walk(t, "_test.go", func(_, text string) {
		for _, m := range function.FindAllStringSubmatch(text, -1) {
			exists[m[1]] = true
		}
	})
	list, err := fs.ReadFile(tree, "docs/adr/README.md")
	if err != nil {
		t.Fatal(err)
	}
	decisions := 0
	walk(t, ".md", func(file, text string) {
		for _, m := range testName.FindAllStringSubmatch(text, -1) {
			if !exists[m[1]] {
				t.Errorf("%s names %s, which is no test", file, m[1])
			}
		}
		if path.Dir(file) != "docs/adr" || path.Base(file) == "README.md" {
			return
		}
		decisions++
		number, _, _ := strings.Cut(path.Base(file), "-")
		first, _, _ := strings.Cut(text, "\n")
		title := strings.TrimPrefix(first, "# "+strings.TrimLeft(number, "0")+". ")
		if line := "| [" + number + "](" + path.Base(file) + ") | " + title + " |"; !strings.Contains(string(list), line) {
			t.Errorf("docs/adr/README.md does not have %s", line)
		}
		for _, part := range []string{"\n**Status** ", "\n**Enforced by** "} {
			if !strings.Contains(text, part) {
				t.Errorf("%s has no %q", file, strings.TrimSpace(part))
			}
		}
	})
	if decisions < 20 {
		t.Errorf("only %d decisions found", decisions)
	}
}
