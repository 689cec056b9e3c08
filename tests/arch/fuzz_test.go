package arch_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// TestFuzzTargets wants inputs kept for every fuzz target, in the place where go test looks for them, and its name in
// tests/README.md; and none of either for what is no target any more.
func TestFuzzTargets(t *testing.T) {
	root := os.DirFS("../..")
	readme, err := fs.ReadFile(root, "tests/README.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := regexp.MustCompile("`(Fuzz\\w+)`").FindAllStringSubmatch(string(readme), -1)
	var targets, places []string
	err = fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || len(d.Name()) > 1 && d.Name()[0] == '.'):
			return fs.SkipDir
		case path.Base(path.Dir(file)) == "fuzz" && path.Base(path.Dir(path.Dir(file))) == "testdata":
			places = append(places, file)
		}
		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(root, file)
		for _, found := range fuzzTarget.FindAllStringSubmatch(string(src), -1) {
			targets = append(targets, found[1])
			place := path.Join(path.Dir(file), "testdata/fuzz", found[1])
			if kept, err := fs.ReadDir(root, place); err != nil || len(kept) == 0 {
				t.Errorf("%s of %s: no inputs in %s", found[1], file, place)
			}
			if !slices.ContainsFunc(listed, func(m []string) bool { return m[1] == found[1] }) {
				t.Errorf("%s of %s is not in tests/README.md", found[1], file)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range listed {
		if !slices.Contains(targets, m[1]) {
			t.Errorf("tests/README.md lists %s, which there is not", m[1])
		}
	}
	for _, place := range places {
		if !slices.Contains(targets, path.Base(place)) {
			t.Errorf("%s is of no target", place)
		}
	}
}
