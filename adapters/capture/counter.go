package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Counter counts the jobs of all captured tables. It adds up what triggers have noted since the last count, and so never
// looks at the tables themselves but when it counts anew: at first, after a fault, and once a day. Use NewCounter, and
// Run beside it.
type Counter struct {
	db     *sql.DB
	report func(kind string, err error)

	fault int64                // the newest one that was reported, or found at the start; of Run alone
	rest  map[string]time.Time // until when not to count which capture anew; of Run alone
}

var _ ports.JobCounter = (*Counter)(nil)

// NewCounter returns a counter on a database of which the hub's tables are the first in the search_path. report is told
// what went wrong.
func NewCounter(db *sql.DB, report func(kind string, err error)) *Counter {
	return &Counter{db: db, report: report, rest: map[string]time.Time{}}
}

// CountJobs implements ports.JobCounter.
func (c *Counter) CountJobs(ctx context.Context) (domain.QueueStatus, error) {
	var pending, running int
	err := c.db.QueryRowContext(ctx, `SELECT coalesce(sum(pending), 0)::bigint, coalesce(sum(running), 0)::bigint FROM (
		SELECT n.pending, n.running FROM capture_count AS n UNION ALL
		SELECT d.pending, d.running FROM capture_delta AS d JOIN capture_count AS n USING (capture)) AS part`).Scan(&pending, &running)
	if err != nil {
		return domain.QueueStatus{}, failure("count", err)
	}
	return domain.QueueStatus{Pending: max(pending, 0), Running: max(running, 0)}, nil
}

const (
	tidyInterval = time.Second
	failureRest  = 30 * time.Second
	countLong    = time.Second
	countRest    = 20 // times as long as it took, after a count that took long, though there are new faults all the time
	maxCountAge  = 24 * time.Hour
	faultsKept   = 1000
)

// Run keeps the sums short and the counts right until ctx ends.
func (c *Counter) Run(ctx context.Context) error {
	tick := time.NewTicker(tidyInterval)
	defer tick.Stop()
	c.fault = -1
	for {
		if err := c.tidy(ctx); err != nil && ctx.Err() == nil {
			c.report("capture", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// tidy adds the deltas to the counts, and counts anew what needs it.
func (c *Counter) tidy(ctx context.Context) error {
	var deltas bool
	if err := c.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM capture_delta)`).Scan(&deltas); err != nil {
		return failure("tidy", err)
	}
	if deltas {
		if err := once(ctx, c.db, time.Second, func(tx *sql.Tx) error { return c.fold(ctx, tx) }); err != nil {
			return failure("tidy", err)
		}
	}
	if err := c.tellFaults(ctx); err != nil {
		return failure("tidy", err)
	}
	return failure("tidy", c.recountDue(ctx))
}

// recountDue counts anew what needs it, and forgets old faults, which have then been seen to. Where one capture cannot be
// counted the others are.
func (c *Counter) recountDue(ctx context.Context) error {
	var due []string
	scan := func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		due = append(due, name)
		return err
	}
	if err := each(ctx, c.db, scan, `SELECT c.name FROM capture AS c LEFT JOIN capture_count AS n ON n.capture = c.name
		WHERE n.capture IS NULL OR n.counted_at < clock_timestamp() - make_interval(secs => $1)
			OR n.faults < (SELECT max(f.id) FROM capture_fault AS f WHERE f.capture = c.name)`, maxCountAge.Seconds()); err != nil || len(due) == 0 {
		return err
	}
	var all error
	for _, name := range due {
		began := time.Now()
		if began.Before(c.rest[name]) {
			continue
		}
		err := Recount(ctx, c.db, name)
		switch now := time.Now(); {
		case err != nil:
			all = errors.Join(all, fmt.Errorf("%s: %w", name, err))
			c.rest[name] = now.Add(failureRest) // a right may be missing: it will be tomorrow
		case now.Sub(began) > countLong:
			c.rest[name] = now.Add(countRest * now.Sub(began))
		}
	}
	_, err := c.db.ExecContext(ctx, `DELETE FROM capture_fault WHERE id <= (SELECT id FROM capture_fault ORDER BY id DESC OFFSET $1 LIMIT 1)`, faultsKept)
	return errors.Join(all, err)
}

// tellFaults reports changes whose events were lost since the last call.
func (c *Counter) tellFaults(ctx context.Context) error {
	var count int
	var newest int64
	var last string
	err := c.db.QueryRowContext(ctx, `SELECT count(*), coalesce(max(id), 0), coalesce((array_agg(capture || ', ' || source || ': ' || message || ' (' || code || ')' ORDER BY id DESC))[1], '')
		FROM capture_fault WHERE id > $1 AND code <> $2`, c.fault, codeTruncated).Scan(&count, &newest, &last)
	if err != nil {
		return err
	}
	if count > 0 && c.fault >= 0 {
		c.report("capture_fault", fmt.Errorf("%d changes gave no event, the last of them in %s", count, last))
	}
	c.fault = max(c.fault, newest)
	return nil
}

// fold adds deltas to the counts that they belong to.
func (c *Counter) fold(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `WITH gone AS (DELETE FROM capture_delta WHERE capture IN (SELECT capture FROM capture_count) RETURNING *),
		total AS (SELECT capture, sum(pending) AS pending, sum(running) AS running FROM gone GROUP BY capture)
		UPDATE capture_count AS n SET pending = n.pending + total.pending, running = n.running + total.running FROM total WHERE n.capture = total.capture`)
	return err
}

// Recount counts the jobs of one capture in its table. It locks nothing: in whatever snapshot the count is taken, the
// deltas of the same snapshot are what the count includes already.
func Recount(ctx context.Context, db *sql.DB, name string) error {
	return failure("count", once(ctx, db, time.Second, func(tx *sql.Tx) error {
		schema, err := ourSchema(ctx, tx)
		if err != nil {
			return err
		}
		var text string
		err = tx.QueryRowContext(ctx, `SELECT mapping FROM `+quote(schema)+`.capture WHERE name = $1`, name).Scan(&text)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // detached
		}
		if err != nil {
			return err
		}
		m, err := ParseMapping([]byte(text))
		if err != nil {
			return err
		}
		return m.recount(ctx, tx, schema, name)
	}))
}

func (m *Mapping) recount(ctx context.Context, tx *sql.Tx, schema, name string) error {
	jobs := "SELECT 0 AS pending, 0 AS running"
	if m.Jobs != nil {
		s, err := m.resolve(ctx, tx)
		if err != nil {
			return err
		}
		jobs = fmt.Sprintf("SELECT count(*) FILTER (WHERE state IN ('q', 'w')) AS pending, count(*) FILTER (WHERE state = 'r') AS running FROM (SELECT %s AS state FROM %s AS t) AS job",
			s.jobs.class("t"), s.jobs.table.sql())
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO %s.capture_count (capture, pending, running, counted_at, faults)
		SELECT $1, n.pending - coalesce(d.pending, 0), n.running - coalesce(d.running, 0), clock_timestamp(),
			coalesce((SELECT max(id) FROM %[1]s.capture_fault WHERE capture = $1), 0)
		FROM (%s) AS n, (SELECT sum(pending) AS pending, sum(running) AS running FROM %[1]s.capture_delta WHERE capture = $1) AS d
		ON CONFLICT (capture) DO UPDATE SET (pending, running, counted_at, faults) = ROW (excluded.pending, excluded.running, excluded.counted_at, excluded.faults)`,
		quote(schema), jobs), name)
	return err
}
