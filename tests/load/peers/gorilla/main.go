// Command gorilla is the hub that people write by hand on github.com/gorilla/websocket: one goroutine that knows all clients,
// and for each client a buffered channel, a goroutine that reads and one that writes what waits in the channel as one message.
package main

import "github.com/matric/matric-events/tests/load/peers/internal/peer"

func main() {
	h := newHub()
	go h.run()
	peer.Serve("/ws", h, h.publish)
}
