// Package mcp serves the hub to AI agents: the Model Context Protocol over streamable HTTP, through the official SDK, on the
// same log and cursor as all other transports. [Proxy] brings it to clients that start a subprocess.
//
// # How a request goes
//
// The HTTP interface has seen to origin and token before a request comes here. [Server.ServeHTTP] hands it to one of two
// handlers of the SDK: from revision 2026-07-28 on there are no sessions, each request stands for itself; clients of
// earlier revisions open a session, whose stream for notifications is a GET that stays open. Both lead to the same tools
// (tools.json, which is what agents read of them) and resources.
//
// # Guarantees
//
//  1. wait_for_event and poll_events are app.Poll, as the HTTP poll is: no event is missed between two calls with the
//     cursor handed on, or the answer says truncated. A wait polls nothing, and ends when the client is gone, where the
//     revision lets us know, when an operator closes it and when the server stops.
//  2. Waits and open streams are connections in the registry, under the same limits as all others.
//  3. Input is read strictly: what is wrong is said with the name of the field and what to do, as a tool's error, which a
//     model reads. Internal faults are told to the operator only.
//  4. A subscription's notifications are coalesced: a resource that changed is told of at once, and further changes after a
//     pause. Publishers never wait for them.
//
// # What you may not assume
//
// That what users wrote comes only on request: titles, tags, messages and errors are in events. Note content is in get_note
// and in note://{id} alone. That a session survives a restart of the server: cursors of before are answered with truncated.
package mcp
