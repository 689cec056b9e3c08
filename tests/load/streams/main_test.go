//go:build linux

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/matric/matric-events/tests/load/streams/target"
)

func TestContendersCanBeStarted(t *testing.T) {
	for name, c := range contenders {
		if _, err := target.Named(c.target); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if argv := c.command(programs{Hub: "/hub", Peers: "/peers"}); !strings.HasPrefix(argv[0], "/") {
			t.Errorf("%s: %v does not name a program by its path", name, argv)
		}
	}
	if _, _, err := (programs{}).named("nobody"); err == nil || !strings.Contains(err.Error(), "hub-sse") {
		t.Errorf("an unknown server: %v; want the known ones", err)
	}
}

func TestRate(t *testing.T) {
	for text, want := range map[string]float64{"max": 0, "10": 10, "0.5": 0.5} {
		if got, err := rate(text); got != want || err != nil {
			t.Errorf("rate(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "0", "-1", "fast"} {
		if _, err := rate(bad); err == nil {
			t.Errorf("rate(%q): no error", bad)
		}
	}
}

func TestRunningServer(t *testing.T) {
	start, err := running("http://127.0.0.1:8080/", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := start(); err != nil || p.Addr.String() != "127.0.0.1:8080" || p.PID != os.Getpid() {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := running("localhost", 0); err == nil {
		t.Error("no error for a URL without a port")
	}
}
