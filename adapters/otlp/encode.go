package otlp

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/matric/matric-events/ports"
)

// The JSON form of ExportTraceServiceRequest: lowerCamelCase names, identifiers in hex, 64-bit integers as text, enums as
// numbers (OTLP specification, "JSON Protobuf Encoding").
type (
	request struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resource struct {
		Attributes []attribute `json:"attributes"`
	}
	scopeSpans struct {
		Scope scope  `json:"scope"`
		Spans []span `json:"spans"`
	}
	scope struct {
		Name string `json:"name"`
	}
	span struct {
		TraceID      string      `json:"traceId"`
		SpanID       string      `json:"spanId"`
		ParentSpanID string      `json:"parentSpanId,omitempty"`
		Flags        uint32      `json:"flags"`
		Name         string      `json:"name"`
		Kind         int         `json:"kind"`
		Start        string      `json:"startTimeUnixNano"`
		End          string      `json:"endTimeUnixNano"`
		Attributes   []attribute `json:"attributes,omitempty"`
		Status       *status     `json:"status,omitempty"`
	}
	attribute struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	value struct {
		String string `json:"stringValue"`
	}
	status struct {
		Code    int    `json:"code"`
		Message string `json:"message,omitempty"`
	}
)

// Of opentelemetry/proto/trace/v1.
const (
	kindServer  = 2
	kindClient  = 3
	statusError = 2
)

func encode(batch []ports.Span, version string) []byte {
	spans := make([]span, len(batch))
	for i := range batch {
		spans[i] = spanOf(&batch[i])
	}
	data, _ := json.Marshal(request{[]resourceSpans{{
		Resource:   resource{attributes(map[string]string{"service.name": "matric-events", "service.version": version})},
		ScopeSpans: []scopeSpans{{Scope: scope{"github.com/matric/matric-events"}, Spans: spans}},
	}}}) // of texts and numbers alone
	return data
}

func spanOf(s *ports.Span) span {
	out := span{
		TraceID: hex.EncodeToString(s.Trace.ID[:]), SpanID: hex.EncodeToString(s.Trace.Span[:]), Flags: uint32(s.Trace.Flags),
		Name: s.Name, Kind: kindServer, Attributes: attributes(s.Attributes),
		Start: strconv.FormatInt(s.Start.UnixNano(), 10), End: strconv.FormatInt(s.End.UnixNano(), 10),
	}
	if s.Trace.Parent != [8]byte{} {
		out.ParentSpanID = hex.EncodeToString(s.Trace.Parent[:])
	}
	if s.Client {
		out.Kind = kindClient
	}
	if s.Failed != "" {
		out.Status = &status{statusError, s.Failed}
	}
	return out
}

func attributes(m map[string]string) (list []attribute) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, attribute{key, value{m[key]}})
	}
	return list
}
