package host_test

import (
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/matric/matric-events/tests/pgtest"
)

// BenchmarkOutboxLatency has four connections of an application commit 500 records a second, each in a transaction of its
// own, and measures how long each takes from its commit to a subscriber.
func BenchmarkOutboxLatency(b *testing.B) {
	const writers, rate, span = 4, 500, 5 * time.Second
	dsn := pgtest.Database(b)
	s := host(b, dsn)
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxIdleConns(writers)
	stream := s.Events("?types=job.queued", "")
	var mu sync.Mutex // guards committed
	committed := map[string]time.Time{}
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			pace := time.NewTicker(writers * time.Second / rate)
			defer pace.Stop()
			for range int(span.Seconds()) * rate / writers {
				<-pace.C
				job := uuid.NewString()
				if _, err := db.ExecContext(b.Context(), `INSERT INTO matric_events.outbox (kind, body) VALUES ('worker', $1)`, fmt.Sprintf(
					`{"type":"JobQueued","event_id":%q,"occurred_at":%q,"job_id":%q,"job_type":"Embedding"}`,
					uuid.Must(uuid.NewV7()), time.Now().UTC().Format(time.RFC3339Nano), job)); err != nil {
					b.Error(err)
				}
				mu.Lock()
				committed[job] = time.Now()
				mu.Unlock()
			}
		})
	}
	const total = int(span/time.Second) * rate / writers * writers
	arrived := make(map[string]time.Time, total)
	for len(arrived) < total {
		e, ok := stream.Next()
		if !ok {
			b.Fatal("the stream ended")
		}
		arrived[e.Data["job_id"].(string)] = time.Now()
	}
	wg.Wait()
	var took []float64
	for job, at := range committed {
		took = append(took, float64(arrived[job].Sub(at).Microseconds())/1000)
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "p50-ms")
	b.ReportMetric(took[len(took)*99/100], "p99-ms")
	b.ReportMetric(took[len(took)-1], "max-ms")
}
