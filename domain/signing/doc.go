// Package signing signs webhook deliveries and verifies them, in two families of signatures at once. Receivers written in
// Go may import it: it needs the standard library only and no other package of this module.
//
// # What is on a delivery
//
//	webhook-id: 019…                          the event's ID, the same on every retry: de-duplicate by it
//	webhook-timestamp: 1764000000             when this attempt was sent, in Unix seconds
//	webhook-signature: v1,<base64> v1,<base64>   Standard Webhooks: HMAC-SHA256 over id.timestamp.body
//	X-Matric-Signature: sha256=<hex>          HMAC-SHA256 over the body alone, as GitHub does
//
// # Which bytes are the key
//
// This is where receivers lose hours, so plainly: X-Matric-Signature always takes the UTF-8 bytes of the secret as it is
// written, prefix included. Standard Webhooks takes the bytes that the base64 after whsec_ stands for, when there are 24
// to 64 of them; a secret in any other form is its own key, and stock Standard Webhooks verifiers, which insist on
// base64, cannot be given it.
//
// # Receiving
//
// Read the body as it came, before any JSON decoding, and ask Verifier.Verify. It checks the Standard Webhooks headers,
// which also bind the ID and the time, so that a recorded delivery cannot be replayed for long. Verifier.VerifyBody
// checks X-Matric-Signature, which cannot tell an old delivery from a new one; use it where nothing else is possible.
// Answer 2xx once the event is stored, and 401 or 403 when the signature is wrong.
//
// # Rotation
//
// While an old secret overlaps with its successor, webhook-signature carries a signature by each, and X-Matric-Signature,
// which has room for one, stays on the oldest. A receiver of the first family can change over at any moment of the
// overlap; one of the second gives its verifier both secrets. Either way no delivery is refused.
//
// Nothing here reads the clock or draws randomness: time and entropy arrive as arguments. Secrets are never printed by
// fmt.
package signing
