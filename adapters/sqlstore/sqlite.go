package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/matric/matric-events/migrations"
)

func openSQLite(ctx context.Context, path string, o *Options) (_ *DB, err error) {
	path, err = sqlitePath(path)
	if err != nil {
		return nil, err
	}
	lock, err := awaitFile(ctx, path+".lock", o.Standby)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	d := &DB{
		name: path, hold: fileHold{lock}, engine: sqliteEngine{}, keyFile: cmp.Or(o.SecretKeyFile, path+".key"),
		commits: newCommitWatch(), outbox: make(bell, 1),
	}
	d.deliveries, d.reader = &Deliveries{db: d}, sqliteReader{d.outbox, d}
	d.outbox.ring() // what an earlier process left was never seen by this one
	d.OnCommit("outbox", d.outbox.ring)
	if err := examineSQLite(ctx, path, migrations.SQLite()); err != nil {
		return nil, err
	}
	d.write = sqlitePool(path, url.Values{
		"_busy_timeout": {"5000"}, // others are locked out, but not the sqlite3 command
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"}, // a write that was reported done must survive a power cut
		"_foreign_keys": {"1"},
		"_txlock":       {"immediate"},
	}, d.commits.attach)
	d.write.SetMaxOpenConns(1)
	d.read = sqlitePool(path, url.Values{"_busy_timeout": {"5000"}, "_query_only": {"1"}})
	d.read.SetMaxOpenConns(o.connections())
	d.read.SetMaxIdleConns(o.connections())
	err = translate(d.write.PingContext(ctx)) // also creates the file, before the first reader
	if err == nil {
		err = d.unlock(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, d.read.Close(), d.write.Close())
	}
	return d, nil
}

// standbyLook is how often a server that stands by looks whether the lock is free. The kernel would tell, but not somebody
// who can be interrupted.
const standbyLook = 100 * time.Millisecond

// awaitFile takes the lock of a file, with standby as soon as it is free.
func awaitFile(ctx context.Context, path string, standby func(holder string)) (io.Closer, error) {
	lock, err := lockFile(path)
	who, held := errors.AsType[heldError](err)
	if !held || standby == nil {
		return lock, err
	}
	standby(string(who))
	look := time.NewTicker(standbyLook)
	defer look.Stop()
	for held {
		select {
		case <-look.C:
			lock, err = lockFile(path)
			_, held = errors.AsType[heldError](err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return lock, err
}

// fileHold holds a database by a lock that the kernel keeps for as long as the process lives.
type fileHold struct{ io.Closer }

func (fileHold) check(context.Context) error { return nil }

func (fileHold) watch(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// sqlitePath returns the absolute path of a database without symbolic links, so that two names of one file share one
// lock. It explains what is wrong with the place, which SQLite would only say it cannot open.
func sqlitePath(path string) (string, error) {
	switch {
	case path == "":
		return "", errors.New("the path is missing")
	case strings.HasPrefix(path, ":"):
		return "", errors.New("want the path of a file; a database in memory cannot be shared between connections")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path)) // the file is yet to be created
	if err != nil {
		return "", fmt.Errorf("the directory must exist: %w", err)
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}

// sqlitePool returns a pool of connections that are opened with the parameters and passed to the hooks first. The driver
// is one of its own, so that the hooks are not those of every SQLite database in the process.
func sqlitePool(path string, params url.Values, hooks ...sqlite.ConnectionHookFn) *sqlx.DB {
	params.Set("_error_rc", "1") // no text of an earlier error in a later one
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive letter
	}
	c := sqliteConnector{&sqlite.Driver{}, (&url.URL{Scheme: "file", Path: slashed, RawQuery: params.Encode()}).String()}
	for _, hook := range hooks {
		c.driver.RegisterConnectionHook(hook)
	}
	return sqlx.NewDb(sql.OpenDB(c), "sqlite3") // a name that sqlx knows to use question marks
}

// sqliteConnector opens connections for database/sql without a registered driver name.
type sqliteConnector struct {
	driver *sqlite.Driver
	dsn    string
}

// Connect implements driver.Connector.
func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

// Driver implements driver.Connector.
func (c sqliteConnector) Driver() driver.Driver { return c.driver }

// attach makes a new connection of the writer report its commits. SQLite calls the hooks one at a time, on the goroutine
// that uses the connection.
func (w *commitWatch) attach(conn sqlite.ExecQuerierContext, _ string) error {
	hooks, ok := conn.(sqlite.HookRegisterer)
	if !ok {
		return errors.New("the SQLite driver has no commit hooks")
	}
	touched := map[string]bool{} // by the transaction in progress
	hooks.RegisterPreUpdateHook(func(change sqlite.SQLitePreUpdateData) {
		if change.Op != sqlite3.SQLITE_DELETE && !touched[change.TableName] && w.watched(change.TableName) {
			touched[change.TableName] = true
		}
	})
	hooks.RegisterCommitHook(func() int32 {
		w.call(touched)
		clear(touched)
		return 0 // go on with the commit
	})
	hooks.RegisterRollbackHook(func() { clear(touched) })
	return nil
}
