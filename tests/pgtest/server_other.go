//go:build !unix

package pgtest

import (
	"errors"
	"io"
)

func start() (string, io.WriteCloser, error) {
	return "", nil, errors.New("a server can be started on Unix only; set PGTEST_DSN to use one")
}
