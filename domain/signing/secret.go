package signing

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a secret.
const (
	MinSecretLen = 16  // characters of a custom secret
	MaxSecretLen = 256 // characters of a custom secret
	MinEntropy   = 24  // bytes behind the whsec_ form
	MaxEntropy   = 64  // bytes behind the whsec_ form
)

// prefix marks a secret of which the rest is the key in base64.
const prefix = "whsec_"

const redacted = "[redacted]"

// ErrSecret says that a text cannot be a secret. The errors that wrap it say why, without the text.
var ErrSecret = errors.New("not a usable secret")

// Secret is what sender and receiver share. The zero Secret is absent: it signs nothing and verifies nothing.
//
// It is held in a closure because fmt, which cannot call the methods of a member that is not exported, prints what that
// holds instead, and some verbs follow pointers; of a function it knows the address only.
type Secret struct{ open func() material }

type material struct {
	text string
	key  []byte // of the Standard Webhooks family
}

// ParseSecret accepts 16 to 256 printable characters.
func ParseSecret(text string) (Secret, error) {
	if !utf8.ValidString(text) {
		return Secret{}, fmt.Errorf("%w: must be UTF-8", ErrSecret)
	}
	if n := utf8.RuneCountInString(text); n < MinSecretLen || n > MaxSecretLen {
		return Secret{}, fmt.Errorf("%w: must have %d to %d characters, not %d", ErrSecret, MinSecretLen, MaxSecretLen, n)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return Secret{}, fmt.Errorf("%w: must have printable characters only", ErrSecret)
		}
	}
	m := material{text: text, key: standardKey(text)}
	return Secret{func() material { return m }}, nil
}

// standardKey returns the bytes that Standard Webhooks signs with.
func standardKey(text string) []byte {
	if encoded, ok := strings.CutPrefix(text, prefix); ok {
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && len(key) >= MinEntropy && len(key) <= MaxEntropy {
			return key
		}
	}
	return []byte(text)
}

// NewSecret makes a secret of the whsec_ form, which suits the verifiers of both families, from 24 to 64 bytes that
// nobody can guess.
func NewSecret(entropy []byte) (Secret, error) {
	if len(entropy) < MinEntropy || len(entropy) > MaxEntropy {
		return Secret{}, fmt.Errorf("%w: needs %d to %d bytes of entropy, not %d", ErrSecret, MinEntropy, MaxEntropy, len(entropy))
	}
	return ParseSecret(prefix + base64.StdEncoding.EncodeToString(entropy))
}

// IsZero reports whether the secret is absent.
func (s Secret) IsZero() bool { return s.open == nil }

// Reveal returns the secret in clear, to be shown to its owner or stored.
func (s Secret) Reveal() string {
	if s.open == nil {
		return ""
	}
	return s.open().text
}

// String returns a placeholder, so that a secret printed by mistake stays one.
func (s Secret) String() string { return redacted }

// GoString returns a placeholder.
func (s Secret) GoString() string { return "signing.Secret(" + redacted + ")" }

// Equal reports whether both are the same secret, in a time that does not depend on where they differ.
func (s Secret) Equal(other Secret) bool {
	return s.IsZero() == other.IsZero() && subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// body returns the X-Matric-Signature MAC.
func (s Secret) body(body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(s.open().text))
	mac.Write(body)
	return mac.Sum(nil)
}

// standard returns the Standard Webhooks MAC.
func (s Secret) standard(id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, s.open().key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}
