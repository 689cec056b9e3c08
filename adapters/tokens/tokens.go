// Package tokens authenticates by static bearer tokens (RFC 6750) from a file that is read once, at the start: a change of it
// needs a restart.
//
// Only hashes are kept in memory, and a comparison takes as long for a wrong token as for a right one. No error and no log
// line has a token in it. A Set does not change, and so is safe for concurrent use. Who may see what is not decided here:
// a token says who somebody is.
package tokens

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Set is a set of tokens and whom they belong to. Only their hashes are kept.
type Set struct{ entries []entry }

type entry struct {
	sum  [sha256.Size]byte
	name string
}

var _ ports.Authenticator = (*Set)(nil)

// Open reads a file with one "token name" per line; empty lines and lines that begin with # are passed over, and so is a
// byte order mark. One name may have several tokens. An empty path is an empty set, which knows no token. Errors name the
// line and never a token.
func Open(path string) (*Set, error) {
	if path == "" {
		return &Set{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	defer f.Close()
	var s Set
	n, lines := 1, bufio.NewScanner(f)
	for ; lines.Scan(); n++ {
		if err := s.add(strings.TrimPrefix(lines.Text(), "\ufeff")); err != nil {
			return nil, fmt.Errorf("tokens: %s line %d: %w", path, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("tokens: %s line %d: %w", path, n, err)
	}
	if len(s.entries) == 0 {
		return nil, fmt.Errorf("tokens: %s holds no token", path)
	}
	return &s, nil
}

// add reads one line.
func (s *Set) add(line string) error {
	fields := strings.Fields(line)
	if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
		return nil
	}
	if len(fields) != 2 {
		return errors.New("want a token and a name with a blank between")
	}
	e := entry{sha256.Sum256([]byte(fields[0])), fields[1]}
	if slices.ContainsFunc(s.entries, func(other entry) bool { return other.sum == e.sum }) {
		return errors.New("the same token stands on an earlier line")
	}
	s.entries = append(s.entries, e)
	return nil
}

// Authenticate implements ports.Authenticator. It compares the hashes with all entries, in constant time.
func (s *Set) Authenticate(_ context.Context, token string) (user string, err error) {
	sum := sha256.Sum256([]byte(token))
	err = fmt.Errorf("tokens: %w", domain.ErrUnauthorized)
	for i := range s.entries {
		if subtle.ConstantTimeCompare(sum[:], s.entries[i].sum[:]) == 1 {
			user, err = s.entries[i].name, nil
		}
	}
	return user, err
}
