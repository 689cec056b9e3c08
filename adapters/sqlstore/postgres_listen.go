package sqlstore

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/lib/pq"
)

const (
	// outboxChannel is what triggers on the outbox and on the jobs notify. PostgreSQL has one space of such names for each
	// database. A notification says that there is something new, never what: it may be lost, or come for nothing.
	outboxChannel = "matric_outbox"
	payloadJob    = "job" // there is a new job, too

	// listenPulse is postgresEngine.pulse.
	listenPulse = 2 * time.Second

	listenRetryFirst, listenRetryMost = 50 * time.Millisecond, time.Second
	listenConnectTimeout              = 5 * time.Second
)

// listenURL returns the URL for a connection that only listens. The driver reads it once more, and does not know our
// defaults.
func listenURL(dsn string, cfg pq.Config) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic("sqlstore: the URL was read before") // the error would repeat it, and its password
	}
	q := u.Query()
	q.Set("sslmode", string(cfg.SSLMode))
	q.Set("application_name", cfg.ApplicationName)
	q.Set("connect_timeout", strconv.Itoa(int(min(cfg.ConnectTimeout, listenConnectTimeout).Seconds())))
	u.RawQuery = q.Encode()
	return u.String()
}

// listen also calls heard, for every table, when it may have missed something: after the connection was lost, and every
// few seconds in any case.
func (e postgresEngine) listen(ctx context.Context, heard func(table string)) error {
	l := pq.NewDialListener(dialer{}, e.listenURL, listenRetryFirst, listenRetryMost, nil)
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close() // ends Listen, too
		close(closed)
	})
	defer func() {
		if stop() {
			_ = l.Close()
			close(closed)
		}
		<-closed
		for range l.NotificationChannel() { // its end is that of the listener's goroutines
		}
	}()
	pulse := time.NewTicker(e.pulse)
	defer pulse.Stop()
	// This waits for a connection. Without one there is nothing to look for either.
	if err := l.Listen(outboxChannel); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	heard("")
	for {
		select {
		case <-ctx.Done():
			return nil
		case n := <-l.NotificationChannel():
			hear(n, heard)
		case <-pulse.C:
			heard("")
		}
	}
}

// hear passes a notification on. There is none when the connection was lost and is there again.
func hear(n *pq.Notification, heard func(table string)) {
	switch {
	case n == nil:
		heard("")
	case n.Extra == payloadJob:
		heard("outbox")
		heard(jobTable)
	default:
		heard("outbox")
	}
}
