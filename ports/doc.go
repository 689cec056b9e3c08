// Package ports names what the application offers and what it needs, so that technologies can be exchanged on both sides.
// Each sentence of a port's comment is a promise that a suite in tests/contract checks on every adapter.
//
// Driving ports are implemented by app and called by adapters:
//
//	Publisher   HTTP producers, the command line        → app.Bridge; adapters/client speaks it over HTTP
//	Subscriber  tail, programs that embed the client     → adapters/client
//	Feed        stream engine, poll                      → app/eventlog.Log
//	JobHandler  the job queue                            → app.Analyst
//
// Driven ports are implemented by adapters and called by app:
//
//	Notes, Probe, Outbox and  adapters/sqlstore; adapters/memory for tests
//	OutboxKeeper, Webhooks,
//	Deliveries, DeliveryLog,
//	DeliveryMeter
//	Sender                    adapters/webhook
//	JobQueue, JobCounter      adapters/jobs; adapters/capture counts, too
//	Authenticator             adapters/tokens
//	Observer                  adapters/telemetry
//	SpanSink                  adapters/otlp
package ports
