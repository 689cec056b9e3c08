// Package arch_test states which package may import which, and checks it by parsing every file. It parses in process and
// runs no go list, so that the test cache knows the files that it read and a stale pass cannot happen.
package arch_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/matric/matric-events"

// A rule says what the packages at or below a folder may import besides the standard library and their own subtree. The
// longest matching folder wins. Lists are separated by spaces; an entry stands for itself and all below it.
type rule struct {
	own  string // folders of this module
	ext  string // other modules
	deny string // of the standard library
}

var rules = map[string]rule{
	"domain":         {deny: "context crypto/rand database/sql log math/rand net os sync syscall testing"},
	"domain/retry":   {own: "domain", ext: "github.com/cenkalti/backoff/v4", deny: "context crypto/rand database/sql log math/rand os sync syscall testing"},
	"domain/signing": {deny: "context crypto/rand database/sql log math/rand net os sync syscall testing"},
	// net/url and net/netip only parse; nothing here dials.
	"domain/webhook": {own: "domain", deny: "context crypto/rand database/sql log math/rand net/http os sync syscall testing"},

	"ports": {own: "domain", deny: "database/sql log net os sync testing"},
	"app":   {own: "domain ports app", ext: "golang.org/x/time/rate github.com/cenkalti/backoff/v4", deny: "database/sql log net os testing"},

	"adapters":              {own: "domain ports", deny: "testing"},
	"adapters/internal/web": {own: "domain", deny: "testing"},
	"adapters/capture":      {own: "domain ports", ext: "github.com/lib/pq go.yaml.in/yaml/v4", deny: "net os testing"},
	"adapters/client":       {own: "domain ports", ext: "github.com/cenkalti/backoff/v4 github.com/google/uuid", deny: "database/sql testing"},
	"adapters/httpapi":      {own: "domain ports app docs adapters/internal", ext: "github.com/julienschmidt/httprouter", deny: "database/sql testing"},
	"adapters/jobs":         {own: "domain ports", ext: "github.com/riverqueue/river", deny: "net testing"},
	"adapters/mcp":          {own: "domain ports app adapters/internal", ext: "github.com/modelcontextprotocol/go-sdk github.com/cenkalti/backoff/v4", deny: "database/sql testing"},
	"adapters/memory":       {own: "domain ports", deny: "database/sql net os testing"},
	"adapters/otlp":         {own: "domain ports", deny: "database/sql testing"},
	"adapters/sqlstore":     {own: "domain ports migrations", ext: "github.com/jmoiron/sqlx github.com/lib/pq github.com/pressly/goose/v3 golang.org/x/text/unicode/norm modernc.org/sqlite", deny: "net/http testing"},
	"adapters/stream":       {own: "domain ports app adapters/internal", ext: "github.com/gobwas/ws github.com/gobwas/httphead golang.org/x/sys/unix", deny: "database/sql testing"},
	"adapters/telemetry":    {own: "domain ports app", ext: "github.com/prometheus/client_golang github.com/rs/zerolog", deny: "database/sql testing"},
	"adapters/tokens":       {own: "domain ports", deny: "database/sql net testing"},
	"adapters/webhook":      {own: "domain ports", ext: "code.dny.dev/ssrf", deny: "database/sql testing"},

	"migrations": {deny: "testing"},
	"docs":       {deny: "testing"},
	// as another module's application would: the SDK and its vocabulary
	"docs/examples": {own: "domain ports adapters/client", deny: "net/http/httptest testing"},
	"cmd": {
		own:  "domain ports app adapters migrations",
		ext:  "github.com/alecthomas/kong github.com/google/uuid github.com/rs/zerolog golang.org/x/sync/errgroup github.com/prometheus/common github.com/prometheus/client_model",
		deny: "testing",
	},
	"tests": {own: "domain ports app adapters migrations docs cmd tests", ext: "*"},
}

// inTests lists what _test.go files may import on top of their package's rule. Any may use the test libraries.
var inTests = map[string]string{
	"domain":             "",
	"app":                "adapters/memory tests/contract",
	"adapters":           "adapters/memory app tests/contract tests/pgtest",
	"adapters/capture":   "adapters/memory adapters/sqlstore app tests/contract tests/pgtest",
	"adapters/client":    "adapters/httpapi app tests/contract",
	"adapters/jobs":      "adapters/memory adapters/sqlstore app tests/contract tests/pgtest",
	"adapters/httpapi":   "adapters/memory adapters/tokens tests/contract",
	"adapters/mcp":       "adapters/httpapi adapters/memory adapters/tokens",
	"adapters/telemetry": "adapters/memory tests/contract",
	"cmd":                "tests",
	"docs/examples":      "docs/examples tests",
}

// fewWords are too few for a package comment that somebody can work by.
const fewWords = 20

// TestImports also wants a comment on each package.
func TestImports(t *testing.T) {
	documented := map[string]int{} // words
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (slices.Contains([]string{"testdata", "node_modules"}, d.Name()) || len(d.Name()) > 1 && d.Name()[0] == '.') {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(file) != ".go" {
			return nil
		}
		src, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir, isTest := path.Dir(file), strings.HasSuffix(file, "_test.go")
		if !isTest || strings.HasPrefix(dir, "tests/") {
			documented[dir] += len(strings.Fields(f.Doc.Text()))
		}
		r, ok := longest(rules, dir)
		if !ok {
			t.Errorf("%s: no rule covers this folder", file)
		}
		if isTest {
			more, _ := longest(inTests, dir)
			r = rule{own: r.own + " " + more, ext: "*"}
		}
		for _, spec := range f.Imports {
			if imp := strings.Trim(spec.Path.Value, `"`); !r.allows(dir, imp) {
				t.Errorf("%s may not import %s", file, imp)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, words := range documented {
		if words < fewWords && !strings.HasPrefix(dir, "tests/load/peers/") {
			t.Errorf("%s: a package comment of %d words does not say what the package is, promises and never does", dir, words)
		}
	}
}

// TestTopLevel holds the top of the tree to the agreed layout.
func TestTopLevel(t *testing.T) {
	agreed := strings.Fields("domain ports adapters app cmd migrations tests docs go.mod go.sum Makefile README.md CHANGELOG.md CONTRIBUTING.md LICENSE")
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); name[0] != '.' && !slices.Contains(agreed, name) && !strings.Contains(name, ".db") {
			t.Errorf("%s does not belong at the top level", name)
		}
	}
}

func (r rule) allows(dir, imp string) bool {
	if local, ok := strings.CutPrefix(imp, module+"/"); ok {
		return under(local, dir) || listed(local, r.own)
	}
	if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") {
		return r.ext == "*" || listed(imp, r.ext)
	}
	return !listed(imp, r.deny)
}

func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

func listed(p, dirs string) bool {
	for d := range strings.FieldsSeq(dirs) {
		if under(p, d) {
			return true
		}
	}
	return false
}

func longest[V rule | string](m map[string]V, dir string) (v V, ok bool) {
	for ; dir != "."; dir = path.Dir(dir) {
		if v, ok = m[dir]; ok {
			return v, true
		}
	}
	return v, false
}
