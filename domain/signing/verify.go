package signing

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Why a delivery is refused. The errors that wrap these name the header, and never hold a secret or a right signature.
var (
	ErrMissingHeader = errors.New("header is missing")
	ErrMalformed     = errors.New("header is malformed")
	ErrTooOld        = errors.New("timestamp is too old")
	ErrTooNew        = errors.New("timestamp is in the future")
	ErrMismatch      = errors.New("no signature matches")
)

// DefaultTolerance is how far the clocks of sender and receiver, and the way between them, may be apart.
const DefaultTolerance = 5 * time.Minute

// maxSignatures bounds the work that one header can cause.
const maxSignatures = 32

// A Verifier checks deliveries on the receiver's side. Its methods take the headers as a function, typically the Get
// method of the request's http.Header, and the body exactly as it came. Comparisons take constant time.
type Verifier struct {
	// Secrets that are accepted: one, or during a rotation the old and the new.
	Secrets []Secret
	// Tolerance is how far the timestamp may be from now, either way. Zero means DefaultTolerance.
	Tolerance time.Duration
}

// Verify checks the Standard Webhooks headers. It returns nil only for a body that a holder of one of the secrets sent
// with this ID at about this time. Signatures of versions other than v1 are ignored, as the specification asks for.
func (v Verifier) Verify(get func(name string) string, body []byte, now time.Time) error {
	id, timestamp, list := get(HeaderID), get(HeaderTimestamp), get(HeaderStandard)
	for _, h := range [...]struct{ name, value string }{{HeaderID, id}, {HeaderTimestamp, timestamp}, {HeaderStandard, list}} {
		if h.value == "" {
			return fmt.Errorf("%s: %w", h.name, ErrMissingHeader)
		}
	}
	if err := checkID(id); err != nil {
		return fmt.Errorf("%s: %w", HeaderID, err)
	}
	if err := v.checkTime(timestamp, now); err != nil {
		return fmt.Errorf("%s: %w", HeaderTimestamp, err)
	}
	signatures, err := parseStandard(list)
	if err != nil {
		return fmt.Errorf("%s: %w", HeaderStandard, err)
	}
	return v.match(HeaderStandard, signatures, func(s Secret) []byte { return s.standard(id, timestamp, body) })
}

// VerifyBody checks X-Matric-Signature. It tells nothing about when the body was sent, nor how often: de-duplicate by
// event_id.
func (v Verifier) VerifyBody(get func(name string) string, body []byte) error {
	value := get(HeaderBody)
	if value == "" {
		return fmt.Errorf("%s: %w", HeaderBody, ErrMissingHeader)
	}
	digits, ok := strings.CutPrefix(value, bodyVersion)
	mac, err := hex.DecodeString(digits)
	if !ok || err != nil {
		return fmt.Errorf("%s: %w: want sha256= and hexadecimal digits", HeaderBody, ErrMalformed)
	}
	return v.match(HeaderBody, [][]byte{mac}, func(s Secret) []byte { return s.body(body) })
}

// match looks for a secret that one of the signatures was made with.
func (v Verifier) match(header string, signatures [][]byte, sign func(Secret) []byte) error {
	for _, secret := range v.Secrets {
		if secret.IsZero() {
			continue
		}
		want := sign(secret)
		if slices.ContainsFunc(signatures, func(got []byte) bool { return hmac.Equal(got, want) }) {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", header, ErrMismatch)
}

func (v Verifier) checkTime(timestamp string, now time.Time) error {
	seconds, err := strconv.ParseUint(timestamp, 10, 63)
	if err != nil {
		return fmt.Errorf("%w: want Unix seconds", ErrMalformed)
	}
	tolerance := v.Tolerance
	if tolerance == 0 {
		tolerance = DefaultTolerance
	}
	// Compared as seconds: a time.Time made of an absurd number wraps around, and would look near.
	sent, limit := int64(seconds), int64(tolerance/time.Second)
	switch {
	case sent < now.Unix()-limit:
		return ErrTooOld
	case sent > now.Unix()+limit:
		return ErrTooNew
	}
	return nil
}

// parseStandard reads a list such as "v1,<base64> v1a,<base64>" and returns the v1 ones. Entries that it cannot read are
// passed over: another sender's unknown scheme must not hide the signature that counts.
func parseStandard(list string) ([][]byte, error) {
	var signatures [][]byte
	entries := strings.Fields(list)
	if len(entries) > maxSignatures {
		return nil, fmt.Errorf("%w: more than %d signatures", ErrMalformed, maxSignatures)
	}
	for _, entry := range entries {
		encoded, ok := strings.CutPrefix(entry, standardVersion)
		mac, err := base64.StdEncoding.DecodeString(encoded)
		if ok && err == nil {
			signatures = append(signatures, mac)
		}
	}
	if len(signatures) == 0 {
		return nil, fmt.Errorf("%w: want v1, and base64", ErrMalformed)
	}
	return signatures, nil
}

func checkID(id string) error {
	if id == "" || strings.Contains(id, ".") {
		return fmt.Errorf("%w: want an identifier without a full stop", ErrMalformed)
	}
	return nil
}
