package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// reapPeriod is how often Run looks for attempts that nobody makes.
	reapPeriod = 5 * time.Second

	// resultPatience is how long after a handler has returned River may still be trying to store the result. It tries three
	// times, for ten seconds each, with pauses of a few seconds.
	resultPatience = time.Minute
)

// attempt is one attempt at one of River's jobs.
type attempt struct {
	id     int64
	number int
}

// attempts knows what this process works on. The zero value is ready.
type attempts struct {
	mu    sync.Mutex            // guards ended
	ended map[attempt]time.Time // when the handler returned; zero while it runs
}

// begin notes that an attempt is being made, until the function that it returns is called.
func (a *attempts) begin(x attempt) (end func()) {
	a.set(x, time.Time{})
	return func() { a.set(x, time.Now()) }
}

func (a *attempts) set(x attempt, ended time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended == nil {
		a.ended = map[attempt]time.Time{}
	}
	a.ended[x] = ended
}

// settle notes that the result of an attempt is stored.
func (a *attempts) settle(x attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ended, known := a.ended[x]; known && !ended.IsZero() {
		delete(a.ended, x)
	}
}

// made reports whether an attempt is being made, or its result may be about to be stored.
func (a *attempts) made(x attempt) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	ended, known := a.ended[x]
	return known && (ended.IsZero() || time.Since(ended) < resultPatience)
}

// forget drops what ended so long ago that it makes no difference, for results may be stored without our being told.
func (a *attempts) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for x, ended := range a.ended {
		if !ended.IsZero() && time.Since(ended) >= resultPatience {
			delete(a.ended, x)
		}
	}
}

// reap interrupts jobs that run by the database but not in this process, the only one that runs jobs: when the answer of
// the database is lost, River does not know which jobs it has taken up, and when it is away for long, River gives up on
// storing a result. A job must be found so twice in a row, in suspects and now; it may just be on its way to its handler.
func (q *Queue) reap(ctx context.Context, suspects map[attempt]bool) (next map[attempt]bool) {
	q.attempts.forget()
	running, err := q.listRunning(ctx)
	if err != nil {
		return nil // who needs the database says so
	}
	next = map[attempt]bool{}
	for _, x := range running {
		switch {
		case q.attempts.made(x):
		case !suspects[x]:
			next[x] = true
		default:
			q.o.Logger.WarnContext(ctx, "a job runs nowhere", slog.Int64("river_id", x.id), slog.Int("attempt", x.number))
			which := fmt.Sprintf("id = %d AND attempt = %d", x.id, x.number)
			if _, err := q.write.ExecContext(ctx, strings.ReplaceAll(q.sql.interrupt, "@which", which)); err != nil {
				next[x] = true
			}
			q.Wake()
		}
	}
	return next
}

func (q *Queue) listRunning(ctx context.Context) (found []attempt, err error) {
	rows, err := q.read.QueryContext(ctx, q.sql.running)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // it was only read
	for rows.Next() {
		var x attempt
		if err := rows.Scan(&x.id, &x.number); err != nil {
			return nil, err
		}
		found = append(found, x)
	}
	return found, rows.Err()
}
