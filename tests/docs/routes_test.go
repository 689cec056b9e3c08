package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRoutesAreDescribed compares the router's routes, as its source registers them, with the document's operations.
func TestRoutesAreDescribed(t *testing.T) {
	var described []string
	for o := range newChecker(t).operations() {
		described = append(described, o.method+" "+o.path)
	}
	slices.Sort(described)
	if diff := cmp.Diff(routes(t), described); diff != "" {
		t.Errorf("-router +document:\n%s", diff)
	}
}

// routes returns what httpapi registers with its methods open, get and on, without HEAD. A registration that it cannot
// read, or that goes past these, fails the test.
func routes(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	for _, parsed := range sources(t, "../../adapters/httpapi/*.go") {
		paths := constants(parsed)
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || slices.Contains([]string{"open", "get", "on"}, f.Name.Name) {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if route := registration(t, call, paths); route != "" {
						found[route] = true
					}
				}
				return true
			})
		}
	}
	if len(found) == 0 {
		t.Fatal("no registration found")
	}
	return slices.Sorted(maps.Keys(found))
}

// TestQueryIsDescribed compares the names that the source looks up in queries with the document's query parameters.
func TestQueryIsDescribed(t *testing.T) {
	described := map[string]bool{"token": true} // of a security scheme
	c := newChecker(t)
	for o := range c.operations() {
		for _, p := range parameters(c.doc.Paths.Value(o.path), o.Operation) {
			if p.In == "query" {
				described[p.Name] = true
			}
		}
	}
	read := map[string]bool{}
	for _, pattern := range []string{"../../adapters/httpapi/*.go", "../../adapters/stream/*.go"} {
		for _, file := range sources(t, pattern) {
			ast.Inspect(file, func(n ast.Node) bool {
				if name := lookUp(n); name != "" {
					read[name] = true
				}
				return true
			})
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(read)), slices.Sorted(maps.Keys(described))); diff != "" {
		t.Errorf("-source +document:\n%s", diff)
	}
}

// lookUp returns the name that an expression looks up in a query: q.Get("name"), q.Has, q["name"], where q may be
// r.URL.Query(), and the functions that take a request or a query and a name.
func lookUp(n ast.Node) string {
	isQuery := func(e ast.Expr) bool {
		if call, ok := e.(*ast.CallExpr); ok {
			sel, ok := call.Fun.(*ast.SelectorExpr)
			return ok && sel.Sel.Name == "Query"
		}
		name, ok := e.(*ast.Ident)
		return ok && name.Name == "q"
	}
	var arg ast.Expr
	switch n := n.(type) {
	case *ast.IndexExpr:
		if isQuery(n.X) {
			arg = n.Index
		}
	case *ast.CallExpr:
		switch f := n.Fun.(type) {
		case *ast.SelectorExpr:
			if isQuery(f.X) && (f.Sel.Name == "Get" || f.Sel.Name == "Has") {
				arg = n.Args[0]
			}
		case *ast.Ident:
			if slices.Contains([]string{"queryID", "queryText", "number"}, f.Name) {
				arg = n.Args[1]
			}
		}
	}
	if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		name, _ := strconv.Unquote(lit.Value)
		return name
	}
	return ""
}

// sources parses files, but for tests.
func sources(t *testing.T, pattern string) (parsed []*ast.File) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file) // which the test cache takes note of
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	return parsed
}

// constants returns the literals that a file's constants of one name stand for.
func constants(file *ast.File) map[string]ast.Expr {
	found := map[string]ast.Expr{}
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && len(v.Names) == 1 && len(v.Values) == 1 {
				found[v.Names[0].Name] = v.Values[0]
			}
		}
	}
	return found
}

// registration returns METHOD /path of a call that registers a route, and the empty string for any other call.
func registration(t *testing.T, call *ast.CallExpr, paths map[string]ast.Expr) string {
	t.Helper()
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if inner, ok := f.X.(*ast.SelectorExpr); ok && inner.Sel.Name == "router" {
		t.Errorf("a.router.%s: register routes with open, get or on, which this test reads", f.Sel.Name)
	}
	if recv, ok := f.X.(*ast.Ident); !ok || recv.Name != "a" {
		return ""
	}
	method, args := "GET", call.Args
	switch f.Sel.Name {
	case "open", "get":
	case "on":
		sel, ok := args[0].(*ast.SelectorExpr)
		if !ok {
			t.Fatal("a method that is not http.MethodX")
		}
		method, args = strings.ToUpper(strings.TrimPrefix(sel.Sel.Name, "Method")), args[1:]
	default:
		return ""
	}
	given := args[0]
	if name, ok := given.(*ast.Ident); ok {
		given = paths[name.Name]
	}
	lit, ok := given.(*ast.BasicLit)
	if !ok {
		t.Fatalf("a.%s with a path that is neither a literal nor a constant of the same file", f.Sel.Name)
	}
	path, err := strconv.Unquote(lit.Value)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name, ok := strings.CutPrefix(p, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return method + " " + strings.Join(parts, "/")
}
