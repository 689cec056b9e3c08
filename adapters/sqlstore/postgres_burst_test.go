package sqlstore

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/tests/pgtest"
)

// put writes a progress record of a job, as part of a burst or not.
func put(t *testing.T, db *DB, job, percent int, inBurst bool) {
	t.Helper()
	body := fmt.Sprintf(`{"type":"JobProgress","event_id":%q,"occurred_at":"2026-01-01T00:00:00Z","job_id":%q,"percent":%d}`, testID(1000*job+percent), testID(job), percent)
	if inBurst {
		exec(t, db.SQL(), fmt.Sprintf(`INSERT INTO outbox (position, kind, body, subject) OVERRIDING SYSTEM VALUE
			VALUES (nextval('outbox_position_seq') + %d, 'worker', '%s', '%s')`, int64(burst), body, testID(job)))
		return
	}
	exec(t, db.SQL(), fmt.Sprintf(`INSERT INTO outbox (kind, body) VALUES ('worker', '%s')`, body))
}

// batch reads up to limit records, removes them and returns them as JOB:PERCENT.
func batch(t *testing.T, db *DB, limit int) (got []string) {
	t.Helper()
	records, err := db.Outbox().Pending(t.Context(), limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		job := r.Worker.JobID
		got = append(got, fmt.Sprintf("%d:%d", int(job[14])<<8|int(job[15])-1, *r.Worker.Percent))
		if err := db.Outbox().Remove(t.Context(), r.Position); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

func TestPostgresBurstStandsBehind(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	put(t, db, 1, 1, false) // older than the burst, of the same job
	for n := range 6 {
		put(t, db, n, 50, true)
	}
	put(t, db, 7, 1, false)
	put(t, db, 1, 99, false) // younger than the burst: it waits
	put(t, db, 8, 1, false)
	for i, want := range [][]string{
		{"1:1", "7:1", "0:50"}, // 1:99 was read and goes behind; of the burst comes one in four
		{"8:1", "1:50", "2:50", "3:50"},
	} {
		if d := cmp.Diff(want, batch(t, db, 4)); d != "" {
			t.Errorf("batch %d (-want +got):\n%s", i, d)
		}
	}
	put(t, db, 9, 1, false)
	put(t, db, 4, 99, false)
	if d := cmp.Diff([]string{"9:1", "4:50", "5:50"}, batch(t, db, 4)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"1:99", "4:99"}, batch(t, db, 4)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Under a load that never ends, a burst still gets its share, after what is older.
func TestPostgresBurstIsNotStarved(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	put(t, db, 1, 10, false)
	put(t, db, 2, 10, true)
	for n := range 20 {
		put(t, db, 100+n, 1, false)
	}
	if d := cmp.Diff([]string{"1:10", "100:1", "101:1", "2:10"}, batch(t, db, 4)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// What stands at the place of a burst may be older than what comes before it, and makes nothing of that superfluous.
func TestPostgresBurstSupersedesItself(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	for percent := range 4 {
		put(t, db, 1, 10+percent, true)
	}
	for percent := range 4 {
		put(t, db, 1, 20+percent, false)
	}
	if _, err := db.Outbox().Supersede(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for more := batch(t, db, 100); len(more) > 0; more = batch(t, db, 100) {
		got = append(got, more...)
	}
	if len(got) == 8 || len(got) == 0 || got[len(got)-1] != "1:23" {
		t.Errorf("%v is left; want less, and the newest last", got)
	}
}
