package stream

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

// FuzzQuery reads the query of each transport: all find the same filter in it, numbers are within their bounds, and what is
// refused is refused by the name of the parameter.
func FuzzQuery(f *testing.F) {
	const id = "01930000-0000-7000-8000-000000000001"
	for _, seed := range []string{
		"", "types=job&types=note.updated,nope", "types=nope", "job_id=" + id + "&note_id=" + id + "," + id, "job_id=x", "after=" + id, "after=x", "limit=0", "limit=1000&wait=50", "limit=1001", "wait=51",
		"wait=-1", "wait=%2B5", "limit=9223372036854775808", "limit=1_000", "on_lag=skip", "on_lag=Skip", "names=dotted", "names=", "names=x", "last_event_id=x%00", "types=%ff", "types=job;note", "a=b&&=c", "%zz",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return // refused before
		}
		poll, pollErr := parsePoll(q)
		socket, socketErr := socketQuery(q)
		events, eventsErr := eventsRequest(&http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{}})
		for err, names := range map[error][]string{pollErr: {"after", "limit", "wait"}, socketErr: {"on_lag"}, eventsErr: {"names"}} {
			if fe, ok := errors.AsType[*domain.FieldError](err); err != nil && (!ok || !slices.Contains(append(names, "types", "job_id", "note_id"), fe.Field)) {
				t.Fatalf("%q: %v", query, err)
			}
		}
		if pollErr == nil && (poll.limit < 1 || poll.limit > maxPollLimit || poll.wait < 0 || poll.wait > maxPollWait*time.Second) {
			t.Fatalf("%q: limit %d, wait %s", query, poll.limit, poll.wait)
		}
		if _, err := queryFilter(q); err != nil {
			if pollErr == nil || socketErr == nil || eventsErr == nil {
				t.Fatalf("%q: the filter is wrong (%v), but not everywhere: %v, %v, %v", query, err, pollErr, socketErr, eventsErr)
			}
			return
		}
		if socketErr == nil && eventsErr == nil && (!cmp.Equal(socket.filter, events.filter) || socket.lastEventID != events.lastEventID && !q.Has("lastEventId")) {
			t.Fatalf("%q: %+v, %+v", query, socket, events)
		}
		if pollErr == nil && socketErr == nil && !cmp.Equal(socket.filter, poll.filter) {
			t.Fatalf("%q: %+v, %+v", query, socket, poll)
		}
	})
}
