package client_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/matric/matric-events/adapters/client"
	"github.com/matric/matric-events/adapters/httpapi"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/tests/contract"
)

// deaf hears nothing of the queue.
type deaf struct{}

func (deaf) Changed() {}
func (deaf) Demand()  {}

// TestPublisherContract runs the suite on the client in front of the HTTP interface, both ends of the wire.
func TestPublisherContract(t *testing.T) {
	contract.Publisher(t, func(t *testing.T) contract.PublisherFixture {
		log := eventlog.New(client.NewEventID(), eventlog.Options{})
		server := httptest.NewServer(httpapi.New(httpapi.Services{
			Publisher: app.NewBridge(log, client.NewEventID, deaf{}, app.BridgeOptions{}),
		}, httpapi.Options{Fault: func(*http.Request, error) {}})) // a publisher that gives up is one
		t.Cleanup(server.Close)
		c, err := client.New(server.URL, &client.Options{HTTPClient: server.Client()})
		if err != nil {
			t.Fatal(err)
		}
		return contract.PublisherFixture{Publisher: c, Log: log}
	})
}
