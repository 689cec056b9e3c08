// Package client is the Go SDK: it publishes to a hub and subscribes to its events over HTTP.
//
//	c, err := client.New("https://hub.example.org", &client.Options{Token: token})
//	receipt, err := c.PublishWorkerEvents(ctx, batch)
//	err = c.Subscribe(ctx, ports.Subscription{}, func(m ports.Message) error { … })
//
// # Publishing
//
//   - Every event without an EventID gets one before the first attempt, so that an attempt whose answer was lost can be
//     repeated without publishing anything twice. Connection errors, 429 and 5xx are repeated, other answers are not.
//   - The whole batch is validated and encoded before anything is sent: an invalid event means that nothing was published.
//   - The hub takes a request all or nothing, and bodies up to 1 MiB. A batch that fits into one body therefore is all or
//     nothing too. A larger one is sent as several requests in order; when one of them fails, those before it stay
//     published, and the receipt that comes with the error counts them. To repeat such a call safely, give the events
//     their IDs yourself with NewEventID.
//   - Errors are a *domain.FieldError, or wrap one of domain's sentinels; ErrUnavailable says that the hub could not be
//     reached for as long as Options.RetryFor.
//
// # Subscribing
//
//   - Subscribe reads the hub's Server-Sent Events. It reconnects by itself, no sooner than the hub asks for and ever more
//     slowly while the hub is away, also when it is away at the start.
//   - It resumes after the last event handled. Before the first connection it asks the hub where its log stands, so that
//     this also holds when a connection breaks before it brought an event. Where the hub cannot tell, a Notice stands for
//     the gap.
//   - An event that comes again under the ID of one of the last 8192 is not handled again.
//   - A connection that brings nothing for Options.IdleTimeout, not even a keepalive, counts as lost.
//   - Refused credentials and filters (any 4xx but 408, 425 and 429), an answer that is no event stream, and an event
//     larger than 4 MiB end it with an error.
//   - Events of a type that this version does not know are left out. One that cannot be read otherwise is told of by an
//     EventsLagged notice.
//
// The package starts no goroutine that outlives a call, and never logs. Idle connections belong to Options.HTTPClient.
package client
