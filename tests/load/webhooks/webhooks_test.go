package webhooks_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/pgtest"
)

// stores are what each benchmark runs on: names and how to make an empty database.
var stores = []struct {
	name string
	url  func(b *testing.B) string
}{
	{"sqlite", func(b *testing.B) string { return "sqlite:" + filepath.Join(b.TempDir(), "hub.db") }},
	{"postgres", func(b *testing.B) string { return pgtest.Database(b) }},
}

func serve(b *testing.B, database string, more ...string) *harness.Server {
	return harness.Serve(b, append([]string{
		"--database-url", database, "--no-host", "--webhook-allow-http", "--webhook-allow-cidr", "127.0.0.0/8", "--log-level", "error", "--secret-key-file", filepath.Join(b.TempDir(), "key"),
	}, more...)...)
}

func hook(s *harness.Server, url, events string) string {
	return s.Call(201, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"url":%q,"events":[%q]}`, url, events))["id"].(string)
}

// progress is an event of about a kilobyte that says when it was published.
func progress() string {
	return fmt.Sprintf(`{"type":"JobProgress","job_id":%q,"job_type":"Embedding","percent":50,"message":"%s%d %s"}`,
		uuid.NewString(), sentMark, time.Now().UnixMicro(), strings.Repeat("x", 750))
}

// publish posts events as NDJSON.
func publish(b *testing.B, s *harness.Server, events []string) {
	resp, err := http.Post(s.URL+"/api/v1/worker-events", "application/x-ndjson", strings.NewReader(strings.Join(events, "\n")))
	if err != nil {
		b.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		b.Errorf("publish: %s", resp.Status)
	}
}

// BenchmarkWebhooks is the throughput end to end: four producers publish in batches of fifty, until a receiver in another
// process has all of it.
func BenchmarkWebhooks(b *testing.B) {
	for _, store := range stores {
		b.Run(store.name, func(b *testing.B) {
			s, rc := serve(b, store.url(b)), startReceiver(b)
			hook(s, rc.url+"/hook", "job.progress")
			n := max(b.N, 1000)
			before := cpuSeconds(b, s.PID())
			b.ResetTimer()
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for left := n / 4; left > 0; {
						batch := make([]string, min(50, left))
						for i := range batch {
							batch[i] = progress()
						}
						publish(b, s, batch)
						left -= len(batch)
					}
				})
			}
			wg.Wait()
			rc.await(n / 4 * 4)
			b.StopTimer()
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "deliveries/s")
			b.ReportMetric((cpuSeconds(b, s.PID())-before)/float64(n)*1e6, "server-CPU-s/M")
		})
	}
}

// BenchmarkWebhookLatency publishes one event at a time, a thousand a second, for five seconds.
func BenchmarkWebhookLatency(b *testing.B) {
	for _, store := range stores {
		b.Run(store.name, func(b *testing.B) {
			s, rc := serve(b, store.url(b)), startReceiver(b)
			hook(s, rc.url+"/hook", "job.progress")
			c := steady(b, s, rc, 1000, 5*time.Second)
			b.ReportMetric(float64(c.P50)/1000, "p50-ms")
			b.ReportMetric(float64(c.P99)/1000, "p99-ms")
		})
	}
}

// BenchmarkNoisyNeighbour compares a healthy endpoint's latency before and while another one hangs with a long backlog.
func BenchmarkNoisyNeighbour(b *testing.B) {
	backlog := 500_000
	if n, err := strconv.Atoi(os.Getenv("BACKLOG")); err == nil {
		backlog = n
	}
	for _, store := range stores {
		b.Run(store.name, func(b *testing.B) {
			s, rc := serve(b, store.url(b)), startReceiver(b)
			hook(s, rc.url+"/hook", "job.progress")
			alone := steady(b, s, rc, 300, 5*time.Second)
			hook(s, rc.url+"/hang", "job.queued")
			for done := 0; done < backlog; {
				batch := make([]string, min(4000, backlog-done))
				for i := range batch {
					batch[i] = fmt.Sprintf(`{"type":"JobQueued","job_id":%q,"job_type":"Embedding"}`, uuid.NewString())
				}
				publish(b, s, batch)
				done += len(batch)
			}
			beside := steady(b, s, rc, 300, 5*time.Second)
			b.ReportMetric(float64(alone.P99)/1000, "alone-p99-ms")
			b.ReportMetric(float64(beside.P99)/1000, "beside-p99-ms")
			b.ReportMetric(float64(beside.P99)/float64(alone.P99), "ratio")
		})
	}
}

// steady publishes single events at a rate, by ten producers, and returns what the receiver measured.
func steady(b *testing.B, s *harness.Server, rc *receiver, perSecond int, length time.Duration) counts {
	b.Helper()
	const producers = 10
	rc.counts("?reset")
	n := int(length.Seconds()) * perSecond / producers
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			tick := time.NewTicker(time.Second * producers / time.Duration(perSecond))
			defer tick.Stop()
			for range n {
				publish(b, s, []string{progress()})
				<-tick.C
			}
		})
	}
	wg.Wait()
	return rc.await(n * producers)
}

// cpuSeconds returns the processor time that a process has used.
func cpuSeconds(b *testing.B, pid int) float64 {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // not Linux
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}
