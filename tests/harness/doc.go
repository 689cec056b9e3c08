// Package harness runs the real hub for tests, together with what surrounds it: receivers of its webhooks that misbehave as they
// are told, a proxy that can cut connections, nginx. The hub's own tests use it, and so can those of an application that
// publishes to a hub or listens to one.
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		harness.CleanUp()
//		os.Exit(code)
//	}
//
//	s := harness.Serve(t, "--webhook-allow-http", "--webhook-allow-cidr", "127.0.0.0/8")
//	rc := harness.NewReceiver(t, harness.Flaky(2, 503))
//	s.Call(201, "POST", "/api/v1/webhooks", `{"url":"`+rc.URL+`"}`)
//	…
//	rc.Await(t, "the third attempt", func(got []harness.Delivery) bool { return len(got) == 3 })
//
// What it promises:
//
//   - The program is the real one, built from this module's source by the first call of a test binary. Settings in the
//     environment of the test do not reach it.
//   - Each Server has a free port of loopback and a database of its own, unless a flag says otherwise, and has ended when the
//     test has, killed if it must be. If the test has failed, what it wrote to standard error is in the test's log.
//   - A Receiver remembers every attempt in the order of arrival before it answers it, whatever the answer is: Status, Flaky,
//     Redirect, Hang (never), Drip (a byte a second, for ever), Reset (no answer), GzipBomb, or a function of your own.
//   - A Proxy passes bytes on as they are. Cut ends all connections at once and refuses new ones, Restore takes them again
//     on the same port; Reset ends them with a RST.
//   - Nothing waits for a fixed time. What does not happen within Patience fails the test, and says what it was.
//   - Missing and Need skip a test, and say so, when a program or package is not installed; with CI=true they fail it.
//
// eventstream and socket, below, are clients for the two kinds of streams that work without the rest, and without testing.
package harness
