package delivery

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/matric/matric-events/ports"
)

const (
	storeTimeout  = 10 * time.Second // of one try
	stopPatience  = 2 * time.Second  // with a store that does not answer, once all is to end: 30 s are for everything
	minStorePause = 20 * time.Millisecond
	maxStorePause = 2 * time.Second // between tries
)

// outlive returns a context that ends a while after another one.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return longer, func() {
		unwatch()
		cancel()
	}
}

// persist calls store until it succeeds, telling the observer of every failure. Once until has ended it tries one last
// time at most. The tries are made under ctx, which ends with until or outlives it.
//
// A try that fails may have been stored nevertheless: what store does must bear repetition.
func persist(until, ctx context.Context, observer ports.Observer, what string, store func(ctx context.Context) error) error {
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(minStorePause), backoff.WithMaxInterval(maxStorePause), backoff.WithMaxElapsedTime(0),
	)
	for {
		last := until.Err() != nil
		err := try(ctx, store)
		if err == nil {
			return nil
		}
		observer.Anomaly("webhook_"+what, err)
		if last {
			return err
		}
		select {
		case <-time.After(policy.NextBackOff()):
		case <-until.Done():
		}
	}
}

func try(ctx context.Context, store func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return store(ctx)
}
