// Package target says how to talk to each kind of server: what a subscriber sends and waits for, and what publishes an event.
// Everything else in the tool is the same for all of them.
package target

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/matric/matric-events/tests/load/streams/wire"
)

// Target is one kind of server. The zero value of a field means that the server has no use for it.
type Target struct {
	SSE     bool   // an event stream; otherwise a WebSocket
	Path    string // of subscribers, with its query
	Hello   string // text message sent once the WebSocket is open
	Ready   string // what the server sends once the subscription is live; empty: the response to the handshake tells
	Ping    string // text message by which the server asks for the same in return
	Resumes bool   // knows last_event_id

	PublishPath   string
	Before, After string // what stands around the text of a published event
	Envelope      int    // bytes that the server puts around this text in what it delivers, as far as they are part of the event
}

// plain is the event of servers that deliver any JSON as they got it.
const plainBefore, plainAfter = `{"message":"`, `"}`

var targets = map[string]Target{
	"hub": {
		Path: "/api/v1/ws?types=job", Resumes: true,
		PublishPath: "/api/v1/worker-events", Before: jobBefore, After: plainAfter, Envelope: jobEnvelope,
	},
	"hub-sse": {
		SSE: true, Path: "/api/v1/events?types=job", Resumes: true,
		PublishPath: "/api/v1/worker-events", Before: jobBefore, After: plainAfter, Envelope: jobEnvelope,
	},
	"centrifuge": {
		Path: "/ws", Hello: `{"id":1,"connect":{}}`, Ready: `"connect":`, Ping: "{}",
		PublishPath: "/publish", Before: plainBefore, After: plainAfter, Envelope: len(plainBefore + plainAfter),
	},
	"centrifuge-sse": {
		SSE: true, Path: "/sse?cf_connect=" + url.QueryEscape(`{"id":1,"connect":{}}`), Ready: `"connect":`,
		PublishPath: "/publish", Before: plainBefore, After: plainAfter, Envelope: len(plainBefore + plainAfter),
	},
	"ws": {
		Path: "/ws", PublishPath: "/publish", Before: plainBefore, After: plainAfter, Envelope: len(plainBefore + plainAfter),
	},
	"sse": {
		SSE: true, Path: "/sse", PublishPath: "/publish", Before: plainBefore, After: plainAfter, Envelope: len(plainBefore + plainAfter),
	},
}

// The hub carries typed events only: the smallest that has a free text. Its other members, as delivered, are the envelope.
const (
	jobBefore   = `{"type":"JobProgress","job_id":"0198f3a0-0000-7000-8000-000000000001","job_type":"Embedding","percent":50,"message":"`
	jobEnvelope = len(`{"type":"JobProgress","event_id":"0198f3a0-0000-7000-8000-000000000001","occurred_at":"2026-11-23T12:41:48.123Z",` +
		`"job_id":"0198f3a0-0000-7000-8000-000000000001","job_type":"Embedding","progress":50,"progress_percent":50,"message":""}`)
)

// Names lists the targets.
func Names() []string { return slices.Sorted(maps.Keys(targets)) }

// Named returns the target of a name.
func Named(name string) (Target, error) {
	t, ok := targets[name]
	if !ok {
		return t, fmt.Errorf("target %q: want one of %s", name, strings.Join(Names(), ", "))
	}
	return t, nil
}

// Handshake returns the request that opens a subscription, resuming after an event unless lastEventID is empty.
func (t Target) Handshake(host, lastEventID string) []byte {
	path := t.Path
	if lastEventID != "" && !t.SSE {
		path += "&last_event_id=" + lastEventID
	}
	b := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, host)
	if !t.SSE {
		return fmt.Appendf(b, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: bWF0cmljLWxvYWQta2V5IQ==\r\nOrigin: http://%s\r\n\r\n", host)
	}
	if lastEventID != "" {
		b = fmt.Appendf(b, "Last-Event-ID: %s\r\n", lastEventID)
	}
	return append(b, "Accept: text/event-stream\r\nCache-Control: no-cache\r\n\r\n"...)
}

// Accepted is how the response to a good handshake begins.
func (t Target) Accepted() string {
	if t.SSE {
		return "HTTP/1.1 200 "
	}
	return "HTTP/1.1 101 "
}

// AppendEvent appends the body that publishes a stamped event, padded so that what is delivered has the size, or as little
// more as the server's envelope takes.
func (t Target) AppendEvent(dst []byte, s wire.Stamp, size int) []byte {
	dst = append(dst, t.Before...)
	text := len(dst)
	dst = wire.AppendStamp(dst, s)
	for n := t.Envelope + len(dst) - text; n < size; n++ {
		dst = append(dst, 'x')
	}
	return append(dst, t.After...)
}
