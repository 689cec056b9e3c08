package sqlstore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
)

const (
	keySize     = 32 // of AES-256
	sealVersion = 1
)

var errSealed = errors.New("it was not sealed with this key for this place")

// vault seals what must not be readable in the database or in a copy of it, with AES-256-GCM.
type vault struct{ aead cipher.AEAD }

func newVault(key [keySize]byte) *vault {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("sqlstore: " + err.Error()) // the size is right
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("sqlstore: " + err.Error()) // AES has the block size of GCM
	}
	return &vault{aead}
}

// seal encrypts a text for one place only: what is moved to another row or column cannot be opened there. The result is a
// byte that names the form, a random nonce, the encrypted text, and its tag.
func (v *vault) seal(text []byte, place string) []byte {
	return v.aead.Seal([]byte{sealVersion}, nil, text, sealedFor(place))
}

// open is the inverse of seal.
func (v *vault) open(sealed []byte, place string) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, errSealed
	}
	text, err := v.aead.Open(nil, nil, sealed[1:], sealedFor(place))
	if err != nil {
		return nil, errSealed
	}
	return text, nil
}

func sealedFor(place string) []byte { return append([]byte{sealVersion}, place...) }

// randomKey returns a key that nobody can guess.
func randomKey() (key [keySize]byte) {
	_, _ = rand.Read(key[:]) // never fails
	return key
}
