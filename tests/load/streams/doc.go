// Command streams measures the fan-out of event servers over WebSocket and server-sent events: throughput, latency,
// processor time per delivery, memory per connection, connection storms, and that nothing is lost, repeated or out of order.
// See the README one folder up.
package main
