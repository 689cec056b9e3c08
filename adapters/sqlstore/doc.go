// Package sqlstore keeps webhooks and their deliveries, the notes of the built-in host, and the outbox of unpublished
// changes in an SQL database, SQLite or PostgreSQL. It implements ports.Webhooks, ports.Deliveries, ports.DeliveryLog,
// ports.Notes, ports.Outbox, ports.OutboxKeeper and ports.Probe.
//
// Promises:
//
//  1. What a call reported as written survives the loss of the process and of the machine (synchronous FULL,
//     synchronous_commit on). What it removed from the outbox on PostgreSQL may come back.
//  2. A note's row, its event in the outbox and its job are there together or not at all. The job queue takes part by
//     working on the transaction that it is handed.
//  3. Every committed insert into the outbox wakes Outbox.Wait, whoever made it: this package, the job queue on the same
//     pool, or a trigger; on PostgreSQL, of any program. Nothing polls to find it. As a notification of PostgreSQL may be
//     lost, DB.Listen also looks once it is connected again, and every two seconds.
//  4. One process serves a database. A second one is told which process holds it. DB.Run ends when the hold is lost. Until
//     it does, nothing is removed from the outbox and no delivery is put in flight without it.
//  5. A file that is not a database, is damaged, or was written by a newer version is refused and left as it is.
//  6. Secrets of webhooks and values of their headers are encrypted (AES-256-GCM), each for its own row and column, with
//     a key that is not in the database.
//  7. A batch of deliveries is a handful of statements or one transaction of prepared ones, whatever its size. No statement
//     on the way of a delivery reads more as more deliveries are stored.
//
// SQLite has one writer at a time: a pool of one connection, whose transactions lock at their beginning, so that a writer
// waits for its turn and never meets a busy database half way. Reads go through a second pool and see what was committed
// when they began. Inside a transaction nothing may use the pools: it would wait for itself.
//
// On PostgreSQL every transaction locks webhooks before deliveries, and either in the order of their IDs, so that none
// waits for one that waits for it. The hold is an advisory lock on a connection of its own. All tables are in the schema
// matric_events, which the first MigrateUp makes, or in the first one of the URL's search_path.
//
// What the two do differently is behind the interface engine, in the files named sqlite*.go and postgres*.go; SQL that
// both understand is where it is used. The full-text index follows a note's content by way of a job, which calls
// DB.ApplyAnalysis; a change that calls for no job is indexed at once.
package sqlstore
