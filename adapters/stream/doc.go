// Package stream delivers the log to WebSocket, server-sent-event and poll clients.
//
// # How a delivery goes
//
// A connection is a cursor in the log, and belongs to one of a few loops ([shard]), the only one to touch it: what others
// want of it they post to the loop. When the log grows, each loop goes over its connections, takes the bytes that each one
// has yet to see, and writes them with one system call that never blocks. Events are framed once for all connections that
// see the same types in the same format ([track]); the bytes are shared between loops and never copied. Only connections
// that filter by job or note get bytes of their own, in memory that the next one uses again.
//
// A connection whose socket takes no more is parked. Of an event that is cut in two the rest is kept; everything else stays
// where it was, for its cursor waits in the log. If the log overtakes the cursor, the client is told: it is disconnected
// with the last event's ID, or gets the number of events that it missed.
//
// # Where connections come from
//
// On Linux a connection on plain TCP is a bare descriptor: the loop's [poller] says when it can be read or written, and an
// idle client costs its struct. The listener of [Engine.Listen] looks at the first request of each connection without
// taking it; handshakes and requests for event streams with nothing unusual about them are answered right there, all else
// goes to the HTTP server untouched. What comes by way of that server, on a connection kept alive or with credentials, ends
// up on the poller just so.
//
// TLS, HTTP/2 and other systems get a goroutine that reads, and another one while the socket is full. Both kinds are behind
// one interface ([link]), and all that clients can see is tested on both.
//
// Heartbeats and deadlines are on one timing wheel for each loop ([wheel]); no connection has a timer.
//
// # Guarantees
//
//  1. Each client gets exactly the events that its filter selects, in log order, each once, or a counted notice.
//  2. Going from replay to live is nothing special: both are reading on from the cursor. There is no gap and no
//     duplicate.
//  3. A client that does not read costs the others nothing, holds no more than one event beside its struct, and is closed
//     when it has taken nothing for the write timeout.
//  4. A WebSocket ends within the idle timeout and the time for a last write after its peer has gone silent. An event stream
//     on the poller ends when what it was sent has not been acknowledged for the idle timeout; elsewhere when TCP gives up.
//
// # What you may not assume
//
// That a client is told of an event as soon as Publish returns: the loop may be in the middle of a sweep. That one write is
// one event. That the bytes of a window may be written to.
//
// The WebSocket side is RFC 6455 (decoder, close codes), the event stream is the WHATWG HTML standard, section 9.2.
package stream
