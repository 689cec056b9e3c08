package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/pgtest"
)

// byCursor reads what stands behind a position, as one who trusts the order of positions does.
func byCursor(t *testing.T, db *DB, after int64) (ids []domain.UUID, last int64) {
	t.Helper()
	last = after
	rows, err := db.SQL().QueryContext(t.Context(), `SELECT position, body::jsonb ->> 'event_id' FROM outbox WHERE position > $1 ORDER BY position`, after)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&last, &text); err != nil {
			t.Fatal(err)
		}
		id, err := domain.ParseUUID(text)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return ids, last
}

// drained reads and removes what is there.
func drained(t *testing.T, db *DB) (ids []domain.UUID) {
	t.Helper()
	records, err := db.Outbox().Pending(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		ids = append(ids, r.Canary)
		if err := db.Outbox().Remove(t.Context(), r.Position); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

func begin(t *testing.T, db *DB, n int) *sql.Tx {
	t.Helper()
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.AppendOutbox(t.Context(), tx, KindCanary, fmt.Sprintf(`{"event_id":%q}`, testID(n))); err != nil {
		t.Fatal(err)
	}
	return tx
}

func commit(t *testing.T, tx *sql.Tx) {
	t.Helper()
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// The second transaction commits first. Who reads by a cursor never sees what the first one wrote; who removes everything
// below what was read, removes it unread.
func TestPostgresOutboxLosesNothingThatCommitsLate(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	slow, fast := begin(t, db, 1), begin(t, db, 2)
	commit(t, fast)
	_, cursor := byCursor(t, db, 0)
	if got := drained(t, db); !slices.Equal(got, []domain.UUID{testID(2)}) {
		t.Fatalf("read %v; want what is committed", got)
	}
	commit(t, slow)
	if missed, _ := byCursor(t, db, cursor); len(missed) != 0 {
		t.Errorf("a cursor finds %v; then this test tests nothing", missed)
	}
	if got := drained(t, db); !slices.Equal(got, []domain.UUID{testID(1)}) {
		t.Errorf("read %v; want what committed late", got)
	}
}

// A transaction that stays open delays nothing but its own records.
func TestPostgresOutboxDoesNotWaitForOpenTransactions(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	open := begin(t, db, 1)
	defer open.Rollback()
	for n := 2; n < 5; n++ {
		commit(t, begin(t, db, n))
		if got := drained(t, db); !slices.Equal(got, []domain.UUID{testID(n)}) {
			t.Fatalf("read %v; want record %d", got, n)
		}
	}
}

// Many writers, whose transactions take their time, roll back to savepoints, and roll back: what is read is exactly what was
// committed, each once.
func TestPostgresOutboxLedger(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan error, 1)
	go func() { listening <- db.Listen(ctx) }()
	const writers, each = 4, 100
	var mu sync.Mutex // guards committed
	committed := map[domain.UUID]bool{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				n := 3 * (w*each + i)
				if keepSome(t, db, n) {
					mu.Lock()
					committed[testID(n)], committed[testID(n+2)] = true, true
					mu.Unlock()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	seen := map[domain.UUID]int{}
	for over := false; !over; {
		select {
		case <-done:
			over = true // one more look
		default:
			if err := db.Outbox().Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for got := drained(t, db); len(got) > 0; got = drained(t, db) {
			for _, id := range got {
				seen[id]++
			}
		}
	}
	for id := range committed {
		if seen[id] != 1 {
			t.Errorf("%s was read %d times", id, seen[id])
		}
	}
	if len(seen) != len(committed) {
		t.Errorf("%d records were read, and %d committed", len(seen), len(committed))
	}
	cancel()
	if err := <-listening; err != nil {
		t.Error(err)
	}
}

// keepSome writes three records, takes the second one back, and commits, or not. It reports whether it did.
func keepSome(t *testing.T, db *DB, n int) bool {
	tx := begin(t, db, n)
	body := func(n int) string { return fmt.Sprintf(`{"event_id":%q}`, testID(n)) }
	_, err := tx.ExecContext(t.Context(), `SAVEPOINT s`)
	if err == nil {
		err = db.AppendOutbox(t.Context(), tx, KindCanary, body(n+1))
	}
	if err == nil {
		_, err = tx.ExecContext(t.Context(), `ROLLBACK TO s`)
	}
	if err == nil {
		err = db.AppendOutbox(t.Context(), tx, KindCanary, body(n+2))
	}
	if err != nil {
		t.Error(err)
	}
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) // the transaction takes its time
	if rand.IntN(4) == 0 {
		_ = tx.Rollback()
		return false
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
		return false
	}
	return true
}

func TestPostgresListenerRecovers(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan error, 1)
	heard := make(chan struct{}, 100)
	db.OnCommit("any", func() { heard <- struct{}{} })
	go func() { listening <- db.Listen(ctx) }()
	<-heard // it listens
	began := time.Now()
	exec(t, db.SQL(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'`)
	<-heard // it listens again, or looks anyway
	if d := time.Since(began); d > listenPulse+time.Second {
		t.Errorf("it took %s to look again", d)
	}
	drained(t, db)
	commit(t, begin(t, db, 1))
	if err := db.Outbox().Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-listening; err != nil {
		t.Error(err)
	}
}

// reader returns the reader of a database whose first look, which is everywhere, is done.
func reader(t testing.TB, db *DB) *postgresReader {
	t.Helper()
	if _, err := db.Outbox().Pending(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return db.reader.(*postgresReader)
}

// Once all transactions have ended that may fill a gap, nobody looks there any more, but what stands there is not forgotten.
func TestPostgresReaderForgetsGaps(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	r := reader(t, db)
	undone, late := begin(t, db, 1), begin(t, db, 2)
	commit(t, begin(t, db, 3))
	drained(t, db)
	gaps := func(why string, want ...span) {
		t.Helper()
		if got, _ := r.book.unread(); !slices.Equal(got, want) {
			t.Errorf("%s: gaps %v; want %v", why, got, want)
		}
	}
	look := func() []domain.UUID {
		t.Helper()
		if r.mark != nil {
			r.mark.due = time.Time{}
		}
		records, err := db.Outbox().Pending(t.Context(), 9)
		if err != nil {
			t.Fatal(err)
		}
		var ids []domain.UUID
		for _, rec := range records {
			ids = append(ids, rec.Canary)
		}
		return ids
	}
	gaps("two transactions are open", span{1, 2})
	look() // makes a mark
	look()
	gaps("they still are", span{1, 2})
	if err := undone.Rollback(); err != nil {
		t.Fatal(err)
	}
	commit(t, late)
	for r.mark != nil { // while other tests have transactions open, which may be any database's
		if got := look(); !slices.Equal(got, []domain.UUID{testID(2)}) {
			t.Fatalf("read %v; want the late one", got)
		}
	}
	gaps("they have ended; one left something", span{2, 2})
	if got := drained(t, db); !slices.Equal(got, []domain.UUID{testID(2)}) {
		t.Errorf("read %v; want the late one again, for it was not removed", got)
	}
	gaps("nothing is left")
}

// After a restore from a backup positions may be given a second time.
func TestPostgresReaderFindsPositionsGivenAgain(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	r := reader(t, db)
	for n := range 5 {
		commit(t, begin(t, db, n))
	}
	drained(t, db)
	exec(t, db.SQL(), `TRUNCATE outbox RESTART IDENTITY`)
	commit(t, begin(t, db, 7))
	r.sweep = time.Time{} // its time comes every few seconds
	if got := drained(t, db); !slices.Equal(got, []domain.UUID{testID(7)}) {
		t.Errorf("read %v; want what stands at a position that was read before", got)
	}
	commit(t, begin(t, db, 8))
	if got := drained(t, db); !slices.Equal(got, []domain.UUID{testID(8)}) {
		t.Errorf("read %v; want the next one", got)
	}
}

// What triggers of capture write has neither an ID nor a time. It gets both where it is read, always the same: after it was
// moved behind a burst, too.
func TestPostgresNamesWhatIsCaptured(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	before := time.Now().Add(-time.Second)
	for job := range 3 {
		exec(t, db.SQL(), fmt.Sprintf(`INSERT INTO outbox (kind, body) VALUES ('worker', '{"type":"JobStarted","job_id":"%s"}')`, testID(job)))
	}
	moveBehind := func(job domain.UUID) { // as holdBack does
		exec(t, db.SQL(), fmt.Sprintf(`WITH moved AS (DELETE FROM outbox WHERE body::json ->> 'job_id' = '%[1]s' RETURNING *)
			INSERT INTO outbox (position, kind, body, written_at, subject) OVERRIDING SYSTEM VALUE
			SELECT position + %[2]d, kind, body, written_at, '%[1]s' FROM moved`, job, int64(burst)))
	}
	moveBehind(testID(1))
	exec(t, db.SQL(), fmt.Sprintf(`INSERT INTO outbox (kind, body) VALUES ('note', '{"operation":"deleted","note_id":"%s"}')`, testID(4)))
	names := func() map[domain.UUID]string {
		records, err := db.Outbox().Pending(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		got := map[domain.UUID]string{}
		for _, r := range records {
			subject, id, at := domain.UUID{}, domain.UUID{}, time.Time{}
			switch {
			case r.Worker != nil:
				subject, id, at = r.Worker.JobID, r.Worker.EventID, r.Worker.OccurredAt
			case r.Note != nil:
				subject, id, at = r.Note.Note.NoteID, r.Note.EventID, r.Note.OccurredAt
			}
			ms := int64(0)
			for _, b := range id[:6] {
				ms = ms<<8 | int64(b)
			}
			if id[6]>>4 != 7 || id[8]>>6 != 2 || ms != at.UnixMilli() || at.Before(before) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("event %s at %v of %+v", id, at, r)
			}
			got[subject] = id.String() + at.String()
		}
		return got
	}
	first := names()
	if len(first) != 4 || len(slices.Compact(slices.Sorted(maps.Values(first)))) != 4 {
		t.Fatalf("named %v", first)
	}
	moveBehind(testID(2))
	if d := cmp.Diff(first, names()); d != "" {
		t.Error(d)
	}
}

// A server that has lost its hold works on until it knows. What it published, its own clients have seen; those of the server
// that takes over must see it, too.
func TestPostgresOutboxIsKeptWithoutTheHold(t *testing.T) {
	t.Parallel()
	db := openKind(t, pgtest.Database(t))
	db.hold.(*sessionHold).pulse = time.Millisecond
	commit(t, begin(t, db, 1))
	terminateHolder(t, db)
	records, err := db.Outbox().Pending(t.Context(), 10)
	if err != nil || len(records) != 1 {
		t.Fatalf("Pending = %v, %v; want one record", records, err)
	}
	if err := db.Outbox().Remove(t.Context(), records[0].Position); !errors.Is(err, domain.ErrUnavailable) {
		t.Errorf("Remove = %v without the hold; want ErrUnavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- db.Run(ctx) }()
	for err := domain.ErrUnavailable; errors.Is(err, domain.ErrUnavailable); {
		err = db.Outbox().Remove(ctx, records[0].Position)
	}
	if records, err := db.Outbox().Pending(ctx, 10); err != nil || len(records) != 0 {
		t.Errorf("Pending = %v, %v; want the record removed once the database is ours again", records, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}
