package delivery

import (
	"context"
	"time"

	"github.com/matric/matric-events/ports"
)

const (
	pruneBatch  = 500
	pruneFirst  = time.Minute // after the start, which has enough to do
	prunePeriod = time.Hour
)

// Retention is how long deliveries are kept once they are at their end. Zero members stand for the default.
type Retention struct {
	Delivered time.Duration // 7 days
	Dead      time.Duration // and canceled; 30 days
}

// Janitor deletes deliveries that have been kept for long enough. Use NewJanitor, then Run.
type Janitor struct {
	log      ports.DeliveryLog
	observer ports.Observer
	keep     Retention
}

// NewJanitor returns a janitor.
func NewJanitor(log ports.DeliveryLog, observer ports.Observer, keep Retention) *Janitor {
	if keep.Delivered <= 0 {
		keep.Delivered = 7 * 24 * time.Hour
	}
	if keep.Dead <= 0 {
		keep.Dead = 30 * 24 * time.Hour
	}
	return &Janitor{log: log, observer: observer, keep: keep}
}

// Run cleans up every hour until ctx ends. A failing store is reported and tried again the next time.
func (j *Janitor) Run(ctx context.Context) error {
	for wait := pruneFirst; ; wait = prunePeriod {
		select {
		case <-time.After(wait):
			j.prune(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

func (j *Janitor) prune(ctx context.Context) {
	now := time.Now()
	for ctx.Err() == nil {
		n := 0
		err := try(ctx, func(ctx context.Context) (err error) {
			n, err = j.log.Prune(ctx, now.Add(-j.keep.Delivered), now.Add(-j.keep.Dead), pruneBatch)
			return err
		})
		if err != nil {
			j.observer.Anomaly("webhook_prune", err)
			return
		}
		if n < pruneBatch {
			return
		}
	}
}
