package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"go.yaml.in/yaml/v4"

	"github.com/matric/matric-events/domain"
)

// attachLock keeps attaching, detaching and counting apart: the letters of a name.
const attachLock = 0x6d_61_74_72_69_63_63_70 // "matriccp"

// ErrNoSchema says that our tables are not there.
var ErrNoSchema = fmt.Errorf("%w: the hub's tables are not in this database, or of an older version; run matric-events migrate up", domain.ErrUnavailable)

// Check compares the mapping with the database and returns the SQL that would attach it. It changes nothing.
func Check(ctx context.Context, db *sql.DB, name string, m *Mapping) (*Plan, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, failure("check", err)
	}
	defer tx.Rollback() //nolint:errcheck // it has changed nothing
	schema, err := ourSchema(ctx, tx)
	if err != nil && !errors.Is(err, ErrNoSchema) {
		return nil, err
	}
	if errors.Is(err, ErrNoSchema) {
		schema = Schema // plan may come before everything else
	}
	s, err := m.resolve(ctx, tx)
	if err != nil {
		return nil, err
	}
	return s.plan(schema, name), nil
}

// Attach makes the tables of the mapping event sources under a name. All or nothing; what the name had attached before is
// replaced. It reports whether there was anything to do. Events begin with the first transaction that comes after it.
func Attach(ctx context.Context, db *sql.DB, name string, m *Mapping, o *Options) (changed bool, err error) {
	if err := checkName(name); err != nil {
		return false, err
	}
	err = patiently(ctx, db, o, func(tx *sql.Tx) error {
		changed, err = attach(ctx, tx, name, m)
		return err
	})
	if err != nil {
		return false, failure("attach", err)
	}
	return changed, nil
}

func attach(ctx context.Context, tx *sql.Tx, name string, m *Mapping) (changed bool, err error) {
	schema, err := ourSchema(ctx, tx)
	if err != nil {
		return false, err
	}
	s, err := m.resolve(ctx, tx)
	if err != nil {
		return false, err
	}
	plan := s.plan(schema, name)
	if err := plan.unclaimed(ctx, tx, schema, name); err != nil {
		return false, err
	}
	text, err := yaml.Dump(m.tree())
	if err != nil {
		return false, err
	}
	var same bool
	q := quote(schema)
	err = tx.QueryRowContext(ctx, `SELECT coalesce((SELECT mapping = $2 AND version = $3 FROM `+q+`.capture WHERE name = $1), false)`, name, string(text), version).Scan(&same)
	if err != nil {
		return false, err
	}
	if same {
		if faults, err := plan.compare(ctx, tx, schema, name); err != nil || len(faults) == 0 {
			return false, err
		}
	}
	if err := drop(ctx, tx, schema, name); err != nil {
		return false, err
	}
	for _, statement := range plan.Statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return false, fmt.Errorf("%w, in\n%s", err, statement)
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO `+q+`.capture (name, mapping, version) VALUES ($1, $2, $3)`, name, string(text), version)
	return true, err
}

// Detach takes away everything that Attach made under the name. ErrNotFound says that there is nothing.
func Detach(ctx context.Context, db *sql.DB, name string, o *Options) error {
	err := patiently(ctx, db, o, func(tx *sql.Tx) error {
		schema, err := ourSchema(ctx, tx)
		if err != nil {
			return err
		}
		var known bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM `+quote(schema)+`.capture WHERE name = $1)`, name).Scan(&known); err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("%w: nothing is attached under the name %s", domain.ErrNotFound, name)
		}
		return drop(ctx, tx, schema, name)
	})
	return failure("detach", err)
}

// drop removes functions, which takes their triggers along, whoever owns the tables. It waits for transactions that use
// the tables, and then nobody can be adding to the deltas.
func drop(ctx context.Context, tx *sql.Tx, schema, name string) error {
	q := quote(schema)
	var functions []string
	collect := func(rows *sql.Rows) error {
		var f string
		err := rows.Scan(&f)
		functions = append(functions, f)
		return err
	}
	if err := each(ctx, tx, collect, `SELECT p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
		WHERE n.nspname = $1 AND p.prorettype = 'trigger'::regtype AND p.proname ~ ('^capture_' || $2 || '_(job|note|tag)_[a-z]+$')
		ORDER BY p.oid`, schema, name); err != nil {
		return err
	}
	for _, f := range functions {
		if _, err := tx.ExecContext(ctx, `DROP FUNCTION `+q+`.`+quote(f)+`() CASCADE`); err != nil {
			return err
		}
	}
	for _, statement := range []string{`DELETE FROM ` + q + `.capture_delta WHERE capture = $1`, `DELETE FROM ` + q + `.capture_fault WHERE capture = $1`, `DELETE FROM ` + q + `.capture WHERE name = $1`} {
		if _, err := tx.ExecContext(ctx, statement, name); err != nil {
			return err
		}
	}
	return nil
}

// ourSchema returns the schema of our tables, which is the first of the connection's search_path.
func ourSchema(ctx context.Context, q querier) (string, error) {
	var schema string
	err := q.QueryRowContext(ctx, `SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
		WHERE c.relname = 'capture_delta' AND n.nspname IN (current_schema(), $1) ORDER BY n.nspname <> current_schema() LIMIT 1`, Schema).Scan(&schema)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNoSchema
	}
	return schema, err
}

// unclaimed checks that nothing else captures the tables.
func (p *Plan) unclaimed(ctx context.Context, q querier, schema, name string) error {
	for _, t := range p.triggers {
		var function string
		err := q.QueryRowContext(ctx, `SELECT n.nspname || '.' || f.proname FROM pg_trigger AS t JOIN pg_proc AS f ON f.oid = t.tgfoid JOIN pg_namespace AS n ON n.oid = f.pronamespace
			JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS s ON s.oid = c.relnamespace
			WHERE s.nspname = $1 AND c.relname = $2 AND t.tgname = $3`, t.table.schema, t.table.name, t.name).Scan(&function)
		if errors.Is(err, sql.ErrNoRows) || err == nil && function == schema+"."+t.function {
			continue
		}
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: %s is captured already, by %s; detach that first", domain.ErrConflict, t.table, function)
	}
	return nil
}

// failure names the call, and the kind of what PostgreSQL reports.
func failure(call string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[Problems](err); ok {
		return err
	}
	if pe, ok := errors.AsType[*pq.Error](err); ok && pe.Code.Class() == pqerror.ClassConnectionException {
		err = fmt.Errorf("%w: %w", domain.ErrUnavailable, err)
	}
	return fmt.Errorf("capture: %s: %w", call, err)
}
