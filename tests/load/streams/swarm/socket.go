//go:build linux

package swarm

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"
)

const (
	edgeTriggered       = 1 << 31 // syscall.EPOLLET, which is negative there
	ipBindAddressNoPort = 24      // linux/in.h: choose the port at connect, when the peer is known, not at bind
)

// dial begins to connect a socket that never blocks.
func dial(server netip.AddrPort, source netip.Addr) (fd int, err error) {
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipBindAddressNoPort, 1) // without it there are only fewer ports
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: source.As4()}); err != nil {
		_ = syscall.Close(fd)
		return -1, fmt.Errorf("bind %v: %w", source, err)
	}
	err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(server.Port()), Addr: server.Addr().As4()})
	if err != nil && !errors.Is(err, syscall.EINPROGRESS) {
		_ = syscall.Close(fd)
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

// reset closes a socket with a reset, so that no port is left in TIME_WAIT.
func reset(fd int) {
	if fd < 0 {
		return
	}
	_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	_ = syscall.Close(fd)
}

// The sockets never block, so these need not tell the scheduler that they might: that would cost as much as the call.

func read(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

func write(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}
