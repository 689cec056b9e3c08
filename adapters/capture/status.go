package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Attached is one capture as it is in the database.
type Attached struct {
	Name       string
	Mapping    string // YAML
	AttachedAt time.Time
	Faults     []string // what does not match the mapping any more; empty when all is well
	Missed     int      // changes whose events were lost
	LastMissed string   // why, of the newest one
	Pending    int      // jobs that wait
	Running    int
	Counted    bool // the two are known
}

// Report is what Status finds.
type Report struct {
	Captures []Attached
	Records  int           // in the outbox
	Oldest   time.Duration // since the oldest of them was written
}

// Status describes everything that is attached.
func Status(ctx context.Context, db *sql.DB) (*Report, error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return nil, failure("status", err)
	}
	defer tx.Rollback() //nolint:errcheck // it has changed nothing
	r, err := status(ctx, tx)
	return r, failure("status", err)
}

func status(ctx context.Context, tx *sql.Tx) (*Report, error) {
	schema, err := ourSchema(ctx, tx)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	versions := map[string]int{}
	scan := func(rows *sql.Rows) error {
		var a Attached
		var v int
		err := rows.Scan(&a.Name, &a.Mapping, &v, &a.AttachedAt, &a.Missed, &a.LastMissed, &a.Pending, &a.Running, &a.Counted)
		r.Captures, versions[a.Name] = append(r.Captures, a), v
		return err
	}
	q := quote(schema)
	if err := each(ctx, tx, scan, `SELECT c.name, c.mapping, c.version, c.attached_at,
			(SELECT count(*) FROM `+q+`.capture_fault AS f WHERE f.capture = c.name AND f.code <> $1),
			coalesce((SELECT f.at::timestamptz(0)::text || ' ' || f.source || ': ' || f.message || ' (' || f.code || ')' FROM `+q+`.capture_fault AS f
				WHERE f.capture = c.name AND f.code <> $1 ORDER BY f.id DESC LIMIT 1), ''),
			coalesce(n.pending, 0) + (SELECT coalesce(sum(d.pending), 0) FROM `+q+`.capture_delta AS d WHERE d.capture = c.name),
			coalesce(n.running, 0) + (SELECT coalesce(sum(d.running), 0) FROM `+q+`.capture_delta AS d WHERE d.capture = c.name),
			n.capture IS NOT NULL
		FROM `+q+`.capture AS c LEFT JOIN `+q+`.capture_count AS n ON n.capture = c.name ORDER BY c.name`, codeTruncated); err != nil {
		return nil, err
	}
	for i := range r.Captures {
		if err := r.Captures[i].inspect(ctx, tx, schema, versions[r.Captures[i].Name]); err != nil {
			return nil, err
		}
	}
	var oldest float64
	err = tx.QueryRowContext(ctx, `SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(written_at)), 0)::float8 FROM `+q+`.outbox`).Scan(&r.Records, &oldest)
	r.Oldest = time.Duration(oldest * float64(time.Second))
	return r, err
}

// inspect looks for differences between what is there and what the mapping asks for.
func (a *Attached) inspect(ctx context.Context, q querier, schema string, v int) error {
	m, err := ParseMapping([]byte(a.Mapping))
	if err != nil {
		a.Faults = append(a.Faults, "the stored mapping cannot be read by this version of the program: "+err.Error())
		return nil
	}
	s, err := m.resolve(ctx, q)
	if p, ok := errors.AsType[Problems](err); ok {
		a.Faults = append(a.Faults, p...)
		return nil
	}
	if err != nil {
		return err
	}
	if v != version {
		a.Faults = append(a.Faults, "the triggers are those of another version of the program; attach again")
		return nil
	}
	a.Faults, err = s.plan(schema, a.Name).compare(ctx, q, schema, a.Name)
	return err
}

// compare returns what differs between the plan and the database.
func (p *Plan) compare(ctx context.Context, q querier, schema, name string) (differences []string, err error) {
	found := map[string]string{}
	scan := func(rows *sql.Rows) error {
		var f, body string
		err := rows.Scan(&f, &body)
		found[f] = body
		return err
	}
	if err := each(ctx, q, scan, `SELECT p.proname, p.prosrc FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
		WHERE n.nspname = $1 AND starts_with(p.proname, $2) AND p.prorettype = 'trigger'::regtype`, schema, "capture_"+name+"_"); err != nil {
		return nil, err
	}
	for f, body := range p.functions {
		if got, ok := found[f]; !ok {
			differences = append(differences, "function "+f+" is missing")
		} else if got != body {
			differences = append(differences, "function "+f+" is not what the mapping asks for")
		}
	}
	for _, t := range p.triggers {
		difference, err := t.compare(ctx, q, schema)
		if err != nil {
			return nil, err
		}
		if difference != "" {
			differences = append(differences, difference)
		}
	}
	return differences, nil
}

func (t *trigger) compare(ctx context.Context, q querier, schema string) (string, error) {
	var enabled string
	var ours bool
	err := q.QueryRowContext(ctx, `SELECT t.tgenabled, n.nspname = $4 AND f.proname = $5 FROM pg_trigger AS t
		JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS s ON s.oid = c.relnamespace
		JOIN pg_proc AS f ON f.oid = t.tgfoid JOIN pg_namespace AS n ON n.oid = f.pronamespace
		WHERE s.nspname = $1 AND c.relname = $2 AND t.tgname = $3`, t.table.schema, t.table.name, t.name, schema, t.function).Scan(&enabled, &ours)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Sprintf("trigger %s on %s is missing: attach again", t.name, t.table), nil
	case err != nil:
		return "", err
	case !ours:
		return fmt.Sprintf("trigger %s on %s is not ours", t.name, t.table), nil
	case enabled != "O" && enabled != "A":
		return fmt.Sprintf("trigger %s on %s is disabled: ALTER TABLE %s ENABLE TRIGGER %s", t.name, t.table, t.table.sql(), quote(t.name)), nil
	}
	return "", nil
}
