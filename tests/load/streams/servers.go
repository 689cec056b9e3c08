//go:build linux

package main

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/matric/matric-events/tests/load/streams/server"
)

// contender is a server that the tool knows how to start.
type contender struct {
	label   string
	target  string
	command func(programs) []string
}

// programs are where the servers' programs are.
type programs struct {
	Hub   string `help:"The hub's program (.bin/matric-events)." default:".bin/matric-events" type:"path" placeholder:"FILE"`
	Peers string `help:"Folder with the programs of the peers (.bin/peers)." default:".bin/peers" type:"path" placeholder:"DIR"`
}

var contenders = map[string]contender{
	"hub":            {"matric-events, WebSocket", "hub", hub},
	"hub-sse":        {"matric-events, SSE", "hub-sse", hub},
	"hub-logs":       {"matric-events, each event logged", "hub", hubLogged},
	"centrifuge":     {"centrifuge, WebSocket", "centrifuge", peer("centrifuge")},
	"centrifuge-sse": {"centrifuge, SSE", "centrifuge-sse", peer("centrifuge")},
	"gorilla":        {"gorilla hub, WebSocket", "ws", peer("gorilla")},
	"go-sse":         {"go-sse, SSE", "sse", peer("gosse")},
	"limit1":         {"limit, 1 event a write", "ws", limitServer(1)},
	"limit16":        {"limit, 16 events a write", "ws", limitServer(16)},
}

func hub(p programs) []string {
	return []string{
		p.Hub, "serve", "--listen", "127.0.0.1:0", "--database-url", "sqlite:hub.db", "--log-level", "error",
		"--max-connections", "0", "--max-connections-per-ip", "0", "--max-handshakes-per-second", "0",
	}
}

// hubLogged is the hub with a line for each event, which is on the level debug for those that the tool sends.
func hubLogged(p programs) []string {
	args := hub(p)
	args[slices.Index(args, "--log-level")+1] = "debug"
	return args
}

func peer(name string) func(programs) []string {
	return func(p programs) []string { return []string{filepath.Join(p.Peers, name), "-listen", "127.0.0.1:0"} }
}

// limitServer is this program in another role.
func limitServer(batch int) func(programs) []string {
	return func(programs) []string {
		self, err := os.Executable()
		if err != nil {
			self = os.Args[0]
		}
		return []string{self, "limit-server", "--listen", "127.0.0.1:0", "--batch", fmt.Sprint(batch)}
	}
}

// named returns a contender and how to start it.
func (p programs) named(name string) (c contender, start func() (*server.Process, error), err error) {
	c, ok := contenders[name]
	if !ok {
		return c, nil, fmt.Errorf("server %q: want one of %s", name, strings.Join(slices.Sorted(maps.Keys(contenders)), ", "))
	}
	return c, func() (*server.Process, error) { return server.Start(c.command(p)...) }, nil
}

// running is a server that somebody else has started.
func running(url string, pid int) (func() (*server.Process, error), error) {
	addr, err := netip.ParseAddrPort(strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/"))
	if err != nil {
		return nil, fmt.Errorf("--url %q: want http://127.0.0.1:PORT: %w", url, err)
	}
	return func() (*server.Process, error) { return &server.Process{Addr: addr, PID: pid}, nil }, nil
}
