package main

// hub passes each event to the channel of every client. Its one goroutine owns the set of clients.
type hub struct {
	clients map[*client]bool
	join    chan *client
	leave   chan *client
	events  chan []byte
}

func newHub() *hub {
	return &hub{clients: map[*client]bool{}, join: make(chan *client), leave: make(chan *client), events: make(chan []byte)}
}

func (h *hub) run() {
	for {
		select {
		case c := <-h.join:
			h.clients[c] = true
		case c := <-h.leave:
			h.remove(c)
		case event := <-h.events:
			for c := range h.clients {
				select {
				case c.send <- event:
				default: // it does not keep up
					h.remove(c)
				}
			}
		}
	}
}

func (h *hub) remove(c *client) {
	if h.clients[c] {
		delete(h.clients, c)
		close(c.send)
	}
}

// publish hands an event to the hub.
func (h *hub) publish(event []byte) error {
	h.events <- event
	return nil
}
