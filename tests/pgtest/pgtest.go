// Package pgtest gives tests PostgreSQL databases of their own.
//
// A test binary starts one server, the first time that a test asks for a database: from binaries that are installed, on a
// Unix socket, in a temporary directory, without durability. The server goes away with the process, however that ends.
// When started by root, the server runs as another user, as PostgreSQL insists on.
//
// Environment:
//
//	PGTEST_DSN  a server to use instead, as a postgres:// URL of a user who may create databases
//	PG_BIN      the directory of initdb and postgres; else PATH is searched, then /usr/lib/postgresql/*/bin
//	CI          true makes a test fail, and not skip, when there is no server to be had
package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver postgres

	"github.com/matric/matric-events/tests/harness"
)

// startTimeout bounds how long a server may take to accept connections, also on a machine that is busy.
const startTimeout = time.Minute

// shared starts the server of this process and returns its URL.
var shared = sync.OnceValues(func() (string, error) {
	if dsn := os.Getenv("PGTEST_DSN"); dsn != "" {
		return dsn, nil
	}
	dsn, _, err := start() // which lives as long as this process
	return dsn, err
})

var databases atomic.Int64

// Database creates an empty database and returns its postgres:// URL. It is dropped at the end of the test, with whoever
// is connected still.
func Database(tb testing.TB) string {
	tb.Helper()
	server, err := shared()
	required(tb, err)
	return create(tb, server)
}

// Proxied puts a proxy in front of a database's server, and returns the database's URL by way of it.
func Proxied(tb testing.TB, dsn string) (through string, proxy *harness.Proxy) {
	tb.Helper()
	u := parse(tb, dsn)
	network, address := "tcp", u.Host
	if dir := u.Query().Get("host"); dir != "" {
		network, address = "unix", filepath.Join(dir, ".s.PGSQL.5432")
	}
	proxy = harness.NewProxy(tb, network, address)
	return (&url.URL{Scheme: "postgres", User: u.User, Host: proxy.Addr, Path: u.Path, RawQuery: "sslmode=disable"}).String(), proxy
}

func parse(tb testing.TB, dsn string) *url.URL {
	tb.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		tb.Fatal("pgtest: PGTEST_DSN is not a URL") // the error would repeat it, and its password
	}
	return u
}

// required skips the test, or fails it, when there is no server.
func required(tb testing.TB, err error) {
	tb.Helper()
	if err != nil && os.Getenv("CI") == "true" {
		tb.Fatalf("pgtest: CI is set, and there is no PostgreSQL: %v", err)
	}
	if err != nil {
		tb.Skipf("pgtest: SKIPPED, NOTHING WAS TESTED ON POSTGRESQL: %v", err)
	}
}

func create(tb testing.TB, server string) (dsn string) {
	tb.Helper()
	u := parse(tb, server)
	name := fmt.Sprintf("pgtest_%d_%d", os.Getpid(), databases.Add(1))
	run(tb, server, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
	tb.Cleanup(func() { run(tb, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}

// run runs one statement on a connection of its own.
func run(tb testing.TB, dsn, statement string) {
	tb.Helper()
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), statement); err != nil { // the test's context ends before its cleanup
		tb.Errorf("pgtest: %s: %v", statement, err)
	}
}

// socketURL is the URL of a server that listens on a Unix socket in the directory.
func socketURL(dir string) string {
	q := url.Values{"host": {dir}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: q.Encode()}).String()
}

// await returns nil once the server accepts connections, or why it does not. ended is closed when it has given up.
func await(dsn string, ended <-chan struct{}) error {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-ended:
			return fmt.Errorf("the server ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("the server did not start in %v: %w", startTimeout, err)
		}
	}
}

// settings trade durability, which no test can see, for speed.
func settings(socketDir string) []string {
	var args []string
	for _, s := range []string{
		"listen_addresses=", "unix_socket_directories=" + socketDir, "max_connections=" + strconv.Itoa(maxConnections),
		"fsync=off", "full_page_writes=off", "shared_buffers=64MB", "autovacuum=off", "logging_collector=off",
	} {
		args = append(args, "-c", s)
	}
	return args
}

const maxConnections = 100
