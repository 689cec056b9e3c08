package domain

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"
)

// TimeLayout is how times stand on the wire: RFC 3339, UTC, milliseconds.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// AppendJSON appends the event as compact JSON: type, event_id (left out when zero), occurred_at, then the payload in
// contract order. It holds no newline, so that it can stand as one SSE data line.
func (e Event) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, e.Type().String()...)
	dst = append(dst, '"')
	if !e.ID.IsZero() {
		dst = appendUUID(dst, "event_id", e.ID)
	}
	dst = append(dst, `,"occurred_at":"`...)
	dst = e.OccurredAt.UTC().AppendFormat(dst, TimeLayout)
	dst = append(dst, '"')
	return append(e.Payload.appendFields(dst), '}')
}

// MarshalJSON implements json.Marshaler.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

func (r JobRef) appendFields(dst []byte) []byte {
	dst = appendUUID(dst, "job_id", r.JobID)
	dst = appendOptional(dst, "job_type", string(r.JobType))
	if !r.NoteID.IsZero() {
		dst = appendUUID(dst, "note_id", r.NoteID)
	}
	return dst
}

func (p JobQueued) appendFields(dst []byte) []byte {
	dst = p.JobRef.appendFields(dst)
	if p.Priority != nil {
		dst = appendInt(dst, "priority", int64(*p.Priority))
	}
	return dst
}

func (p JobProgress) appendFields(dst []byte) []byte {
	dst = p.JobRef.appendFields(dst)
	dst = appendInt(dst, "progress", int64(p.Percent))
	dst = appendInt(dst, "progress_percent", int64(p.Percent)) // both names are read by clients in use
	return appendOptional(dst, "message", p.Message)
}

func (p JobCompleted) appendFields(dst []byte) []byte {
	dst = p.JobRef.appendFields(dst)
	if p.DurationMS != nil {
		dst = appendInt(dst, "duration_ms", *p.DurationMS)
	}
	return dst
}

func (p JobFailed) appendFields(dst []byte) []byte {
	dst = p.JobRef.appendFields(dst)
	dst = appendString(appendKey(dst, "error"), p.Error)
	return strconv.AppendBool(appendKey(dst, "will_retry"), p.WillRetry)
}

func (p NoteUpdated) appendFields(dst []byte) []byte {
	dst = appendUUID(dst, "note_id", p.NoteID)
	dst = appendString(appendKey(dst, "operation"), string(p.Operation))
	dst = appendOptional(dst, "user_id", p.UserID)
	dst = appendOptional(dst, "title", p.Title)
	dst = append(appendKey(dst, "tags"), '[')
	for i, tag := range p.Tags {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, tag)
	}
	dst = append(dst, ']')
	dst = strconv.AppendBool(appendKey(dst, "has_ai_content"), p.HasAIContent)
	return strconv.AppendBool(appendKey(dst, "has_links"), p.HasLinks)
}

func (p QueueStatus) appendFields(dst []byte) []byte {
	dst = appendInt(dst, "total_jobs", int64(p.Running)+int64(p.Pending))
	dst = appendInt(dst, "running", int64(p.Running))
	return appendInt(dst, "pending", int64(p.Pending))
}

func appendKey(dst []byte, key string) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, key...)
	return append(dst, `":`...)
}

func appendUUID(dst []byte, key string, u UUID) []byte {
	dst = append(appendKey(dst, key), '"')
	return append(u.append(dst), '"')
}

func appendInt(dst []byte, key string, v int64) []byte {
	return strconv.AppendInt(appendKey(dst, key), v, 10)
}

func appendOptional(dst []byte, key, s string) []byte {
	if s == "" {
		return dst
	}
	return appendString(appendKey(dst, key), s)
}

// appendString appends s as a JSON string. Text that needs no escapes, nearly all of it, is copied as it stands; the
// rest goes through encoding/json.
func appendString(dst []byte, s string) []byte {
	plain := utf8.ValidString(s)
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] != '"' && s[i] != '\\' && s[i] != 0x7f
	}
	if plain {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("domain: encoding/json refused a string: " + err.Error()) // it replaces what is not UTF-8
	}
	return append(dst, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

var errYear = errors.New("the year has not four digits in UTC")

// ParseTime reads a time of the wire, or any RFC 3339 time that can be sent in turn: one near the ends of the calendar
// may leave it when its offset is taken off.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, err
	}
	if year := t.UTC().Year(); year < 0 || year > 9999 {
		return time.Time{}, errYear
	}
	return t, nil
}
