package sqlstore

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/matric/matric-events/tests/pgtest"
)

// BenchmarkPostgresDrain reads and removes a long outbox, by batches of different sizes.
func BenchmarkPostgresDrain(b *testing.B) {
	for _, batch := range []int{256, 1024, 4096} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			db := openKind(b, pgtest.Database(b))
			if _, err := db.SQL().ExecContext(b.Context(), `INSERT INTO outbox (kind, body) SELECT 'worker', json_build_object(
				'type', 'JobQueued', 'event_id', gen_random_uuid(), 'occurred_at', '2026-11-23T12:00:00Z',
				'job_id', gen_random_uuid(), 'job_type', 'Embedding') FROM generate_series(1, $1)`, b.N); err != nil {
				b.Fatal(err)
			}
			held, err := db.SQL().BeginTx(b.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
			if err != nil {
				b.Fatal(err)
			}
			defer held.Rollback()
			held.ExecContext(b.Context(), `SELECT pg_current_xact_id()`)
			b.ResetTimer()
			for left := b.N; left > 0; {
				records, err := db.Outbox().Pending(b.Context(), batch)
				if err != nil {
					b.Fatal(err)
				}
				positions := make([]int64, len(records))
				for i, r := range records {
					positions[i] = r.Position
				}
				if err := db.Outbox().Remove(b.Context(), positions...); err != nil {
					b.Fatal(err)
				}
				left -= len(records)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
