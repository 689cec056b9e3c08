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
	files, err := filepath.Glob("../../adapters/httpapi/*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
		if err != nil {
			t.Fatal(err)
		}
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
