package tokens

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matric/matric-events/domain"
)

// open opens a file that holds the text.
func open(t *testing.T, text string) (*Set, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Open(path)
}

func TestOpen(t *testing.T) {
	for _, tc := range []struct {
		why, text string
		want      map[string]string // names by token
	}{
		{"one", "s3cret-a ann\n", map[string]string{"s3cret-a": "ann"}},
		{"no end of the last line", "s3cret-a ann", map[string]string{"s3cret-a": "ann"}},
		{"several", "s3cret-a ann\ns3cret-b bob\n", map[string]string{"s3cret-a": "ann", "s3cret-b": "bob"}},
		{"several of one name", "s3cret-a ann\ns3cret-b ann\n", map[string]string{"s3cret-a": "ann", "s3cret-b": "ann"}},
		{"spaces and tabs", "  s3cret-a \t ann  \n", map[string]string{"s3cret-a": "ann"}},
		{"empty lines and comments", "# who\n\n  # s3cret-c cat\n \t\ns3cret-a ann\n", map[string]string{"s3cret-a": "ann"}},
		{"as Windows writes it", "\ufeffs3cret-a ann\r\ns3cret-b bob\r\n", map[string]string{"s3cret-a": "ann", "s3cret-b": "bob"}},
		{"a comment behind a byte order mark", "\ufeff# who\ns3cret-a ann\n", map[string]string{"s3cret-a": "ann"}},
		{"a number sign in a token", "s3cret-#a ann\n", map[string]string{"s3cret-#a": "ann"}},
	} {
		t.Run(tc.why, func(t *testing.T) {
			set, err := open(t, tc.text)
			if err != nil {
				t.Fatal(err)
			}
			for token, name := range tc.want {
				if got, err := set.Authenticate(t.Context(), token); got != name || err != nil {
					t.Errorf("Authenticate(%q) = %q, %v; want %q", token, got, err, name)
				}
			}
			for _, token := range []string{"", "s3cret", "s3cret-a ", "S3CRET-A", "s3cret-c", "ann", "#", "\ufeffs3cret-a", "s3cret-a ann"} {
				if got, err := set.Authenticate(t.Context(), token); got != "" || !errors.Is(err, domain.ErrUnauthorized) {
					t.Errorf("Authenticate(%q) = %q, %v; want ErrUnauthorized", token, got, err)
				}
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	for _, tc := range []struct{ why, text, want string }{
		{"a token without a name", "s3cret-a ann\n\ns3cret-b\n", "line 3"},
		{"a name of two words", "s3cret-a ann lee\n", "line 1"},
		{"a comment behind an entry", "# who\ns3cret-a ann # the first\n", "line 2"},
		{"a token twice", "s3cret-a ann\n# again\ns3cret-a bob\n", "line 3"},
		{"a token twice with one name", "s3cret-a ann\ns3cret-a ann\n", "line 2"},
		{"a line without end", "s3cret-a ann\n" + strings.Repeat("s3cret-", 20_000) + " bob\n", "line 2"},
		{"nothing", "", "no token"},
		{"comments only", "# s3cret-a ann\n\n", "no token"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			set, err := open(t, tc.text)
			if err == nil || set != nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "tokens: ") {
				t.Fatalf("Open = %v, %v; want an error that says %s", set, err, tc.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells a token: %v", err)
			}
		})
	}
}

func TestOpenWhatIsNoFile(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a folder is no file of tokens")
	}
}

func TestNoFileKnowsNoToken(t *testing.T) {
	set, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"", "x"} {
		if user, err := set.Authenticate(t.Context(), token); user != "" || !errors.Is(err, domain.ErrUnauthorized) {
			t.Errorf("Authenticate(%q) = %q, %v", token, user, err)
		}
	}
}
