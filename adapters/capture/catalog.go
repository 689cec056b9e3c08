package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"
)

// kind is what a column's values are good for.
type kind int

const (
	kindOther  kind = iota
	kindText        // and whatever reads as text
	kindEnum        // whose labels are known
	kindUUID        //
	kindInt         //
	kindNumber      // with a fraction
	kindBool        //
	kindTime        // a date or a timestamp
	kindTexts       // an array of text
	kindJSON        // jsonb
	kindPlain       // json, which cannot be compared
	kindJSONs       // an array of jsonb
)

// column is one column of a table, or what stands under some keys in it.
type column struct {
	name     string
	keys     []string
	kind     kind
	typeName string
	labels   []string // of an enum
}

// table is what the catalog knows of a table.
type table struct {
	tableName
	oid         int64
	relkind     string // r for a table, p for a partitioned one
	rowSecurity bool   // applies to us
	reachable   bool   // we may use its schema
	trigger     bool   // we may create triggers
	columns     map[string]column
	readable    map[string]bool // columns that we may read
	unique      map[string]bool // columns that are unique by themselves
	leaves      []tableName     // tables below it that hold rows, itself included if it does
}

// querier is a connection, a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Row security does not apply to who owns the table, unless forced, and to who bypasses it.
const findTable = `SELECT c.oid, c.relkind, has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'TRIGGER'), row_security_active(c.oid)
	FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`

const findColumns = `SELECT a.attname, format_type(a.atttypid, a.atttypmod), b.typname, b.typtype, b.typcategory,
		has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
		ARRAY (SELECT e.enumlabel::text FROM pg_enum AS e WHERE e.enumtypid = b.oid ORDER BY e.enumsortorder),
		EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indpred IS NULL
			AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
	FROM pg_attribute AS a
	JOIN pg_type AS t ON t.oid = a.atttypid
	JOIN pg_type AS b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
	WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped`

const findLeaves = `WITH RECURSIVE tree (oid) AS (
		SELECT $1::oid UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN tree ON i.inhparent = tree.oid)
	SELECT n.nspname, c.relname FROM tree JOIN pg_class AS c USING (oid) JOIN pg_namespace AS n ON n.oid = c.relnamespace
	WHERE c.relkind = 'r' ORDER BY c.oid`

// lookUp reads a table from the catalog; nil when there is none.
func lookUp(ctx context.Context, q querier, name tableName) (*table, error) {
	t := &table{tableName: name, columns: map[string]column{}, readable: map[string]bool{}, unique: map[string]bool{}}
	err := q.QueryRowContext(ctx, findTable, name.schema, name.name).Scan(&t.oid, &t.relkind, &t.reachable, &t.trigger, &t.rowSecurity)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = each(ctx, q, t.addColumn, findColumns, t.oid)
	}
	if err == nil {
		err = each(ctx, q, t.addLeaf, findLeaves, t.oid)
	}
	if err != nil {
		return nil, fmt.Errorf("capture: look up %s: %w", name, err)
	}
	return t, nil
}

// each calls scan for every row.
func each(ctx context.Context, q querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (t *table) addLeaf(rows *sql.Rows) error {
	var name tableName
	err := rows.Scan(&name.schema, &name.name)
	t.leaves = append(t.leaves, name)
	return err
}

func (t *table) addColumn(rows *sql.Rows) error {
	var c column
	var base, typtype, category string
	var labels pq.StringArray
	var readable, unique bool
	if err := rows.Scan(&c.name, &c.typeName, &base, &typtype, &category, &readable, &labels, &unique); err != nil {
		return err
	}
	c.labels = labels
	c.kind = kindByName(base, typtype, category)
	t.columns[c.name], t.readable[c.name], t.unique[c.name] = c, readable, unique
	return nil
}

func kindByName(base, typtype, category string) kind {
	switch base {
	case "uuid":
		return kindUUID
	case "int2", "int4", "int8":
		return kindInt
	case "float4", "float8", "numeric":
		return kindNumber
	case "bool":
		return kindBool
	case "timestamptz", "timestamp", "date":
		return kindTime
	case "_text", "_varchar", "_bpchar":
		return kindTexts
	case "jsonb":
		return kindJSON
	case "json":
		return kindPlain
	case "_jsonb":
		return kindJSONs
	}
	switch {
	case typtype == "e":
		return kindEnum
	case category == "S" || base == "citext":
		return kindText
	}
	return kindOther
}

func (k kind) String() string {
	return [...]string{
		"another type", "text", "an enum", "uuid", "a whole number", "a number", "boolean", "a timestamp", "text[]", "jsonb", "json", "jsonb[]",
	}[k]
}

// find returns the column that a mapping names under the key, or adds a problem. The kinds are those that will do.
func (t *table) find(p *problems, key, name string, kinds ...kind) *column {
	if name == "" || t == nil {
		return nil
	}
	s := parseSpec(name)
	c, ok := t.columns[s.column]
	if !ok {
		p.add(key, "table %s has no column %s%s", t, s.column, t.similar(s.column))
		return nil
	}
	if len(s.keys) > 0 {
		if c.kind != kindJSON && c.kind != kindPlain {
			p.add(key, "column %s of %s is %s, and only JSON has keys", c.name, t, c.typeName)
			return nil
		}
		c.keys, c.kind = s.keys, kindText
	} else if len(kinds) > 0 && !slices.Contains(kinds, c.kind) {
		want := make([]string, len(kinds))
		for i, k := range kinds {
			want[i] = k.String()
		}
		p.add(key, "column %s of %s is %s; want %s", c.name, t, c.typeName, strings.Join(want, ", "))
		return nil
	}
	return &c
}

// similar suggests a column that differs in case only.
func (t *table) similar(name string) string {
	for other := range t.columns {
		if strings.EqualFold(other, name) {
			return "; there is " + other
		}
	}
	return ""
}
