package host_test

import (
	"database/sql"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver postgres

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/pgtest"
)

// insertBurst writes a transaction's worth of reports to the outbox, as triggers do.
const insertBurst = `INSERT INTO matric_events.outbox (kind, body) SELECT 'worker', json_build_object(
	'type', 'JobQueued', 'event_id', gen_random_uuid(), 'occurred_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
	'job_id', gen_random_uuid(), 'job_type', 'Embedding') FROM generate_series(1, $1)`

// BenchmarkOutboxBurst commits 100,000 records at once and measures how long they take to be published, and how long a note
// that is written right after them takes to reach a subscriber.
func BenchmarkOutboxBurst(b *testing.B) {
	const burst = 100_000
	dsn := pgtest.Database(b)
	s := host(b, dsn)
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	stream := s.Events("?types=note", "")
	var published, waited time.Duration
	for range b.N {
		if _, err := db.ExecContext(b.Context(), insertBurst, burst); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		s.Call(201, "POST", "/api/v1/notes", `{"title":"after the burst"}`)
		written := time.Now()
		stream.Until(harness.Named("NoteUpdated"))
		waited += time.Since(written)
		for left := 1; left > 0; time.Sleep(5 * time.Millisecond) {
			if err := db.QueryRowContext(b.Context(), `SELECT count(*) FROM matric_events.outbox`).Scan(&left); err != nil {
				b.Fatal(err)
			}
		}
		published += time.Since(began)
	}
	b.ReportMetric(float64(b.N*burst)/published.Seconds(), "records/s")
	b.ReportMetric(waited.Seconds()/float64(b.N), "s-behind-burst")
}
