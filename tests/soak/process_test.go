package soak_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// measure returns the resident memory of a process in bytes, and how many files it has open.
func measure(pid int) (rss, files int, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			if rss, err = strconv.Atoi(f[1]); err != nil {
				return 0, 0, err
			}
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return rss << 10, len(open), err
}

// outOfDescriptors lowers the limit of the process to little more than it has open, and comes with more clients than fit.
// Once they have gone, it must serve again.
func (s *soak) outOfDescriptors(ctx context.Context) {
	pid := s.hub.current().PID()
	_, files, err := measure(pid)
	if err != nil {
		s.ledger.breach(pFull, "%v", err)
		return
	}
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		s.ledger.breach(pFull, "%v", err)
		return
	}
	low := unix.Rlimit{Cur: uint64(files + 12), Max: before.Max} // only root may raise Max again
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &low, nil); err != nil {
		s.ledger.breach(pFull, "%v", err)
		return
	}
	if s.flood(ctx, 40) {
		s.full++
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil); err != nil {
		s.ledger.breach(pFull, "%v", err)
	}
	if !until(func() bool {
		status, _ := s.hub.call(&http.Client{Transport: passing}, http.MethodGet, "/livez", "", "")
		return status == http.StatusOK
	}) {
		s.ledger.breach(pFull, "not served after the clients had gone")
	}
}

// flood opens n connections that want to stay, and reports whether one of them was not answered. They are closed then.
func (s *soak) flood(ctx context.Context, n int) (full bool) {
	address := strings.TrimPrefix(s.hub.url(false), "http://")
	var d net.Dialer
	for range n {
		c, err := d.DialContext(ctx, "tcp", address) // the kernel takes it, whatever the hub does
		if err != nil {
			return full
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET /api/v1/events?types=note HTTP/1.1\r\nHost: hub\r\n\r\n")
		if full {
			continue
		}
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		_, err = c.Read(make([]byte, 1))
		full = err != nil
	}
	return full
}
