//go:build !linux

package soak_test

import (
	"context"
	"errors"
)

var errUnsupported = errors.New("not on this system")

func measure(int) (rss, files int, err error) { return 0, 0, errUnsupported }

func (s *soak) outOfDescriptors(context.Context) {}
