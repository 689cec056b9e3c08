// Package otlp sends spans to a collector of OpenTelemetry, by OTLP over HTTP in its JSON form (opentelemetry-proto, 1.x:
// https://opentelemetry.io/docs/specs/otlp/#otlphttp).
//
// Nobody waits for it: spans are gathered and sent in batches; what comes while too many wait is dropped and counted, and
// so is a batch that the collector does not take at once. It keeps nothing on disk and never sends twice.
package otlp
