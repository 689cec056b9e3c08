// Package webhook sends webhook deliveries over HTTP: one attempt per call, to addresses that are public unless the
// operator has opened them.
//
// What it promises:
//
//   - An attempt is one request, on one connection, ended by one deadline that runs from the first look at the name to the
//     last byte of the answer, however slowly the receiver lets any of them come. (A header Idempotency-Key of the webhook's
//     own makes net/http send the request again when a connection that was used before breaks under it.)
//   - A connection is made only to an address that the Guard has passed. The address is the one of the socket, not of an
//     earlier look-up, so a name that resolves differently the second time gains nothing. Proxies of the environment are
//     not used and redirects are not followed.
//   - Of an answer, 64 KiB are read, and 4 KiB kept as they came: nothing is decompressed.
//   - No Outcome holds a URL, a header value or a secret.
//
// It never retries, keeps no state but idle connections, and decides nothing: what an Outcome means for a delivery is said
// by the domain.
package webhook
