package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/jmoiron/sqlx"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteMagic is how every SQLite database begins (https://www.sqlite.org/fileformat.html#magic_header_string).
const sqliteMagic = "SQLite format 3\x00"

// thoroughSize is up to which size the whole database is checked at start, which takes about a second for a gibibyte that
// is cached. Of a larger one only the schema is read.
const thoroughSize = 256 << 20

// examineSQLite refuses a file that this program should not write to, before anything is written to it. No file, or an
// empty one, is fine. The caller holds the lock.
func examineSQLite(ctx context.Context, path string, known fs.FS) error {
	size, err := checkSQLiteFile(path)
	if err != nil || size == 0 {
		return err
	}
	params := url.Values{"mode": {"ro"}}
	if !exists(path+"-wal") && !exists(path+"-journal") {
		params.Set("immutable", "1") // nothing to recover: leave no files of our own beside it either
	}
	db := sqlitePool(path, params)
	defer db.Close() // it was only read
	err = examineSchema(ctx, db, known, size <= thoroughSize)
	if se, ok := errors.AsType[*sqlite.Error](err); ok {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_READONLY:
			return nil // a journal waits to be rolled back, which the writer does first of all
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return fmt.Errorf("the database is damaged; restore a backup, or move it away: %w", err)
		}
	}
	return err
}

// checkSQLiteFile returns the size of the file, zero when there is none, and an error when it is not a database or cannot
// be written to.
func checkSQLiteFile(path string) (int64, error) {
	if !exists(path) {
		return 0, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, fmt.Errorf("the file must be readable and writable: %w", err)
	}
	defer f.Close() // it was only read
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return 0, err
	}
	var head [len(sqliteMagic)]byte
	if _, err := io.ReadFull(f, head[:]); err != nil || string(head[:]) != sqliteMagic {
		return 0, errors.New("the file is not an SQLite database")
	}
	return info.Size(), nil
}

func examineSchema(ctx context.Context, db *sqlx.DB, known fs.FS, thorough bool) error {
	var found, newest int64
	if err := db.GetContext(ctx, &found, `SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'`); err != nil {
		return err
	}
	if thorough {
		var report string
		if err := db.GetContext(ctx, &report, `PRAGMA quick_check(1)`); err != nil {
			return err
		}
		if report != "ok" {
			return fmt.Errorf("the database is damaged; restore a backup, or move it away: %s", strings.ReplaceAll(report, "\n", " "))
		}
	}
	if found == 0 {
		return nil
	}
	if err := db.GetContext(ctx, &newest, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`); err != nil {
		return err
	}
	return checkVersion(newest, known)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
