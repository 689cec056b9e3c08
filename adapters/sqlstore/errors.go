package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/matric/matric-events/domain"
)

// translate wraps what a driver reports in the error of the domain that callers branch on. The text is for logs.
func translate(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return domain.ErrNotFound
	}
	if kind := errorKind(err); kind != nil && !errors.Is(err, kind) {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

// Translate wraps what a driver reported in the error of the domain that callers branch on, for what uses the database
// beside the stores of this package.
func (d *DB) Translate(err error) error { return translate(err) }

// errorKind returns ErrConflict for what meets something stored, ErrUnavailable for what may work another time, and nil
// for what is neither.
func errorKind(err error) error {
	if se, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteErrorKind(se.Code() & 0xff) // the primary code
	}
	if pe, ok := errors.AsType[*pq.Error](err); ok {
		return postgresErrorKind(pe.Code)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil // the caller knows
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return domain.ErrUnavailable
	}
	return nil
}

func sqliteErrorKind(code int) error {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT:
		return domain.ErrConflict
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return domain.ErrUnavailable
	}
	return nil
}

func postgresErrorKind(code pqerror.Code) error {
	switch code.Class() {
	case pqerror.ClassIntegrityConstraintViolation:
		return domain.ErrConflict
	case pqerror.ClassConnectionException, pqerror.ClassTransactionRollback, pqerror.ClassInsufficientResources,
		pqerror.ClassObjectNotInPrerequisiteState, pqerror.ClassOperatorIntervention, pqerror.ClassSystemError,
		pqerror.ClassInvalidTransactionState:
		return domain.ErrUnavailable
	}
	return nil
}
