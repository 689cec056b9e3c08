package sqlstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain"
)

func TestOpenPaths(t *testing.T) {
	for why, name := range map[string]string{
		"plain":                        "plain.db",
		"space and escapes":            "a b%20c%.db",
		"what begins a query":          "what?mode=memory&x=1",
		"what begins a fragment":       "a#b.db",
		"quotes and letters of others": `'"ü;=+é.db`,
		"a colon":                      "a:b.db",
	} {
		for _, prefix := range []string{"sqlite:", "sqlite://"} {
			path := temp(t)
			path = filepath.Join(filepath.Dir(path), name)
			db, err := sqlstore.Open(t.Context(), prefix+path, &sqlstore.Options{Readers: 1})
			if err != nil {
				t.Errorf("%s: %v", why, err)
				continue
			}
			if _, err := db.MigrateUp(t.Context()); err != nil {
				t.Errorf("%s: %v", why, err)
			}
			if err := errors.Join(db.Check(t.Context()), db.Outbox().WriteCanary(t.Context(), noteID(1)), db.Check(t.Context()), db.Close()); err != nil {
				t.Errorf("%s: %v", why, err)
			}
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				t.Errorf("%s: the database is not where it was asked for: %v", why, err)
			}
		}
	}
}

func TestOpenRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	db := open(t, "relative.db")
	t.Chdir(t.TempDir()) // connections that are opened later must find the same file
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// database returns the bytes of a database with some notes.
func database(t *testing.T) []byte {
	t.Helper()
	path := temp(t)
	db := open(t, path)
	for n := range 200 {
		id, change := write(n, domain.Created)
		if err := db.Notes(enqueue).Write(t.Context(), id, change); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestOpenRefuses(t *testing.T) {
	good := database(t)
	damage := func(from, to int) []byte {
		bad := bytes.Clone(good)
		copy(bad[from:to], bytes.Repeat([]byte("garbage!"), len(bad)))
		return bad
	}
	for _, c := range []struct {
		why, want string
		data      []byte
	}{
		{"text", "not an SQLite database", []byte("These are my notes. They are not in a database at all.\n")},
		{"a byte", "not an SQLite database", []byte("S")},
		{"zeros", "not an SQLite database", make([]byte, 8192)},
		{"nothing after the magic", "damaged", good[:16]},
		{"garbage after the magic", "damaged", damage(16, 4096)},
		{"garbage after the header", "damaged", damage(100, 4096)},
		{"garbage in the middle", "damaged", damage(len(good)/2, len(good)/2+8192)},
		{"a part of the file", "damaged", good[:len(good)/2]},
	} {
		path := temp(t)
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		refuses(t, c.why, path, c.want)
	}
}

func TestOpenRefusesNewerSchema(t *testing.T) {
	path := temp(t)
	db := open(t, path)
	mustExec(t, db, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, 1)`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	refuses(t, "newer schema", path, "schema version 4711")
}

func TestOpenRefusesNewerSchemaAfterCrash(t *testing.T) {
	path := temp(t)
	db := open(t, path)
	mustExec(t, db, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, 1)`)
	crashed := temp(t)
	copyFile(t, path, crashed)
	copyFile(t, path+"-wal", crashed+"-wal") // where the new version stands
	before, beforeLog := sum(t, crashed), sum(t, crashed+"-wal")
	_, err := sqlstore.Open(t.Context(), "sqlite:"+crashed, nil)
	if err == nil || !strings.Contains(err.Error(), "schema version 4711") {
		t.Errorf("Open = %v; want it refused", err)
	}
	if sum(t, crashed) != before || sum(t, crashed+"-wal") != beforeLog {
		t.Error("the file was changed")
	}
}

// A database that nobody switched to WAL yet may have been left in the middle of a transaction.
func TestOpenRollsBackWhatACrashLeft(t *testing.T) {
	path := temp(t)
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	raw.SetMaxOpenConns(1)
	for _, q := range []string{
		`PRAGMA cache_size = 1`, `CREATE TABLE pet (name TEXT)`, `INSERT INTO pet VALUES ('cat')`,
		`BEGIN`, `UPDATE pet SET name = 'dog'`, `INSERT INTO pet VALUES (hex(zeroblob(100000)))`,
	} {
		if _, err := raw.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	crashed := temp(t)
	copyFile(t, path, crashed)
	copyFile(t, path+"-journal", crashed+"-journal")
	var name string
	if err := open(t, crashed).SQL().QueryRowContext(t.Context(), `SELECT name FROM pet`).Scan(&name); err != nil || name != "cat" {
		t.Errorf("found %q, %v; want what was committed", name, err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// refuses fails the test unless Open explains in one line why it does not open the file, and leaves it and its folder
// alone but for the lock.
func refuses(t *testing.T, why, path, want string) {
	t.Helper()
	before, filesBefore := sum(t, path), beside(t, path)
	if !slices.Contains(filesBefore, path+".lock") {
		filesBefore = append(filesBefore, path+".lock")
	}
	_, err := sqlstore.Open(t.Context(), "sqlite:"+path, nil)
	if err == nil {
		t.Errorf("%s: it was opened", why)
		return
	}
	if msg := err.Error(); !strings.Contains(msg, want) || !strings.Contains(msg, path) || strings.Contains(msg, "\n") {
		t.Errorf("%s: error %q; want one line with %q and the path", why, err, want)
	}
	if sum(t, path) != before {
		t.Errorf("%s: the file was changed", why)
	}
	if files := beside(t, path); len(files) != len(filesBefore) {
		t.Errorf("%s: left behind: %v; before: %v", why, files, filesBefore)
	}
}

// beside returns the files whose names begin as the path does.
func beside(t *testing.T, path string) []string {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func sum(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}

func TestOpenExplains(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ why, url, want string }{
		{"another scheme", "mysql://user:secret@host/db", "sqlite:PATH"},
		{"no scheme", "notes.db", "sqlite:PATH"},
		{"no path", "sqlite:", "path is missing"},
		{"in memory", "sqlite::memory:", "in memory"},
		{"no such directory", "sqlite:" + filepath.Join(dir, "no", "test.db"), "directory must exist"},
		{"the directory is a file", "sqlite:" + filepath.Join(file, "test.db"), "directory must be writable"},
		{"the file is a directory", "sqlite:" + dir, "is a directory"},
	} {
		_, err := sqlstore.Open(t.Context(), c.url, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Open = %v; want one line with %q", c.why, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells a secret: %v", c.why, err)
		}
	}
}

func TestOpenUnwritable(t *testing.T) {
	path := temp(t)
	if err := os.WriteFile(path, database(t), 0o400); err != nil {
		t.Fatal(err)
	}
	if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
		_ = f.Close()
		t.Skip("this user may write to any file")
	}
	refuses(t, "read only", path, "readable and writable")
}

func TestOpenCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := temp(t)
	if _, err := sqlstore.Open(ctx, "sqlite:"+path, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v; want it canceled", err)
	}
	open(t, path) // the lock was released
}

func TestSecondServerIsTurnedAway(t *testing.T) {
	path := temp(t)
	db := open(t, path)
	link := filepath.Join(t.TempDir(), "another name.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		_, err := sqlstore.Open(t.Context(), "sqlite:"+name, nil)
		if !errors.Is(err, domain.ErrUnavailable) || !strings.Contains(err.Error(), pid(os.Getpid())) {
			t.Errorf("Open(%q) = %v; want ErrUnavailable with the process", name, err)
		}
	}
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("the first server: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, link)
}

// The promises about loss and about writers that wait for each other stand on these settings.
func TestConnectionSettings(t *testing.T) {
	path := temp(t)
	db := open(t, path)
	for _, c := range []struct {
		pool         *sql.DB
		pragma, want string
	}{
		{db.SQL(), "journal_mode", "wal"},
		{db.SQL(), "synchronous", "2"}, // FULL
		{db.SQL(), "foreign_keys", "1"},
		{db.SQL(), "busy_timeout", "5000"},
		{db.ReadSQL(), "busy_timeout", "5000"},
		{db.ReadSQL(), "query_only", "1"},
	} {
		var got string
		if err := c.pool.QueryRowContext(t.Context(), `PRAGMA `+c.pragma).Scan(&got); err != nil || got != c.want {
			t.Errorf("%s = %s, %v; want %s", c.pragma, got, err, c.want)
		}
	}
	if n := db.SQL().Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections may write, want 1", n)
	}
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() // there is nothing in it
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() // it could not write
	if _, err := other.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err == nil {
		t.Error("a transaction does not lock at its beginning")
	}
}
