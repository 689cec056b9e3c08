// Package sqlstore keeps the notes of the built-in host and the outbox of unpublished changes in an SQL database. It
// implements ports.Notes, ports.Outbox and ports.Probe.
//
// A database has one writer at a time: a pool of one connection, whose transactions lock at their beginning, so that a
// writer waits for its turn and never meets a busy database half way. Reads go through a second pool and see what was
// committed when they began. Inside a transaction nothing may use the pools: it would wait for itself.
//
// Promises:
//
//  1. What a call reported as written survives the loss of the process and of the machine (synchronous FULL).
//  2. A note's row, its event in the outbox and its job are there together or not at all. The job queue takes part by
//     working on the transaction that it is handed.
//  3. Every committed insert into the outbox wakes Outbox.Wait, whoever made it: this package, the job queue on the same
//     pool, or a trigger. Nothing polls.
//  4. One process serves a database. A second one is told which process holds it.
//  5. A file that is not a database, is damaged, or was written by a newer version is refused and left as it is.
//
// The full-text index follows a note's content by way of a job, which calls DB.ApplyAnalysis; a change that calls for no
// job is indexed at once. Everything that is particular to SQLite is in the files named sqlite*.go.
package sqlstore
