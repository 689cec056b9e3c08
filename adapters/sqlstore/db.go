package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// Options tune Open. The zero value is what the server runs with.
type Options struct {
	// Readers bounds the connections that read at the same time, and on PostgreSQL also those that write. Zero means one
	// for each processor, at least 4.
	Readers int
	// SecretKeyFile holds the key that secrets are encrypted with: 32 bytes in base64, on one line. One is made when there
	// is none and the database holds nothing encrypted yet. Empty means PATH.key beside the database file of that path,
	// and matric-events.key in the working directory for PostgreSQL. Without this file the secrets are lost: back it up,
	// apart from the database.
	SecretKeyFile string
	// Standby makes Open wait while another server has the database, until that ends or ctx does. It is called once, when the
	// waiting begins, with who has it. Nil makes Open return an error that says who.
	Standby func(holder string)
}

// connections returns how many connections a pool may have.
func (o *Options) connections() int { return cmp.Or(o.Readers, max(4, runtime.GOMAXPROCS(0))) }

// DB is an open database. Use Open. Safe for concurrent use.
type DB struct {
	name        string   // for messages; holds no secrets
	write, read *sqlx.DB // the pool of the writers, on SQLite of the one writer, and that of the readers
	drain       *sqlx.DB // on PostgreSQL: the pool of the reader of the outbox
	engine      engine
	hold        hold
	keyFile     string
	vault       atomic.Pointer[vault] // nil until there is a schema
	commits     *commitWatch
	outbox      bell // rings when a commit may have added to the outbox
	reader      outboxReader
	deliveries  *Deliveries
}

// engine is what is particular to one kind of database.
type engine interface {
	dialect() string
	// provider returns what changes the schema.
	provider(db *sql.DB) (*goose.Provider, error)
	// findKeyCheck is a query that counts the tables of the name secret_key_check.
	findKeyCheck() string
	// prepare makes ready for migrations.
	prepare(ctx context.Context, db *sqlx.DB) error
	// listen calls heard, until ctx ends, with the name of a table that another connection has inserted into.
	listen(ctx context.Context, heard func(table string)) error
	// outboxStats is a query of the number of records in the outbox, and of how many seconds ago the oldest was written.
	outboxStats() string
	// lockNote makes other transactions that lock the same note wait until this one ends.
	lockNote(ctx context.Context, tx *sqlx.Tx, id domain.UUID) error
	// indexNote brings the full-text index up to date with a note, whose row is stored.
	indexNote(ctx context.Context, tx *sqlx.Tx, row *noteRow) error
	// unindexNote must come before the row of the note goes.
	unindexNote(ctx context.Context, tx *sqlx.Tx, id domain.UUID) error
	// search is the condition on a note to match what a user typed, with its arguments; true when nothing was typed.
	search(typed string) (condition string, args []any)
	// hasTag is the condition on a note to have the tag that is its one argument.
	hasTag() string
	// lockWebhook makes other transactions that lock the same webhook wait until this one ends.
	lockWebhook(ctx context.Context, tx *sqlx.Tx, id domain.UUID) error
	// forUpdate is what a SELECT that locks its rows ends with.
	forUpdate() string
	// oneOf is the comparison of a column with all that a subquery returns.
	oneOf(subquery string) string

	// insert stores the deliveries, those in flight under the lease, but not those that meet one of the same event or ID,
	// or have no webhook. It returns the IDs of the stored ones.
	insert(ctx context.Context, tx *sqlx.Tx, lease string, rows []deliveryRow) (stored []string, err error)
	// claim puts the longest due deliveries in flight and returns them in any order.
	claim(ctx context.Context, tx *sqlx.Tx, lease string, now int64, rooms []webhook.Room) ([]deliveryRow, error)
	// settle updates those deliveries that are in flight under the lease, and returns their IDs. The attempt before
	// a new one goes to the history.
	settle(ctx context.Context, tx *sqlx.Tx, lease string, rows []settledRow) (settled []string, err error)
	// saveStates updates webhooks.
	saveStates(ctx context.Context, tx *sqlx.Tx, rows []stateRow) error
}

// outboxReader does what Outbox promises.
type outboxReader interface {
	pending(ctx context.Context, limit int) ([]outboxRow, error)
	remove(ctx context.Context, positions []int64) error
	wait(ctx context.Context) error
}

// hold is the exclusive use of a database.
type hold interface {
	// watch returns nil when ctx ends, and an error when the hold is lost.
	watch(ctx context.Context) error
	// check returns nil while the database is ours; an error also while it may be again soon.
	check(ctx context.Context) error
	Close() error
}

