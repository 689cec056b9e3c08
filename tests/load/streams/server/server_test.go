//go:build linux

package server

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestStartWaitsUntilReady(t *testing.T) {
	p, err := Start("sh", "-c", "echo hello >&2; echo listening on http://127.0.0.1:4711 >&2; exec sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	if p.Addr.String() != "127.0.0.1:4711" || !p.Alive() || p.Said()[:5] != "hello" {
		t.Errorf("address %v, alive: %v, said %q", p.Addr, p.Alive(), p.Said())
	}
	if now, peak := p.Memory(); now <= 0 || peak < now {
		t.Errorf("memory %v, peak %v", now, peak)
	}
	p.Stop()
	if p.Alive() {
		t.Error("it runs on")
	}
}

func TestStartTellsWhyNot(t *testing.T) {
	_, err := Start("sh", "-c", "echo the disk is full >&2")
	if err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("error %v; want what the server said", err)
	}
	if _, err := Start("/nowhere/server"); err == nil {
		t.Error("no error without a program")
	}
}

func TestStopLeavesOthersAlone(t *testing.T) {
	p := &Process{PID: os.Getpid()}
	p.Stop()
	if !p.Alive() {
		t.Error("not alive")
	}
}

func TestParse(t *testing.T) {
	if got := parseProcessTime([]byte("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0")); got != 2 {
		t.Errorf("processor time %v; want 2", got)
	}
	if work, stolen := machineTime([]byte("cpu  100 200 300 400 500 600 700 800 0 0\ncpu0 1")); work != 19 || stolen != 8 {
		t.Errorf("machine: %v, stolen %v; want 19 and 8", work, stolen)
	}
	if now, peak := parseMemory([]byte("Name:\tx\nVmHWM:\t    30 kB\nVmRSS:\t  20 kB\nThreads: 3\n")); now != 20<<10 || peak != 30<<10 {
		t.Errorf("memory %v, peak %v", now, peak)
	}
	if parseProcessTime(nil) != 0 {
		t.Error("time of a process that is gone")
	}
}

func TestSub(t *testing.T) {
	a := Usage{At: time.Unix(10, 0), Server: 1, Client: 2, Machine: 5, Stolen: 1}
	b := Usage{At: time.Unix(12, 0), Server: 2, Client: 3, Machine: 8, Stolen: 3}
	if server, client, other, stolen := b.Sub(a); server != 0.5 || client != 0.5 || other != 0.5 || stolen != 1 {
		t.Errorf("cores: %v %v %v %v", server, client, other, stolen)
	}
}
