package eventlog_test

import (
	"context"
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	origin = domain.UUID{0: 0xFF, 15: 0xFF}
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	all    = &domain.Filter{}
)

// id returns the identifier numbered n, which is not zero for any n from 0.
func id(n int) domain.UUID {
	var u domain.UUID
	binary.BigEndian.PutUint64(u[8:], uint64(n)+1)
	return u
}

// status returns a QueueStatus, an event of about 150 bytes.
func status(n int) domain.Event {
	return domain.Event{ID: id(n), OccurredAt: noon.Add(time.Duration(n) * time.Second), Payload: domain.QueueStatus{Pending: n}}
}

// progress returns a JobProgress with a message of the length given.
func progress(n, length int) domain.Event {
	return domain.Event{ID: id(n), OccurredAt: noon, Payload: domain.JobProgress{
		JobRef: domain.JobRef{JobID: id(1000 + n)}, Percent: n % 101, Message: strings.Repeat("m", length),
	}}
}

func completed(n int) domain.Event {
	return domain.Event{ID: id(n), OccurredAt: noon, Payload: domain.JobCompleted{JobRef: domain.JobRef{JobID: id(1000 + n), JobType: "Embedding"}}}
}

// fill appends the QueueStatus events numbered from first up to, but not including, end.
func fill(t testing.TB, l *eventlog.Log, first, end int) {
	t.Helper()
	for n := first; n < end; n++ {
		if _, fresh, err := l.Append(t.Context(), status(n)); err != nil || !fresh {
			t.Fatalf("Append(%d) = fresh %v, %v", n, fresh, err)
		}
	}
}

// seqs returns the sequence numbers of entries.
func seqs(entries []domain.Entry) []domain.Seq {
	out := make([]domain.Seq, len(entries))
	for i, e := range entries {
		out[i] = e.Seq
	}
	return out
}

// A call is a blocking call under way in a synctest bubble.
type call struct {
	done chan error
}

func start(fn func() error) *call {
	c := &call{done: make(chan error, 1)}
	go func() { c.done <- fn() }()
	return c
}

func publish(ctx context.Context, l *eventlog.Log, events ...domain.Event) *call {
	return start(func() error { return l.Publish(ctx, events...) })
}

// mustWait fails when the call returns before somebody else does something.
func (c *call) mustWait(t *testing.T, why string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-c.done:
		t.Fatalf("returned %v, want it to wait: %s", err, why)
	default:
	}
}

// mustReturn returns what the call returned, and fails when it still waits.
func (c *call) mustReturn(t *testing.T, why string) error {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-c.done:
		return err
	default:
		t.Fatalf("still waits, want it to return: %s", why)
		return nil
	}
}

func (c *call) mustSucceed(t *testing.T, why string) {
	t.Helper()
	if err := c.mustReturn(t, why); err != nil {
		t.Fatalf("returned %v: %s", err, why)
	}
}
