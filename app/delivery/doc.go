// Package delivery brings events to webhooks: at least once, across crashes, and without one endpoint delaying another.
//
// # The life of a delivery
//
// The [Recorder] is a gating reader of the log: a producer's acknowledgement waits until it has stored a delivery for each
// webhook that wants the event. What it stores is, as far as its endpoint has room, born in flight under this process's
// lease and handed to the [Dispatcher] in memory, so that the usual delivery costs no claim; what finds no room is stored
// as pending. The Dispatcher sends, and settles what became of the attempts in batches. It claims pending deliveries only
// for endpoints that have some due and room for them, sleeps until the next is due, and asks the store nothing while there
// is nothing to do. People look at deliveries, and have them sent again, at the [Desk]; the [Janitor] deletes old ones.
//
// # Fairness
//
// Each endpoint has places of its own, and as many deliveries again may wait for them in memory. An endpoint that fails
// has one place until an attempt succeeds. The last quarter of all places is for endpoints that have no attempt under way
// and did not fail the last time. So endpoints which are known to hang never take the last place, however many they are;
// and those of which that is not yet known do so only when there are more of them than a quarter of the places.
//
// # Guarantees
//
//  1. An event whose publication was acknowledged is stored for every webhook that was active and wanted it, or was
//     deleted since.
//  2. A delivery is in flight in one process at a time. What a process had in flight when it died is due again as soon as
//     the next one starts, uncharged; what the dead one settles after all is fenced off by the lease.
//  3. An orderly stop finishes the attempts that end in time and gives back the others, uncharged.
//  4. A call of the store that fails is repeated until it succeeds, and may have been done the first time: nothing is lost
//     or charged twice for that. While outcomes cannot be stored, a bounded number of attempts is made.
//  5. What waits for a webhook that is disabled, by a client or by a 410, is held in the store, and sent when it is enabled
//     again. After a 410 no attempt starts.
//
// # What you may not assume
//
// Order: up to as many attempts as an endpoint has places are under way at once, and a failed one comes again later. That
// a delivery is received once: a crash between the answer and its settlement repeats it.
package delivery
