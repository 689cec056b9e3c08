package eventlog_test

import (
	"testing"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
	"github.com/matric/matric-events/tests/contract"
)

var _ ports.Feed = (*eventlog.Log)(nil)

func TestContract(t *testing.T) {
	contract.Feed(t, func(t *testing.T, kept int) contract.FeedFixture {
		l := eventlog.New(origin, eventlog.Options{Capacity: kept})
		return contract.FeedFixture{Feed: l, Append: func(t *testing.T, e domain.Event) {
			t.Helper()
			if _, fresh, err := l.Append(t.Context(), e); !fresh || err != nil {
				t.Fatalf("Append = fresh %v, %v", fresh, err)
			}
		}}
	})
}
