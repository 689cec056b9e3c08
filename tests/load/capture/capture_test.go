// Package capture_test measures capture end to end: what the application pays, how fast its changes become events, and what
// a burst does to others.
package capture_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/pgtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

// jobTable is a table of jobs by name, as the preset matric has it, with rows numbered from 1.
const jobTable = `CREATE TABLE %[1]s (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n bigint GENERATED ALWAYS AS IDENTITY UNIQUE, note_id uuid DEFAULT gen_random_uuid(), job_type text DEFAULT 'ai_revision',
	status text NOT NULL DEFAULT 'running', progress_percent int, progress_message text, error_message text, started_at timestamptz, completed_at timestamptz, retry_count int DEFAULT 0, max_retries int DEFAULT 3);
	INSERT INTO %[1]s (started_at) SELECT now() FROM generate_series(1, %[2]d); ANALYZE %[1]s`

// captured makes a database with a captured table of jobs, and another one that is not.
func captured(tb testing.TB, dsn string, rows int) (db *sql.DB, key string) {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8) // an application's connections stay
	for _, table := range []string{"job_queue", "plain"} {
		must(tb, db, fmt.Sprintf(jobTable, table, rows))
	}
	key = filepath.Join(tb.TempDir(), "key")
	if _, errs, code := harness.Run(tb, "capture", "attach", "--preset", "matric", "--set", "notes=", "--database-url", dsn, "--secret-key-file", key); code != 0 {
		tb.Fatalf("attach: %s", errs)
	}
	return db, key
}

