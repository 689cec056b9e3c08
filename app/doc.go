// Package app holds the use cases and all concurrency policy. It tells technologies what to do through ports and is told
// by them what happened; it imports none of them.
//
// # The life of an event
//
// A producer reports a [domain.WorkerEvent] or a [domain.NoteEvent], over HTTP straight to the [Bridge], or by committing
// it to the outbox together with the change that it tells of, from where the [Drain] brings it to the same Bridge. The
// Bridge fills in what it remembers of the job, gives the event its identifier unless it was born with one, and appends
// it to the log ([eventlog.Log]), which encodes it once. From there every reader goes at its own pace: WebSocket and SSE
// connections and polls, which are known to the [Registry] and may fall behind and are told so (those of them that wait for
// one event stand together in a [Lot]); and gating readers, which the producer's acknowledgement waits for. A change of the
// queue makes the [QueueMonitor] count anew and publish a QueueStatus when the counts differ.
//
// [Notes] and [Jobs] are the built-in host, a small notes application; [Analyst] does the work of its jobs.
package app
