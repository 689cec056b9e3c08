// Package delivery brings events to webhooks: at least once, across crashes, and without one endpoint delaying another.
//
// # The life of a delivery
//
// The [Recorder] is a gating reader of the log: a producer's acknowledgement waits until it has stored a delivery for each
// webhook that wants the event. What it stores is, as far as its endpoint has room, born in flight under this process's
// lease and handed to the [Dispatcher] in memory, so that the usual delivery costs no claim; what finds no room is stored
// as pending. The Dispatcher sends, and settles what became of the attempts in batches. It claims pending deliveries only
// for endpoints that have some due and room for them, sleeps until the next is due, and asks the store nothing while there
// is nothing to do.
//
// # Fairness
//
// Each endpoint has places of its own, at most a share of those that are free over all, so that endpoints which hang never take
// the last one; an endpoint that fails has one place until an attempt succeeds.
//
// # Guarantees
//
//  1. An event whose publication was acknowledged is stored for every webhook that matched it, or the acknowledgement did
//     not happen.
//  2. A delivery is in flight in one process at a time. What a process had in flight when it died is due again as soon as
//     the next one starts; what it settles afterwards is fenced off by the lease.
//  3. An orderly stop finishes the attempts that end in time and gives back the others, uncharged.
package delivery
