package host_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/matric/matric-events/tests/harness"
)

// host starts a server with the built-in host.
func host(b *testing.B, database string) *harness.Server {
	return harness.Serve(b, "--database-url", database, "--log-level", "error", "--secret-key-file", filepath.Join(b.TempDir(), "key"))
}

// crud creates, reads, changes and deletes notes on four connections for as long as it is told, and returns the requests
// per second.
func crud(b *testing.B, s *harness.Server, d time.Duration) float64 {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	call := func(want int, method, path, body string) []byte {
		req, err := http.NewRequestWithContext(b.Context(), method, s.URL+path, strings.NewReader(body))
		if err != nil {
			b.Error(err)
			return nil
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			b.Error(err)
			return nil
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != want {
			b.Errorf("%s %s = %s %s, %v", method, path, resp.Status, answer, err)
		}
		return answer
	}
	var requests atomic.Int64
	began := time.Now()
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for time.Since(began) < d && !b.Failed() {
				var note struct{ ID string }
				if err := json.Unmarshal(call(201, "POST", "/api/v1/notes", `{"title":"A note","content":"See [[another]] one, with a few words."}`), &note); err != nil {
					b.Error(err)
				}
				path := "/api/v1/notes/" + note.ID
				call(200, "GET", path, "")
				call(200, "PATCH", path, `{"title":"The note"}`)
				call(204, "DELETE", path, "")
				requests.Add(4)
			}
		})
	}
	writers.Wait()
	return float64(requests.Load()) / time.Since(began).Seconds()
}

// listen opens event streams with a query, and returns what closes them.
func listen(b *testing.B, s *harness.Server, n int, query string) (end func()) {
	address := strings.TrimPrefix(s.URL, "http://")
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = c
		if _, err := fmt.Fprintf(c, "GET /api/v1/events%s HTTP/1.1\r\nHost: %s\r\n\r\n", query, address); err != nil {
			b.Fatal(err)
		}
		if line, err := bufio.NewReaderSize(c, 64).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			b.Fatalf("%s %v", line, err)
		}
		go func() { _, _ = io.Copy(io.Discard, c) }() // until it is closed
	}
	return func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}
}

// BenchmarkNotes compares the throughput of the notes with subscribers and without: idle ones, whose filter selects none of
// the events, and such that get every event. The rounds alternate in one run.
func BenchmarkNotes(b *testing.B) {
	const subscribers, rounds, round = 200, 10, time.Second
	for _, store := range stores {
		b.Run(store.name, func(b *testing.B) {
			s := host(b, store.url(b))
			crud(b, s, round)             // warm
			var none, idle, all []float64 // the latter two as ratios to a round without, right before
			for range rounds {
				alone := crud(b, s, round)
				none = append(none, alone)
				end := listen(b, s, subscribers, "?job_id="+uuid.NewString())
				idle = append(idle, crud(b, s, round)/alone)
				end()
				end = listen(b, s, subscribers, "")
				all = append(all, crud(b, s, round)/alone)
				end()
			}
			b.ReportMetric(median(none), "requests/s")
			b.ReportMetric(median(idle), "ratio-idle")
			b.ReportMetric(median(all), "ratio-listening")
		})
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// BenchmarkJobLatency measures from the moment that a note's writing is answered until its job's start is seen on a stream.
func BenchmarkJobLatency(b *testing.B) {
	for _, store := range stores {
		b.Run(store.name, func(b *testing.B) {
			s := host(b, store.url(b))
			stream := s.Events("?types=job", "")
			var took []float64
			for range max(b.N, 200) {
				began := time.Now()
				s.Call(201, "POST", "/api/v1/notes", `{"title":"A note","content":"See [[another]] one."}`)
				stream.Until(harness.Named("JobStarted"))
				took = append(took, float64(time.Since(began).Microseconds())/1000)
				stream.Until(harness.Named("JobCompleted"))
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2], "p50-ms")
			b.ReportMetric(took[len(took)*99/100], "p99-ms")
		})
	}
}
