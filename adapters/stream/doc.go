// Package stream delivers the log to WebSocket, server-sent-event and poll clients.
//
// # How a delivery goes
//
// A connection is a cursor in the log and belongs to one of a few writer loops ([shard]). When the log grows, each loop
// goes over its connections, takes the bytes that each one has yet to see, and writes them with one system call that
// never blocks. The bytes are framed once per loop, transport and type filter, and shared by all connections that stand
// at the same place; only connections that filter by job or note get bytes of their own.
//
// A connection whose socket takes no more is parked: a goroutine of its own writes what is left while the loop goes on
// without it. Events that come meanwhile cost it nothing; its cursor waits in the log. If the log overtakes the cursor,
// the client is told: it is disconnected with the last event's ID, or gets the number of events that it missed.
//
// # Guarantees
//
//  1. Each client gets exactly the events that its filter selects, in log order, each once, or a counted notice.
//  2. Going from replay to live is nothing special: both are reading on from the cursor. There is no gap and no
//     duplicate.
//  3. A client that does not read costs the others nothing, and is closed when a write has stalled for the write timeout.
//  4. A WebSocket ends within the idle timeout and the time for a last write after its peer has gone silent; an event
//     stream, at the latest, when the keepalives that nobody acknowledges fail.
//
// The WebSocket side is RFC 6455 (decoder, close codes), the event stream is the WHATWG HTML standard, section 9.2.
package stream
