package signing

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The headers of a signed delivery.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderStandard  = "webhook-signature"
	HeaderBody      = "X-Matric-Signature"
)

const (
	standardVersion = "v1,"
	bodyVersion     = "sha256="
)

// MaxRetired bounds the secrets that may overlap with the current one.
const MaxRetired = 4

// Errors of Keys.
var (
	// ErrTooManyKeys says that MaxRetired old secrets are valid still; rotating without an overlap ends them.
	ErrTooManyKeys = errors.New("too many secrets overlap")
	// ErrNoKey says that there is no secret to sign with.
	ErrNoKey = errors.New("no secret")
)

// Retired is an old secret that receivers may go on using for a while.
type Retired struct {
	Secret Secret
	Until  time.Time // no longer valid from here on
}

// Keys are the secrets of one webhook: the current one, and those retired ones whose overlap may last. A second rotation
// within an overlap adds to the retired ones rather than cut the first short, because the receiver may be on either.
// Keys are a value: no method changes its receiver.
type Keys struct {
	current Secret
	retired []Retired // oldest first
}

// NewKeys returns the keys of a webhook that has one secret, or had others before: the retired ones, oldest first.
func NewKeys(current Secret, retired ...Retired) (Keys, error) {
	if current.IsZero() {
		return Keys{}, ErrNoKey
	}
	if len(retired) > MaxRetired {
		return Keys{}, ErrTooManyKeys
	}
	for _, r := range retired {
		if r.Secret.IsZero() {
			return Keys{}, fmt.Errorf("retired: %w", ErrNoKey)
		}
	}
	return Keys{current: current, retired: slices.Clone(retired)}, nil
}

// Current returns the newest secret.
func (k Keys) Current() Secret { return k.current }

// Retired returns the old secrets, oldest first, expired ones among them until the next rotation.
func (k Keys) Retired() []Retired { return slices.Clone(k.retired) }

// Rotate makes next the current secret. The one before it stays valid for the overlap; an overlap of zero or less ends
// it, and every older one, at once.
func (k Keys) Rotate(next Secret, now time.Time, overlap time.Duration) (Keys, error) {
	if overlap <= 0 || k.current.IsZero() {
		return NewKeys(next)
	}
	return NewKeys(next, append(k.live(now), Retired{Secret: k.current, Until: now.Add(overlap)})...)
}

// live returns the retired secrets that are valid still.
func (k Keys) live(now time.Time) []Retired {
	return slices.DeleteFunc(k.Retired(), func(r Retired) bool { return !now.Before(r.Until) })
}

// Sign signs one attempt and hands each of the four headers to set, which is typically the Set method of an http.Header.
// The id must have no full stop in it: it would let one signature stand for two messages.
func (k Keys) Sign(set func(name, value string), id string, at time.Time, body []byte) error {
	if k.current.IsZero() {
		return fmt.Errorf("sign: %w", ErrNoKey)
	}
	if err := checkID(id); err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	oldest := k.current
	signatures := appendStandard(nil, k.current.standard(id, timestamp, body))
	for i, r := range k.live(at) {
		if i == 0 {
			oldest = r.Secret
		}
		signatures = appendStandard(append(signatures, ' '), r.Secret.standard(id, timestamp, body))
	}
	set(HeaderID, id)
	set(HeaderTimestamp, timestamp)
	set(HeaderStandard, string(signatures))
	set(HeaderBody, bodyVersion+hex.EncodeToString(oldest.body(body)))
	return nil
}

func appendStandard(dst, mac []byte) []byte {
	return base64.StdEncoding.AppendEncode(append(dst, standardVersion...), mac)
}

// Equal reports whether both hold the same secrets with the same ends.
func (k Keys) Equal(other Keys) bool {
	return k.current.Equal(other.current) && slices.EqualFunc(k.retired, other.retired, func(a, b Retired) bool {
		return a.Secret.Equal(b.Secret) && a.Until.Equal(b.Until)
	})
}
