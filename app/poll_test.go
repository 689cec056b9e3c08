package app

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// publishJob appends an event of a job and returns its identifier.
func publishJob(t *testing.T, log *eventlog.Log, job domain.UUID, percent int) domain.UUID {
	t.Helper()
	e := domain.Event{ID: testID(), OccurredAt: time.Now(), Payload: domain.JobProgress{JobRef: domain.JobRef{JobID: job}, Percent: percent}}
	if err := log.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e.ID
}

func ids(entries []domain.Entry) (list []domain.UUID) {
	for _, e := range entries {
		list = append(list, e.ID)
	}
	return list
}

func TestPoll(t *testing.T) {
	log := eventlog.New(testID(), eventlog.Options{Capacity: 4})
	start := Poll(log, PollQuery{Limit: 1}).Cursor
	job := testID()
	var all []domain.UUID
	for i := range 4 {
		all = append(all, publishJob(t, log, job, i))
	}
	for _, tc := range []struct {
		why  string
		q    PollQuery
		want []domain.UUID
		end  PollAnswer
	}{
		{"no cursor is from now on", PollQuery{Limit: 2}, nil, PollAnswer{Cursor: all[3]}},
		{"from the start", PollQuery{After: start, Limit: 9}, all, PollAnswer{Cursor: all[3]}},
		{"a part", PollQuery{After: start, Limit: 3}, all[:3], PollAnswer{Cursor: all[2], HasMore: true}},
		{"exactly all", PollQuery{After: all[1], Limit: 2}, all[2:], PollAnswer{Cursor: all[3]}},
		{"nobody's cursor", PollQuery{After: testID(), Limit: 1}, all[:1], PollAnswer{Cursor: all[0], Truncated: true, HasMore: true}},
		{"others' events", PollQuery{After: start, Limit: 1, Filter: domain.Filter{Jobs: []domain.UUID{testID()}}}, nil, PollAnswer{Cursor: all[3]}},
	} {
		t.Run(tc.why, func(t *testing.T) {
			got := Poll(log, tc.q)
			if d := cmp.Diff(tc.want, ids(got.Entries)); d != "" {
				t.Error(d)
			}
			got.Entries = nil
			if d := cmp.Diff(tc.end, got); d != "" {
				t.Error(d)
			}
		})
	}
	publishJob(t, log, job, 4)
	if got := Poll(log, PollQuery{After: start, Limit: 9}); !got.Truncated || len(got.Entries) != 4 {
		t.Errorf("a cursor that the log has overtaken: %d events, truncated %v", len(got.Entries), got.Truncated)
	}
}

func TestRecent(t *testing.T) {
	log := eventlog.New(testID(), eventlog.Options{Capacity: 1000})
	if got := Recent(log, domain.Filter{}, 3); len(got.Entries) != 0 || got.Cursor.IsZero() {
		t.Errorf("of an empty log: %+v", got)
	}
	mine := testID()
	var want []domain.UUID
	for i := range 700 {
		publishJob(t, log, testID(), i%100)
		if i%100 == 0 {
			want = append(want, publishJob(t, log, mine, 1))
		}
	}
	for _, tc := range []struct {
		n    int
		more bool
	}{{3, true}, {7, false}, {8, false}} {
		t.Run(fmt.Sprint(tc.n), func(t *testing.T) {
			got := Recent(log, domain.Filter{Jobs: []domain.UUID{mine}}, tc.n)
			if d := cmp.Diff(want[len(want)-min(tc.n, len(want)):], ids(got.Entries)); d != "" || got.HasMore != tc.more {
				t.Errorf("more: %v, %s", got.HasMore, d)
			}
		})
	}
}

// TestAttend wants who waits to count, to be listed, and to be sent away.
func TestAttend(t *testing.T) {
	observer := newObserver()
	r := NewRegistry(Limits{Connections: 1}, observer)
	ctx, leave, err := r.Attend(t.Context(), "192.0.2.1", domain.Connection{ID: testID(), Transport: "mcp", Remote: "192.0.2.1:9"})
	if err != nil {
		t.Fatal(err)
	}
	if list := r.List(); len(list) != 1 || list[0].Transport != "mcp" || list[0].Since.IsZero() {
		t.Errorf("listed: %+v", list)
	}
	if _, _, err := r.Attend(t.Context(), "192.0.2.1", domain.Connection{Transport: "mcp"}); !errors.Is(err, domain.ErrUnavailable) {
		t.Errorf("a second one: %v", err)
	}
	if err := r.Kick(r.List()[0].ID); err != nil || ctx.Err() == nil {
		t.Errorf("kicked: %v, the context: %v", err, ctx.Err())
	}
	leave("answered")
	if d := cmp.Diff([]string{"answered"}, observer.closed); d != "" || r.Len() != 0 {
		t.Errorf("%d left, %s", r.Len(), d)
	}
}
