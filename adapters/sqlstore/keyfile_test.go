package sqlstore_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain/webhook"
)

func TestKeyIsMadeOnFirstStart(t *testing.T) {
	onEvery(t, func(t *testing.T, url, key string) {
		db, err := sqlstore.Open(t.Context(), url, &sqlstore.Options{SecretKeyFile: key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(key); !os.IsNotExist(err) {
			t.Errorf("a database without a schema has a key: %v", err)
		}
		if _, err := db.Webhooks().Webhooks(t.Context()); err == nil || !strings.Contains(err.Error(), "migrate first") {
			t.Errorf("Webhooks without a schema = %v", err)
		}
		if _, err := db.MigrateUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := readFile(t, key)
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(string(first), "\n")); err != nil || len(raw) != 32 {
			t.Errorf("the key file holds %d bytes in base64, %v; want 32", len(raw), err)
		}
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v; want it private", info.Mode(), err)
		}
		closeDB(t, db)
		closeDB(t, openURL(t, url, key))
		if !bytes.Equal(first, readFile(t, key)) {
			t.Error("the second start has made another key")
		}
		if files, err := filepath.Glob(key + "*"); err != nil || len(files) != 1 {
			t.Errorf("left behind: %v, %v", files, err)
		}
	})
}

func TestKeyMustFit(t *testing.T) {
	onEvery(t, func(t *testing.T, url, key string) {
		db := openURL(t, url, key)
		good := readFile(t, key)
		closeDB(t, db)
		for _, c := range []struct{ why, want, content string }{
			{"another key", "does not fit this database", base64.StdEncoding.EncodeToString(make([]byte, 32))},
			{"a short key", "holds no key", base64.StdEncoding.EncodeToString(make([]byte, 31))},
			{"no base64", "holds no key", "not a key at all"},
			{"nothing", "holds no key", ""},
		} {
			writeFile(t, key, []byte(c.content))
			keyRefused(t, c.why, c.want, url, key)
			if string(readFile(t, key)) != c.content {
				t.Errorf("%s: the file was changed", c.why)
			}
		}
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		keyRefused(t, "no file", "is missing", url, key)
		if _, err := os.Stat(key); !os.IsNotExist(err) {
			t.Errorf("another key was made: %v", err)
		}
		writeFile(t, key, append(good, " \n\n"...)) // as editors do
		openURL(t, url, key)
	})
}

func keyRefused(t *testing.T, why, want, url, key string) {
	t.Helper()
	_, err := sqlstore.Open(t.Context(), url, &sqlstore.Options{SecretKeyFile: key})
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: Open = %v; want one line with %q and the file", why, err, want)
	}
}

func TestKeyThatWasThereBefore(t *testing.T) {
	onEvery(t, func(t *testing.T, url, key string) {
		content := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
		writeFile(t, key, []byte(content))
		db := openURL(t, url, key)
		if got := string(readFile(t, key)); got != content {
			t.Errorf("the file is now %q", got)
		}
		// A schema that goes and comes again is bound to the same key.
		for range 2 {
			if all, err := db.MigrationStatus(t.Context()); err != nil || len(all) == 0 {
				t.Fatal(err)
			}
			if _, err := db.MigrateDown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := db.MigrateUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			if all, err := db.Webhooks().Webhooks(t.Context()); err != nil || len(all) != 0 {
				t.Errorf("Webhooks = %v, %v", all, err)
			}
		}
	})
}

func TestKeyCannotBeMade(t *testing.T) {
	onEvery(t, func(t *testing.T, url, key string) {
		db, err := sqlstore.Open(t.Context(), url, &sqlstore.Options{SecretKeyFile: filepath.Join(t.TempDir(), "no", "such", "folder")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeDB(t, db) })
		if _, err := db.MigrateUp(t.Context()); err == nil || !strings.Contains(err.Error(), "make the secret key") {
			t.Errorf("MigrateUp = %v", err)
		}
	})
}

func TestDefaultKeyFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	onEvery(t, func(t *testing.T, url, _ string) {
		want := filepath.Join(wd, "matric-events.key")
		if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
			want = path + ".key"
		}
		db, err := sqlstore.Open(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeDB(t, db) })
		if _, err := db.MigrateUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		readFile(t, want)
	})
}

// What is sealed for one webhook must not be opened for another, lest who can write to the database have a secret sent to
// where they can read it.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	onEvery(t, func(t *testing.T, url, key string) {
		for why, update := range map[string]string{
			"keys of another":      `UPDATE webhook SET keys = (SELECT o.keys FROM webhook AS o WHERE o.id <> webhook.id)`,
			"headers of another":   `UPDATE webhook SET headers = (SELECT o.headers FROM webhook AS o WHERE o.id <> webhook.id)`,
			"another column's":     `UPDATE webhook SET headers = keys`,
			"an impossible URL":    `UPDATE webhook SET url = 'ftp://receiver.example/'`,
			"too many retries":     `UPDATE webhook SET max_retries = 1000`,
			"no types but unknown": `UPDATE webhook SET events = '["Nonsense"]'`,
		} {
			db := openURL(t, url, key)
			for n := range 2 {
				saveHook(t, db, noteID(n))
			}
			mustExec(t, db, update)
			if _, err := db.Webhooks().Webhooks(t.Context()); err == nil || !strings.Contains(err.Error(), "row of webhook") {
				t.Errorf("%s: Webhooks = %v; want it refused", why, err)
			}
			mustExec(t, db, `DELETE FROM webhook`)
			closeDB(t, db)
		}
	})
}

// saveHook stores a webhook that is sent everything.
func saveHook(t testing.TB, db *sqlstore.DB, id [16]byte) {
	t.Helper()
	create, err := webhook.DecodeCreate([]byte(`{"url":"https://receiver.example/","headers":{"X-Key":"value"}}`), webhook.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := create.Webhook(id, make([]byte, 24), birth)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Webhooks().Change(t.Context(), id, func(*webhook.Webhook) (*webhook.Webhook, error) { return &w, nil }); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
