// Package eventlog is the bounded broadcast log in memory that every delivery reads from: one ordered sequence of encoded
// events, many cursors over it.
//
// # Guarantees
//
//  1. Append gives an event the next sequence number and encodes it once. All readers see the same bytes in the same
//     order.
//  2. A reader is a position. The log keeps no queue, goroutine, channel or timer for it; a thousand readers cost a
//     thousand integers.
//  3. A lossy reader that fell behind the oldest kept entry is told how many entries it missed, never silently skipped.
//  4. A gating reader (Gate) is never lapped: appends wait for it, with the caller's context, rather than overwrite what
//     it has not stored. Publish returns nil only once every gate that wanted the events has stored them. A gate that
//     wants nothing of an event costs it nothing.
//  5. An event ID is appended at most once per process, within the memory of recent identifiers (Options.Remember).
//  6. The number of kept entries and the sum of their JSON bytes are bounded; the newest entry is always kept.
//
// # What you may not assume
//
// That an entry is gone because Publish failed: with a context that ended it may be in the log, seen by live readers,
// and not yet stored by every gate. Publishing it again under the same ID waits for the gates again and adds nothing.
package eventlog
