package delivery

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/matric/matric-events/ports"
)

const (
	storeTimeout  = 10 * time.Second // of one try
	maxStorePause = 2 * time.Second  // between tries
)

// persist calls store until it succeeds, telling the observer of every failure. Once ctx has ended it tries one last time
// at most.
func persist(ctx context.Context, observer ports.Observer, what string, store func(ctx context.Context) error) error {
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMaxInterval(maxStorePause), backoff.WithMaxElapsedTime(0),
	)
	return backoff.RetryNotify(func() error {
		try, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		defer cancel()
		return store(try)
	}, backoff.WithContext(policy, ctx), func(err error, _ time.Duration) { observer.Anomaly("webhook_"+what, err) })
}
