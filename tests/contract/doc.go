// Package contract checks what the comments in ports promise, one suite for each port, on any adapter. An adapter's own
// tests call the suite with a function that opens the adapter anew, empty, for each subtest.
//
// The suites never measure time. Where a promise is that something happens, they wait for it until the test binary's
// deadline.
package contract
