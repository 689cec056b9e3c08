// Package webhook holds the vocabulary of outgoing deliveries: webhooks and what clients may set of them, URLs and headers
// that are safe to send to, one attempt's Request and Outcome, and the life of a delivery.
//
// # The life of a delivery
//
//	            Begin               Settle
//	pending ───────────► in_flight ───────► delivered     success
//	   ▲                     │ ├──────────► pending       failure, and retries are left: due after the schedule
//	   │◄── Release ─────────┘ └──────────► dead          failure, and none are left; or 410
//	   │
//	   └── Redeliver ── pending, delivered, dead, canceled: due now, with a fresh budget
//
//	pending, in_flight ── Cancel ──► canceled
//
// Every other transition is an ErrConflict. Attempts are counted over the whole life and never reused, so that a number
// names one attempt in the history and in X-Matric-Attempt; the budget counts those since the last Redeliver. An attempt
// that ends because this process stops is given back: it is neither counted nor charged.
//
// # What the types promise
//
// A URL is one that net/http dials the way we read it; Headers hold nothing that we set ourselves; a Progress is one that
// the transitions above lead to. None can be made otherwise than by the functions here that check it.
//
// Everything is a value or a pure function: time, entropy and random numbers arrive as arguments. net/url and net/netip are
// imported for parsing only.
package webhook
