//go:build !unix || aix || solaris

package sqlstore

import (
	"fmt"
	"io"
	"os"
)

// lockFile only creates the file: this system has no lock that goes away with its process in the standard library. It is
// up to the operator not to start two servers on one database.
func lockFile(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("the directory must be writable: %w", err)
	}
	return f, nil
}
