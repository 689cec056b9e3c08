// Package telemetry shows operators what happens: structured logs by zerolog, metrics for Prometheus.
//
// # Logs
//
// [Logs] writes lines without ever making who logs wait. The [Mirror] writes one line for each event; the [Observer] tells
// of connections and of what should not happen, and what it wraps ([Sender], [Stores], [Publisher]) of attempts and times.
// docs/operations/logs.md lists every field.
//
// # Metrics
//
// Counters are kept where things happen; what parts count for themselves is read when it is scraped ([Sources]). All
// labels are of closed sets. docs/operations/metrics.md lists every metric, and a test holds it to the registry.
//
// # What never gets into either
//
// A secret, a token, a request's query, more of a webhook's URL than scheme and host, a note's title, tags or content, a
// job's message, and more of anybody's error than its first 200 bytes. Lines are made of fields that are named one by
// one; texts of others go through excerpt; and what is written at all, through a scrubber.
package telemetry
