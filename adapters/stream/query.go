package stream

import (
	"net/url"

	"github.com/matric/matric-events/domain"
)

// queryFilter reads the filter from the query parameters that all transports share.
func queryFilter(q url.Values) (domain.Filter, error) {
	return domain.ParseFilter(
		domain.FilterList{Field: "types", Values: q["types"]},
		domain.FilterList{Field: "job_id", Values: q["job_id"]},
		domain.FilterList{Field: "note_id", Values: q["note_id"]},
	)
}

// socketQuery reads what a WebSocket client asks for in the query of its handshake.
func socketQuery(q url.Values) (o opening, err error) {
	o = opening{format: websocket, lastEventID: q.Get("last_event_id")}
	if o.filter, err = queryFilter(q); err != nil {
		return o, err
	}
	switch lag := q.Get("on_lag"); lag {
	case "", "disconnect":
	case "skip":
		o.skip = true
	default:
		return o, domain.Invalid("on_lag", "must be disconnect or skip")
	}
	return o, nil
}
