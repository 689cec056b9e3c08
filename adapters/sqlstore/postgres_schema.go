package sqlstore

import (
	"context"
	"errors"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// defaultSchema is where our tables are unless the URL has a search_path: apart from those of an application with which
// the database is shared, which may well have the same names.
const defaultSchema = "matric_events"

// prepare makes the schema that tables are created in. Tables of the first version, which knew no schema of its own, are
// moved there.
func (postgresEngine) prepare(ctx context.Context, db *sqlx.DB) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do, and otherwise the first error counts
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrateLock)); err != nil {
		return err
	}
	var path string
	if err := tx.GetContext(ctx, &path, `SHOW search_path`); err != nil {
		return err
	}
	schema := firstSchema(path)
	if schema == "" {
		return errors.New("the search_path names no schema")
	}
	var found int
	if err := tx.GetContext(ctx, &found, `SELECT count(*) FROM pg_namespace WHERE nspname = $1`, schema); err != nil {
		return err
	}
	if found == 0 { // IF NOT EXISTS would ask for the right to create even when there is nothing to do
		if _, err := tx.ExecContext(ctx, `CREATE SCHEMA `+pq.QuoteIdentifier(schema)); err != nil {
			return err
		}
	}
	if schema == defaultSchema {
		if err := carryOver(ctx, tx); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// firstSchema returns the first schema that a search_path names, without quotes; the user's own does not count.
func firstSchema(path string) string {
	for name := range strings.SplitSeq(path, ",") {
		name = strings.TrimSpace(name)
		quoted, isQuoted := strings.CutPrefix(name, `"`)
		switch {
		case name == "" || name == `"$user"`:
		case isQuoted:
			return strings.ReplaceAll(strings.TrimSuffix(quoted, `"`), `""`, `"`)
		default:
			return strings.ToLower(name)
		}
	}
	return ""
}

// landed finds the tables of the first version by columns that no others of their names will have.
const landed = `SELECT count(*) = 6 FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
	WHERE c.relnamespace = to_regnamespace('public') AND NOT a.attisdropped AND (c.relname, a.attname) IN (
		('webhook', 'activation'), ('delivery', 'forgiven'), ('attempt', 'first_byte'), ('secret_key_check', 'sealed'),
		('goose_db_version', 'version_id'), ('goose_db_version', 'is_applied'))
	AND to_regclass('` + defaultSchema + `.goose_db_version') IS NULL`

func carryOver(ctx context.Context, tx *sqlx.Tx) error {
	var ours bool
	if err := tx.GetContext(ctx, &ours, landed); err != nil || !ours {
		return err
	}
	var newest int64
	if err := tx.GetContext(ctx, &newest, `SELECT max(version_id) FROM public.goose_db_version`); err != nil || newest > 1 {
		return err // the history is that of an application that has such tables, too
	}
	for _, table := range []string{"webhook", "delivery", "attempt", "secret_key_check", "goose_db_version"} {
		if _, err := tx.ExecContext(ctx, `ALTER TABLE public.`+table+` SET SCHEMA `+defaultSchema); err != nil {
			return err
		}
	}
	return nil
}
