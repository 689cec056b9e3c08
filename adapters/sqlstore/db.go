package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
)

// Options tune Open. The zero value is what the server runs with.
type Options struct {
	// Readers bounds the connections that read at the same time. Zero means one for each processor, at least 4.
	Readers int
}

// DB is an open database. Use Open. Safe for concurrent use.
type DB struct {
	name        string   // for messages; holds no secrets
	write, read *sqlx.DB // the pool of the one writer, and that of the readers
	lock        io.Closer
	dialect     goose.Dialect
	migrations  fs.FS
	commits     *commitWatch
	outbox      bell // rings when a commit may have added to the outbox
}

// Open opens a database, which it creates when there is none, and holds it for this process until Close. The URL is
// sqlite:PATH; everything after the colon, or after two slashes that follow it, is the path as it is, without escapes.
// Open does not change the schema of an existing database: see MigrateUp.
func Open(ctx context.Context, url string, o *Options) (*DB, error) {
	if o == nil {
		o = &Options{}
	}
	scheme, rest, ok := strings.Cut(url, ":")
	if !ok || scheme != "sqlite" {
		return nil, errors.New("sqlstore: open: want a database URL of the form sqlite:PATH") // it may hold a password: not quoted
	}
	db, err := openSQLite(ctx, strings.TrimPrefix(rest, "//"), o)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: open %q: %w", rest, err)
	}
	return db, nil
}

// Close releases the database. Calls in progress end with an error.
func (d *DB) Close() error {
	// The writer goes last: the last connection to leave writes the journal back into the database file.
	if err := errors.Join(d.read.Close(), d.write.Close(), d.lock.Close()); err != nil {
		return fmt.Errorf("sqlstore: close %q: %w", d.name, err)
	}
	return nil
}

// Check reports whether the database answers and has a schema.
func (d *DB) Check(ctx context.Context) error {
	var pending bool
	if err := d.read.GetContext(ctx, &pending, `SELECT EXISTS (SELECT 1 FROM outbox)`); err != nil {
		return fmt.Errorf("sqlstore: check %q: %w", d.name, translate(err))
	}
	return nil
}

// SQL returns the pool of the one writer, for the job queue, whose tables live in the same database.
func (d *DB) SQL() *sql.DB { return d.write.DB }

// ReadSQL returns the pool of the readers. It refuses to write.
func (d *DB) ReadSQL() *sql.DB { return d.read.DB }

// OnCommit has fn called when a transaction that inserted into the table or updated it is about to commit, on whichever
// goroutine commits. fn must return at once and not use the database: it can only take note, and whoever it wakes sees
// the change through the pool of SQL, which is free once the commit is done. A commit may still fail after the call.
func (d *DB) OnCommit(table string, fn func()) { d.commits.add(table, fn) }

// transact runs fn in a transaction of the writer. An error of fn rolls it back and is returned as it is.
func (d *DB) transact(ctx context.Context, fn func(tx *sqlx.Tx) error) error {
	tx, err := d.write.BeginTxx(ctx, nil)
	if err != nil {
		return translate(err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do, and otherwise the first error counts
	if err := fn(tx); err != nil {
		return err
	}
	return translate(tx.Commit())
}

// join makes calls of sqlx take part in somebody else's transaction.
func (d *DB) join(tx *sql.Tx) *sqlx.Tx { return &sqlx.Tx{Tx: tx, Mapper: d.write.Mapper} }
