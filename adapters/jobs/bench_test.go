package jobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/contract"
)

// BenchmarkJob measures a job's way from Enqueue to its handler, and to its completion in the outbox.
func BenchmarkJob(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) { benchmarkJob(b, kind.create(b)) })
	}
}

func benchmarkJob(b *testing.B, url string) {
	db, q := openTest(b, url)
	began := make(chan time.Time, 1)
	run(b, q, contract.JobFunc(func(context.Context, domain.Job, func(int, string) error) (*domain.Analysis, error) {
		began <- time.Now()
		return nil, nil
	}))
	var toStart, toEnd time.Duration
	for b.Loop() {
		s := spec(1)
		s.ID = newID()
		at := time.Now()
		enqueue(b, q, s)
		toStart += (<-began).Sub(at)
		for done := false; !done; {
			if err := db.Outbox().Wait(b.Context()); err != nil {
				b.Fatal(err)
			}
			records, err := db.Outbox().Pending(b.Context(), 100)
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range records {
				done = done || r.Worker.Kind.Type() == domain.TypeJobCompleted
				if err := db.Outbox().Remove(b.Context(), r.Position); err != nil {
					b.Fatal(err)
				}
			}
		}
		toEnd += time.Since(at)
	}
	b.ReportMetric(float64(toStart.Microseconds())/float64(b.N), "µs/start")
	b.ReportMetric(float64(toEnd.Microseconds())/float64(b.N), "µs/complete")
}
