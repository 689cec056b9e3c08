package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
	"github.com/matric/matric-events/tests/pgtest"
)

func TestPostgresSecondServerIsTurnedAway(t *testing.T) {
	t.Parallel() // it takes its time
	url := pgtest.Database(t)
	db := openKind(t, url)
	_, err := Open(t.Context(), url, &Options{SecretKeyFile: db.keyFile})
	if !errors.Is(err, domain.ErrUnavailable) || !strings.Contains(err.Error(), fmt.Sprintf("(matric-events, process %d, server process ", os.Getpid())) {
		t.Errorf("Open = %v; want ErrUnavailable with the process", err)
	}
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("the first server: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), url, &Options{SecretKeyFile: db.keyFile})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
}

func TestPostgresHoldIsTakenAgain(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	h, ok := db.hold.(*sessionHold)
	if !ok {
		t.Fatalf("held by %T", db.hold)
	}
	h.pulse = time.Millisecond
	terminateHolder(t, db)
	for range 2 { // it is not well until the database is ours again
		if err := db.Outbox().WriteCanary(t.Context(), testID(1)); !errors.Is(err, domain.ErrUnavailable) {
			t.Errorf("WriteCanary = %v without the hold", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- db.Run(ctx) }()
	for lost := 0; holderPID(t, db) == lost; {
		if ctx.Err() != nil {
			t.Fatal("it was not taken")
		}
	}
	if err := db.Outbox().WriteCanary(t.Context(), testID(2)); err != nil {
		t.Error(err)
	}
	for range 3 {
		lost := terminateHolder(t, db)
		for who := lost; who == lost || who == 0; who = holderPID(t, db) {
			if ctx.Err() != nil {
				t.Fatal("it was not taken again")
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestPostgresHoldIsLost(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	h, ok := db.hold.(*sessionHold)
	if !ok {
		t.Fatalf("held by %T", db.hold)
	}
	h.pulse = time.Millisecond
	other, err := db.SQL().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	terminateHolder(t, db)
	if _, err := other.ExecContext(t.Context(), `SELECT pg_advisory_lock($1)`, int64(holdLock)); err != nil {
		t.Fatal(err)
	}
	if err := db.Run(t.Context()); !errors.Is(err, domain.ErrUnavailable) || !strings.Contains(err.Error(), "another server") {
		t.Errorf("Run = %v; want it to say who has the database", err)
	}
}

// holderPID returns the process of the server that serves who holds the database, 0 for none.
func holderPID(t *testing.T, db *DB) (pid int) {
	t.Helper()
	err := db.SQL().QueryRowContext(t.Context(), `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&pid)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	return pid
}

// terminateHolder ends the connection that holds the database, as a network does.
func terminateHolder(t *testing.T, db *DB) (pid int) {
	t.Helper()
	pid = holderPID(t, db)
	if _, err := db.SQL().ExecContext(t.Context(), `SELECT pg_terminate_backend($1, 60000)`, pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestPostgresOpenExplains(t *testing.T) {
	t.Parallel()
	nowhere := t.TempDir()
	for _, c := range []struct{ why, url, want string }{
		{"no URL", "postgres://user:secret@host:port/db", "this is not a URL"},
		{"a parameter that is wrong", "postgres://user:secret@127.0.0.1/db?sslmode=maybe", "sslmode"},
		{"nobody listens", "postgres://user:secret@/db?host=" + nowhere, nowhere},
		{"no such database", strings.Replace(pgtest.Database(t), "/pgtest", "/none", 1), "does not exist"},
	} {
		_, err := Open(t.Context(), c.url, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: Open = %v; want one line with %q", c.why, err, c.want)
		}
	}
	if _, err := Open(t.Context(), "postgres:///db?host="+nowhere, nil); !errors.Is(err, domain.ErrUnavailable) {
		t.Errorf("a server that is away: %v; want ErrUnavailable", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(canceled, pgtest.Database(t), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v; want it canceled", err)
	}
}

func TestPostgresRefusesNewerSchema(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	db := openKind(t, url)
	if _, err := db.SQL().ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, true)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), url, &Options{SecretKeyFile: db.keyFile}); err == nil || !strings.Contains(err.Error(), "schema version 4711") {
		t.Errorf("Open = %v; want it refused", err)
	}
}

func TestPostgresEncodings(t *testing.T) {
	t.Parallel()
	latin := encoded(t, "LATIN1")
	if _, err := Open(t.Context(), latin, nil); err == nil || !strings.Contains(err.Error(), "encoding is LATIN1") {
		t.Errorf("Open = %v; want it refused", err)
	}
	notes := openKind(t, encoded(t, "SQL_ASCII")).Notes(nil) // as initdb makes it in the locale C
	want := domain.Note{ID: testID(1), Title: "漢字", Content: "Ünïcödé 🙂", Revision: 1, CreatedAt: epoch, UpdatedAt: epoch}
	w := ports.NoteWrite{Note: want, Event: domain.NoteEvent{EventID: testID(2), OccurredAt: epoch, Note: want.Event(domain.Created)}}
	if err := notes.Write(t.Context(), want.ID, func(*domain.Note) (ports.NoteWrite, error) { return w, nil }); err != nil {
		t.Fatal(err)
	}
	if got, _, err := notes.Notes(t.Context(), domain.NoteQuery{Search: "ünïcödé", Limit: 2}); err != nil || len(got) != 1 || got[0].Title != want.Title || got[0].Content != want.Content {
		t.Errorf("found %+v, %v; want %+v", got, err, want)
	}
}

// encoded makes a database of an encoding.
func encoded(t *testing.T, encoding string) (url string) {
	t.Helper()
	url = pgtest.Database(t)
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	name := fmt.Sprintf("encoded_%d_%s", os.Getpid(), strings.ToLower(encoding))
	if _, err := db.ExecContext(t.Context(), `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING '`+encoding+`' LC_COLLATE 'C' LC_CTYPE 'C'`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.ExecContext(context.Background(), `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
	})
	return regexp.MustCompile(`/pgtest_\d+_\d+`).ReplaceAllString(url, "/"+name)
}

func TestPostgresConnectionSettings(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	for _, c := range []struct {
		pool          *sql.DB
		setting, want string
	}{
		{db.SQL(), "synchronous_commit", "on"},
		{db.SQL(), "application_name", fmt.Sprintf("matric-events, process %d", os.Getpid())},
		{db.SQL(), "default_transaction_read_only", "off"},
		{db.ReadSQL(), "default_transaction_read_only", "on"},
	} {
		var got string
		if err := c.pool.QueryRowContext(t.Context(), `SHOW `+c.setting).Scan(&got); err != nil || got != c.want {
			t.Errorf("%s = %s, %v; want %s", c.setting, got, err, c.want)
		}
	}
	// The server must not keep the locks of a machine that is gone. On a Unix socket the settings do nothing, but are there.
	const told = `SELECT count(*) FROM pg_settings WHERE name LIKE 'tcp_keepalives%' AND source = 'client'`
	for name, ask := range map[string]func(settings *int) error{
		"writers": func(n *int) error { return db.write.GetContext(t.Context(), n, told) },
		"readers": func(n *int) error { return db.read.GetContext(t.Context(), n, told) },
		"drain":   func(n *int) error { return db.drain.GetContext(t.Context(), n, told) },
		"hold":    func(n *int) error { return db.hold.(*sessionHold).ask(t.Context(), n, told) },
	} {
		var settings int
		if err := ask(&settings); err != nil || settings != 3 {
			t.Errorf("%s: %d settings of keepalives, %v; want all three", name, settings, err)
		}
	}
	for dsn, want := range map[string]string{"": "prefer", "?sslmode=verify-full": "verify-full", "?sslmode=disable": "disable"} {
		if cfg, err := postgresConfig("postgres://user@127.0.0.1/db" + dsn); err != nil || string(cfg.SSLMode) != want {
			t.Errorf("sslmode of %q is %q, %v; want %q", dsn, cfg.SSLMode, err, want)
		}
	}
	if cfg, err := postgresConfig("postgres://h/db?application_name=mine&connect_timeout=3"); err != nil || cfg.ApplicationName != "mine" || cfg.ConnectTimeout != 3*time.Second {
		t.Errorf("what the URL says is overruled: %q, %v, %v", cfg.ApplicationName, cfg.ConnectTimeout, err)
	}
}

func TestPostgresTranslate(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	run := func(pool *sql.DB, query string) error { _, err := pool.ExecContext(t.Context(), query); return err }
	const insert = `INSERT INTO secret_key_check (id, sealed) VALUES (1, '')`
	timeout, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, errTimeout := db.SQL().ExecContext(timeout, `SELECT pg_sleep(60)`)
	for _, c := range []struct {
		why  string
		err  error
		want error
	}{
		{"a constraint", run(db.SQL(), insert), domain.ErrConflict},
		{"a write where only reading is allowed", run(db.ReadSQL(), insert), domain.ErrUnavailable},
		{"the connection is cut", run(db.SQL(), `SELECT pg_terminate_backend(pg_backend_pid())`), domain.ErrUnavailable},
		{"the caller gave up", errTimeout, domain.ErrUnavailable},
	} {
		if got := translate(c.err); !errors.Is(got, c.want) {
			t.Errorf("%s: translate(%v) = %v; want %v", c.why, c.err, got, c.want)
		}
	}
	mistake := run(db.SQL(), `SELEKT 1`)
	if got := translate(mistake); got != mistake { //nolint:errorlint // it must be the very error
		t.Errorf("a mistake of ours is not the fault of the world: %v", got)
	}
}

// A statement that waits has a snapshot, which VACUUM and CREATE INDEX CONCURRENTLY of anybody respect. A server may stand
// by for weeks.
func TestPostgresStandbyHoldsUpNobody(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	url := pgtest.Database(t)
	db := openKind(t, url)
	cfg, err := postgresConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	taken, standing := make(chan error, 1), make(chan struct{})
	go func() {
		h, err := takeSession(ctx, cfg, func(string) { close(standing) })
		if err == nil {
			err = h.Close()
		}
		taken <- err
	}()
	<-standing
	for waits := false; !waits; {
		if err := db.SQL().QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event = 'advisory')`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	for _, statement := range []string{`CREATE TABLE pet (name text)`, `CREATE INDEX CONCURRENTLY pet_name ON pet (name)`} {
		if _, err := db.SQL().ExecContext(ctx, statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil {
		t.Errorf("the server that stands by: %v", err)
	}
}
