// Command gosse serves an event stream at /sse with github.com/tmaxmax/go-sse, its default provider and settings.
package main

import (
	"net/http"

	"github.com/tmaxmax/go-sse"

	"github.com/matric/matric-events/tests/load/peers/internal/peer"
)

func main() {
	s := &sse.Server{OnSession: func(w http.ResponseWriter, _ *http.Request) ([]string, bool) {
		// The library sends its headers with the first event; clients want to know before that they are connected.
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		return nil, http.NewResponseController(w).Flush() == nil
	}}
	peer.Serve("/sse", s, func(event []byte) error {
		m := &sse.Message{}
		m.AppendData(string(event))
		return s.Publish(m)
	})
}
