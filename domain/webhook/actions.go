package webhook

import (
	"bytes"
	"time"

	"github.com/matric/matric-events/domain"
)

// How long an old secret may stay valid after a rotation.
const (
	DefaultOverlap = 24 * time.Hour
	MaxOverlap     = 30 * 24 * time.Hour
)

// DecodeRotation reads how long the old secret stays valid after a rotation: DefaultOverlap when the body is empty or does
// not say. Errors are FieldErrors.
func DecodeRotation(data []byte) (overlap time.Duration, err error) {
	var in struct {
		Seconds *int64 `json:"overlap_seconds"`
	}
	if absent(data) {
		return DefaultOverlap, nil
	}
	if err := domain.DecodeStrict(data, &in); err != nil {
		return 0, err
	}
	if in.Seconds == nil {
		return DefaultOverlap, nil
	}
	if *in.Seconds < 0 || *in.Seconds > int64(MaxOverlap/time.Second) {
		return 0, domain.Invalid("overlap_seconds", "must be from 0 to %d, not %d", int64(MaxOverlap/time.Second), *in.Seconds)
	}
	return time.Duration(*in.Seconds) * time.Second, nil
}

// Redelivery says which deliveries of a webhook to send again.
type Redelivery struct {
	Status Status    // Dead, Canceled or Delivered
	Since  time.Time // only those created at or after; zero for all
}

// DecodeRedelivery reads which deliveries a client wants sent again: the dead ones when the body is empty or does not say.
// Errors are FieldErrors.
func DecodeRedelivery(data []byte) (Redelivery, error) {
	var in struct {
		Status *string `json:"status"`
		Since  *string `json:"since"`
	}
	r := Redelivery{Status: Dead}
	if absent(data) {
		return r, nil
	}
	if err := domain.DecodeStrict(data, &in); err != nil {
		return Redelivery{}, err
	}
	if in.Status != nil {
		var ok bool
		if r.Status, ok = ParseStatus(*in.Status); !ok || r.Status == Pending || r.Status == InFlight {
			return Redelivery{}, domain.Invalid("status", "must be dead, canceled or delivered: the others are under way")
		}
	}
	if in.Since != nil {
		var err error
		if r.Since, err = domain.ParseTime(*in.Since); err != nil {
			return Redelivery{}, domain.Invalid("since", "is not an RFC 3339 time")
		}
	}
	return r, nil
}

// absent reports whether a body that may be left out is.
func absent(data []byte) bool {
	data = bytes.TrimSpace(data)
	return len(data) == 0 || string(data) == "null"
}
