package tokens

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every token of a file that is accepted is its name's own and nothing else is a token; what is wrong with a file is told by its
// line, without a token.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		"s3cret-a ann\ns3cret-b bob\n", "\ufeff# who\r\ns3cret-a ann\r\n", "a b c", "lonely", "a b\na c", "# nothing", "\x00 \x00", "a\u00a0b", "a\rb", " \ufeffa b", "\xff \xff\n", strings.Repeat("a", 1<<16) + " b",
	} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "tokens")
	f.Fuzz(func(t *testing.T, text string) {
		const secret = "hunter2hunter2"
		for _, text := range []string{text, secret + text, text + secret, text + "\n" + secret + " ann"} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			set, err := Open(path)
			if err != nil {
				if strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), path) {
					t.Fatalf("%q: %v", text, err)
				}
				continue
			}
			want := map[string]string{}
			for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
				if words := strings.Fields(strings.TrimPrefix(line, "\ufeff")); len(words) == 2 && words[0][0] != '#' {
					want[words[0]] = words[1]
				}
			}
			for token, name := range want {
				if user, err := set.Authenticate(t.Context(), token); err != nil || user != name {
					t.Fatalf("%q: %q is %q, %v; want %q", text, token, user, err, name)
				}
			}
			for _, other := range append(strings.Fields(text), "", text) {
				if user, err := set.Authenticate(t.Context(), other); err == nil && user != want[other] {
					t.Fatalf("%q: %q passes as %q", text, other, user)
				}
			}
			if len(set.entries) != len(want) || len(want) == 0 {
				t.Fatalf("%q: %d tokens, want %d", text, len(set.entries), len(want))
			}
		}
	})
}
