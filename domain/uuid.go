package domain

import (
	"encoding/hex"
	"errors"
)

// UUID is an RFC 9562 identifier of any version. The zero value means "absent" and is never a valid identifier here.
type UUID [16]byte

var errUUID = errors.New("not a UUID")

// ParseUUID reads the 36-character form in either case. The nil UUID is refused.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return UUID{}, errUUID
	}
	var digits [32]byte
	n := copy(digits[:], s[:8])
	n += copy(digits[n:], s[9:13])
	n += copy(digits[n:], s[14:18])
	n += copy(digits[n:], s[19:23])
	copy(digits[n:], s[24:])
	if _, err := hex.Decode(u[:], digits[:]); err != nil || u.IsZero() {
		return UUID{}, errUUID
	}
	return u, nil
}

// IsZero reports whether the identifier is absent.
func (u UUID) IsZero() bool { return u == UUID{} }

// AppendText appends the lower-case 36-character form.
func (u UUID) AppendText(dst []byte) ([]byte, error) { return u.append(dst), nil }

func (u UUID) append(dst []byte) []byte {
	dst = append(hex.AppendEncode(dst, u[:4]), '-')
	dst = append(hex.AppendEncode(dst, u[4:6]), '-')
	dst = append(hex.AppendEncode(dst, u[6:8]), '-')
	dst = append(hex.AppendEncode(dst, u[8:10]), '-')
	return hex.AppendEncode(dst, u[10:])
}

// String returns the lower-case 36-character form.
func (u UUID) String() string { return string(u.append(make([]byte, 0, 36))) }

// MarshalText implements encoding.TextMarshaler.
func (u UUID) MarshalText() ([]byte, error) { return u.append(make([]byte, 0, 36)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *UUID) UnmarshalText(text []byte) (err error) {
	*u, err = ParseUUID(string(text))
	return err
}