func must(tb testing.TB, db *sql.DB, statement string, args ...any) {
	tb.Helper()
	if _, err := db.ExecContext(context.Background(), statement, args...); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

func gateway(tb testing.TB, dsn, key string) *harness.Server {
	return harness.Serve(tb, "--database-url", dsn, "--no-host", "--log-level", "error", "--secret-key-file", key, "--max-connections-per-ip", "0")
}

// waiting is how many records are in the outbox.
func waiting(tb testing.TB, db *sql.DB, where string) (n int) {
	tb.Helper()
	if err := db.QueryRow(`SELECT count(*) FROM matric_events.outbox ` + where).Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}

// BenchmarkCapture is from the application's first statement until everything is an event: four writers, and transactions
// of some rows.
func BenchmarkCapture(b *testing.B) {
	for _, rows := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			const jobs = 10_000
			dsn := pgtest.Database(b)
			db, key := captured(b, dsn, jobs)
			s := gateway(b, dsn, key)
			s.Events("?types=note", "") // somebody is there
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					for i := w * rows; i < b.N; i += 4 * rows {
						if _, err := db.Exec(`UPDATE job_queue SET progress_percent = (coalesce(progress_percent, 0) + 1) % 100, progress_message = 'step' WHERE n > $1 AND n <= $1 + $2`, i%(jobs-rows), rows); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			for waiting(b, db, "") > 0 {
				time.Sleep(5 * time.Millisecond) // nothing announces it
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}

// BenchmarkCaptureCost compares an UPDATE of one row, a transaction of its own, with and without triggers, in turns. Set
// PGTEST_DSN to a server with durability: the one that tests start for themselves has none, and there a commit costs next to
// nothing.
func BenchmarkCaptureCost(b *testing.B) {
	const jobs, turn = 10_000, 50
	db, _ := captured(b, pgtest.Database(b), jobs)
	db.SetMaxOpenConns(1)
	tables := []string{"plain", "job_queue"}
	statements := map[string]*sql.Stmt{}
	for _, table := range tables {
		s, err := db.Prepare(`UPDATE ` + table + ` SET progress_percent = $2, progress_message = 'step' WHERE n = $1`)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		statements[table] = s
	}
	took := map[string]time.Duration{}
	median := map[string][]time.Duration{}
	b.ResetTimer()
	for i := 0; i < b.N; i += turn {
		for _, table := range tables {
			for k := range turn {
				began := time.Now()
				if _, err := statements[table].Exec(1+(i*7+k*13)%jobs, (i+k)%100); err != nil {
					b.Fatal(err)
				}
				d := time.Since(began)
				took[table] += d
				median[table] = append(median[table], d)
			}
		}
	}
	for _, table := range tables {
		slices.Sort(median[table])
	}
	mid := func(table string) float64 { return float64(median[table][len(median[table])/2].Microseconds()) }
	b.ReportMetric(took["job_queue"].Seconds()/took["plain"].Seconds(), "mean-ratio")
	b.ReportMetric(mid("job_queue")/mid("plain"), "median-ratio")
	b.ReportMetric(mid("plain"), "plain-µs")
	b.ReportMetric(mid("job_queue"), "captured-µs")
}

// BenchmarkCaptureLatency is from the call of COMMIT until a client of the event stream has the event, at 500 changes a
// second.
func BenchmarkCaptureLatency(b *testing.B) {
	const jobs = 10_000
	dsn := pgtest.Database(b)
	db, key := captured(b, dsn, jobs)
	stream := gateway(b, dsn, key).Events("?types=JobProgress", "")
	delays := make([]time.Duration, 0, b.N)
	var reading sync.WaitGroup
	reading.Go(func() {
		for range b.N {
			e, ok := stream.Next()
			if !ok {
				b.Error("the stream ended")
				return
			}
			delays = append(delays, since(e))
		}
	})
	pace := time.NewTicker(time.Second / 500)
	defer pace.Stop()
	b.ResetTimer()
	var writing sync.WaitGroup
	for i := range b.N {
		<-pace.C
		writing.Go(func() {
			if _, err := db.Exec(`UPDATE job_queue SET progress_percent = $2, progress_message = $3 WHERE n = $1`, 1+i%jobs, i%100, strconv.FormatInt(time.Now().UnixMicro(), 10)); err != nil {
				b.Error(err)
			}
		})
	}
	writing.Wait()
	reading.Wait()
	slices.Sort(delays)
	b.ReportMetric(float64(delays[len(delays)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(delays[len(delays)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(delays[len(delays)-1].Microseconds())/1000, "max-ms")
}

// since is how long ago an event was written, which its message says.
func since(e harness.Event) time.Duration {
	at, _ := strconv.ParseInt(fmt.Sprint(e.Data["message"]), 10, 64)
	return time.Since(time.UnixMicro(at))
}

// TestBurst changes 100,000 rows in one transaction. Others' changes are delivered while that is being drained, and the
// hub's memory stays what it was.
func TestBurst(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 rows")
	}
	const jobs = 100_000
	dsn := pgtest.Database(t)
	db, key := captured(t, dsn, jobs)
	s := gateway(t, dsn, key)
	must(t, db, `INSERT INTO job_queue (id) VALUES ('00000000-0000-4000-8000-000000000001')`)
	stream := s.Events("?job_id=00000000-0000-4000-8000-000000000001", "")
	change := func() {
		must(t, db, `UPDATE job_queue SET progress_percent = (coalesce(progress_percent, 0) + 1) % 100, progress_message = $1 WHERE id = '00000000-0000-4000-8000-000000000001'`, strconv.FormatInt(time.Now().UnixMicro(), 10))
	}
	change()
	stream.Until(harness.Named("JobProgress"))
	began := time.Now()
	must(t, db, `UPDATE job_queue SET progress_percent = 50 WHERE id <> '00000000-0000-4000-8000-000000000001'`)
	t.Logf("the application's transaction took %v", time.Since(began))
	began = time.Now()
	var slowest time.Duration
	during := 0
	for waiting(t, db, `WHERE position >= 1::bigint << 62`) > 0 {
		change()
		seen := stream.Until(harness.Named("JobProgress"))
		slowest = max(slowest, since(seen[len(seen)-1]))
		during++
	}
	t.Logf("drained in %v; meanwhile %d changes of another job, the slowest after %v; hub %s", time.Since(began), during, slowest, peak(s.PID()))
	if during == 0 {
		t.Error("nobody else was heard while the burst was drained")
	}
	if slowest > time.Second {
		t.Errorf("somebody waited %v", slowest)
	}
}

// peak is the most memory that a process has had, where the system says.
func peak(pid int) string {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return "had " + strings.TrimSpace(value)
		}
	}
	return "memory is not known"
}
