//go:build !linux

package sqlstore

import (
	"syscall"
	"time"
)

// limitSilence has keepalives alone to rely on, which do not run while something that was sent is not acknowledged.
func limitSilence(syscall.RawConn, time.Duration) error { return nil }
