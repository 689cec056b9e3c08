// Package jobs is the job queue of the built-in host: River on the tables of the note store's database. It implements
// ports.JobQueue and ports.JobCounter.
//
// Promises:
//
//  1. A job is there if and only if the transaction that enqueued it committed, and is taken up as soon as the owner of
//     that transaction calls Queue.Wake. Nothing depends on polling; River's slow poll is a safety net.
//  2. Triggers on River's table write the WorkerEvent of every change of state to the outbox, in the transaction of the
//     change, whoever makes it. So events are neither lost nor told of what was rolled back, and stand in the outbox in
//     the order of the commits: JobQueued; then for each attempt JobStarted, JobProgress as reported, and exactly one of
//     JobCompleted and JobFailed. Nothing of an attempt follows its end.
//  3. The result of a job and its completion are one transaction. NoteUpdated follows JobCompleted in it when the result
//     changed the note.
//  4. A job that was canceled does not complete, whatever its handler returns: who commits first decides.
//  5. An attempt that is cut short ends with JobFailed "interrupted", so that whoever shows jobs does not show it running
//     while nothing runs. When the process was killed the attempt counts, lest a job that crashes the process do so for
//     ever, and the last one ends as failed. When the queue was stopped it does not count, and will_retry is always true.
//
// Not promised: that a handler runs only once, since a process may die after the handler returned and before the result
// was stored.
//
// A failed or canceled attempt becomes visible up to 250 ms after its handler returned. River collects results for that
// long, and its internals would have to be replaced to prevent it: a result that we wrote ourselves, as completion does,
// would be followed by River's own, which could by then hit the job's next attempt. A completed job has no next attempt.
//
// One process serves a database. So what it needs to be told of is told within the process, on both kinds of databases:
// River's clients get their notifications from a switchboard, and never poll for what this process did. On PostgreSQL,
// where other programs may insert jobs, a notification on the store's channel leads to Queue.Wake by way of
// sqlstore.DB.OnCommit. What is particular to a kind of database is its dialect, in sqlite.go and postgres.go.
package jobs
