package soak_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	_ "github.com/lib/pq"  // to end connections from outside
	_ "modernc.org/sqlite" // to lock the database from outside

	"github.com/matric/matric-events/tests/pgtest"
)

// database is what a hub keeps its promises on, and what can go wrong with it.
type database struct {
	flags []string
	// away takes the database away until back is called.
	away func() (back func())
	// blows are faults of a moment, by name.
	blows map[string]func()
}

// databases are the kinds that there are.
var databases = map[string]func(t *testing.T) *database{"sqlite": newSQLite, "postgres": newPostgres}

func newSQLite(t *testing.T) *database {
	path := filepath.Join(t.TempDir(), "hub.db")
	locked := func() func() {
		db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(20000)")
		if err != nil {
			t.Fatal(err)
		}
		tx, err := db.BeginTx(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := tx.Rollback(); err != nil {
				t.Error(err)
			}
			_ = db.Close()
		}
	}
	return &database{
		flags: []string{"--database-url", "sqlite:" + path},
		away:  locked,
		blows: map[string]func(){"database locked for a moment": func() { locked()() }},
	}
}

func newPostgres(t *testing.T) *database {
	server := pgtest.Start(t)
	dsn := server.Database()
	through, proxy := pgtest.Proxied(t, dsn)
	direct, err := sql.Open("postgres", dsn+"&application_name=soak")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = direct.Close() })
	return &database{
		flags: []string{"--database-url", through, "--secret-key-file", filepath.Join(t.TempDir(), "key")},
		away: func() func() {
			proxy.Cut()
			return proxy.Restore
		},
		blows: map[string]func(){
			"database ends connections": func() {
				for range 3 {
					if _, err := direct.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
						WHERE datname = current_database() AND application_name LIKE 'matric-events%'`); err != nil {
						t.Error(err)
					}
				}
			},
			"database restarts immediately": func() {
				server.Restart()
				_ = direct.Ping() // so that the next blow does not find a connection of before
			},
			"database connections reset": proxy.Reset,
		},
	}
}
