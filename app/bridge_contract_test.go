package app_test

import (
	"encoding/binary"
	"sync/atomic"
	"testing"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/contract"
)

// deaf hears nothing of the queue.
type deaf struct{}

func (deaf) Changed() {}
func (deaf) Demand()  {}

func TestBridgeContract(t *testing.T) {
	contract.Publisher(t, func(*testing.T) contract.PublisherFixture {
		var last atomic.Uint64
		newID := func() (u domain.UUID) {
			binary.BigEndian.PutUint64(u[8:], last.Add(1))
			return u
		}
		log := eventlog.New(newID(), eventlog.Options{})
		return contract.PublisherFixture{Publisher: app.NewBridge(log, newID, deaf{}, app.BridgeOptions{}), Log: log}
	})
}
