//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "streams: this tool reads /proc and sockets by epoll: it runs on Linux only")
	os.Exit(1)
}
