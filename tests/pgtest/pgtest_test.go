package pgtest_test

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/pgtest"
)

func TestDatabasesAreSeparate(t *testing.T) {
	a, b := open(t, pgtest.Database(t)), open(t, pgtest.Database(t))
	if _, err := a.ExecContext(t.Context(), `CREATE TABLE pet (name TEXT)`); err != nil {
		t.Fatal(err)
	}
	var found bool
	if err := b.QueryRowContext(t.Context(), `SELECT to_regclass('pet') IS NOT NULL`).Scan(&found); err != nil || found {
		t.Errorf("a table of one database is seen in another: %t, %v", found, err)
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	var dsn string
	t.Run("a test", func(t *testing.T) {
		dsn = pgtest.Database(t)
		open(t, dsn) // and left open
	})
	if dsn == "" {
		t.Skip("there was no database")
	}
	if err := open(t, dsn).PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("after the test: %v; want the database gone", err)
	}
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

const childVar = "PGTEST_CHILD"

// The server must not outlive a test binary that has no time to say goodbye.
func TestServerGoesAwayWithTheProcess(t *testing.T) {
	if os.Getenv(childVar) != "" {
		t.Skip("this is a child")
	}
	if os.Getenv("PGTEST_DSN") != "" {
		t.Skip("the server is not ours")
	}
	pgtest.Database(t) // skips, or fails, when there are no binaries
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), childVar+"=1")
	out, err := cmd.Output()
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child ended with %v, and said %s", err, out)
	}
	dir, _, _ := strings.Cut(string(out), "\n")
	if !strings.HasPrefix(filepath.Base(dir), "pgtest") {
		t.Fatalf("the child said %q; want its directory", out)
	}
	for look := time.NewTicker(5 * time.Millisecond); ; {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return // which is the last thing to go
		}
		select {
		case <-look.C:
		case <-t.Context().Done():
			t.Fatal("the server is still there")
		}
	}
}

// TestChild starts a server and dies.
func TestChild(t *testing.T) {
	if os.Getenv(childVar) == "" {
		t.Skip("only useful as a child of TestServerGoesAwayWithTheProcess")
	}
	var dir string
	if err := open(t, pgtest.Database(t)).QueryRowContext(t.Context(), `SHOW unix_socket_directories`).Scan(&dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stdout.WriteString(dir + "\n"); err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	t.Error(err)
	select {}
}
