// Package capture turns the job and note tables of an application that is not ours into event sources, by triggers on
// PostgreSQL: a change becomes an event if and only if its transaction commits, in commit order per row. No line of the
// application changes.
//
// A [Mapping] says which table and columns mean what. [Check] compares it with the database's catalog and reports
// everything that does not fit, at once; the [Plan] that comes of it is the SQL. [Attach], [Detach] and [Status] are the
// operator's commands, and [Counter] counts the jobs that wait and run without looking at the table.
//
// # What the triggers promise the application
//
//   - They never make its statement fail. What goes wrong in them is recorded, in the table capture_fault or else in the
//     server's log, and the statement goes on.
//   - They wait for nobody: they only insert, into tables of ours that nobody locks for longer than a migration takes.
//   - They run as the hub's role, with a fixed search_path: the application's role needs no right on our schema.
//   - An UPDATE that changes no mapped column costs one comparison.
//
// # What they cannot know
//
// Rows that are changed while triggers are disabled, as a replication worker does (session_replication_role = replica),
// give no events. Two transactions that change the tags and the title of one note side by side each report what they saw.
package capture
