// Package domain holds the hub's vocabulary: events, worker and note events, filters, notes, jobs, and the errors that
// callers may act on.
//
// Everything here is a value or a pure function. Nothing reads the clock, draws randomness, logs, blocks or starts a
// goroutine; time and identifiers arrive as arguments. Standard library only; tests/arch fails otherwise.
package domain
