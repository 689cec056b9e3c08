//go:build linux

package limit

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// fanOut writes each event to every subscriber, until there are no more events.
func (s *Server) fanOut() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var subscribers []int
	var out []byte
	for frame := range s.frames {
		out = append(out[:0], frame...)
		for n := 1; n < s.batch && len(s.frames) > 0; n++ {
			out = append(out, <-s.frames...)
		}
		s.mu.Lock()
		subscribers = append(subscribers, s.joined...)
		s.joined = s.joined[:0]
		s.mu.Unlock()
		kept := subscribers[:0]
		for _, fd := range subscribers {
			if writeAll(fd, out, s.patience) {
				kept = append(kept, fd)
			} else {
				_ = syscall.Close(fd)
			}
		}
		subscribers = kept
	}
	for _, fd := range subscribers {
		_ = syscall.Close(fd)
	}
}

// writeAll writes to a socket that does not block; it waits when the socket is full, as blocking ones would.
func writeAll(fd int, b []byte, patience time.Duration) bool {
	var deadline time.Time
	for len(b) > 0 {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			b = b[n:]
		case errno == syscall.EINTR:
		case errno != syscall.EAGAIN:
			return false
		case deadline.IsZero():
			deadline = time.Now().Add(patience)
		case time.Now().After(deadline):
			return false
		default:
			time.Sleep(time.Millisecond)
		}
	}
	return true
}
