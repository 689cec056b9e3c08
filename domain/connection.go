package domain

import "time"

// Connection describes one subscriber as operators see it.
type Connection struct {
	ID        UUID
	Transport string // websocket, sse, poll or mcp
	Remote    string // host and port
	User      string // empty for anonymous
	Since     time.Time
	Filter    Filter
	Delivered uint64 // events written so far
	Lag       uint64 // events in the log that this connection has yet to pass
}