// heldError says who else has the database.
type heldError string

func (e heldError) Error() string {
	return fmt.Sprintf("%v: another server is using the database (%s)", domain.ErrUnavailable, string(e))
}

func (heldError) Unwrap() error { return domain.ErrUnavailable }

// Open opens a database and holds it for this process until Close. The URL is sqlite:PATH or postgres://…. After the
// colon of the former, or after two slashes that follow it, is the path as it is, without escapes; a file is created when
// there is none. The latter takes the parameters of libpq; without sslmode it encrypts if the server can. Open does not
// change the schema of an existing database: see MigrateUp.
func Open(ctx context.Context, url string, o *Options) (*DB, error) {
	if o == nil {
		o = &Options{}
	}
	scheme, rest, _ := strings.Cut(url, ":")
	switch scheme {
	case "sqlite":
		db, err := openSQLite(ctx, strings.TrimPrefix(rest, "//"), o)
		if err != nil {
			return nil, fmt.Errorf("sqlstore: open %q: %w", rest, err)
		}
		return db, nil
	case "postgres", "postgresql":
		db, err := openPostgres(ctx, url, o)
		if err != nil {
			return nil, fmt.Errorf("sqlstore: open PostgreSQL: %w", err)
		}
		return db, nil
	}
	return nil, errors.New("sqlstore: open: want a database URL of the form sqlite:PATH or postgres://…") // it may hold a password: not quoted
}

// Run watches that the database stays this process's own, until ctx ends. It returns an error when another process has
// it: this one must stop then.
func (d *DB) Run(ctx context.Context) error {
	if err := d.hold.watch(ctx); err != nil {
		return fmt.Errorf("sqlstore: hold %q: %w", d.name, err)
	}
	return nil
}

// ours returns ErrUnavailable while another server could take the database over.
func (d *DB) ours(ctx context.Context) error {
	if err := d.hold.check(ctx); err != nil {
		return fmt.Errorf("%w: the hold on the database is lost: %w", domain.ErrUnavailable, err)
	}
	return nil
}

// Close releases the database. Calls in progress end with an error.
func (d *DB) Close() error {
	// The writer goes last: the last connection to leave writes the journal of SQLite back into the database file.
	var drained error
	if d.drain != nil {
		drained = d.drain.Close()
	}
	if err := errors.Join(drained, d.read.Close(), d.write.Close(), d.hold.Close()); err != nil {
		return fmt.Errorf("sqlstore: close %q: %w", d.name, err)
	}
	return nil
}

// Check reports whether the database answers and has a schema.
func (d *DB) Check(ctx context.Context) error {
	var any bool
	if err := d.read.GetContext(ctx, &any, `SELECT EXISTS (SELECT 1 FROM webhook)`); err != nil {
		return fmt.Errorf("sqlstore: check %q: %w", d.name, translate(err))
	}
	return nil
}

// Dialect is the kind of SQL: sqlite or postgres.
func (d *DB) Dialect() string { return d.engine.dialect() }

// SQL returns the pool of the writers, for the job queue, whose tables live in the same database.
func (d *DB) SQL() *sql.DB { return d.write.DB }

// ReadSQL returns the pool of the readers. It refuses to write.
func (d *DB) ReadSQL() *sql.DB { return d.read.DB }

// OnCommit has fn called for every commit that inserted into the table, and sometimes for nothing. fn must return at once
// and not use the database: it can only take note, and whoever it wakes sees the change through the pool of SQL.
//
// On SQLite it is called for updates, too, on the goroutine that is about to commit, which holds the one connection of that
// pool until it is done, and may yet fail. On PostgreSQL it is called for river_job after a note's write that enqueued a job;
// and by Listen: for outbox, for jobs that other programs insert into river_job, and for any table every few seconds, and when
// the connection was lost and is there again.
func (d *DB) OnCommit(table string, fn func()) { d.commits.add(table, fn) }

// Listen hears of the commits of other connections, until ctx ends, and is needed for Outbox.Wait and OnCommit to work on
// PostgreSQL.
func (d *DB) Listen(ctx context.Context) error {
	if err := d.engine.listen(ctx, d.commits.committed); err != nil {
		return fmt.Errorf("sqlstore: listen to %q: %w", d.name, err)
	}
	return nil
}

// transact runs fn in a transaction of a writer. An error of fn rolls it back and is returned as it is.
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

// join makes calls of sqlx take part in somebody else's transaction. It does not know the kind of database: bind with the
// pool's methods.
func (d *DB) join(tx *sql.Tx) *sqlx.Tx { return &sqlx.Tx{Tx: tx, Mapper: d.write.Mapper} }
