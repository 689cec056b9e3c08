//go:build linux

// Package server starts the servers that are measured, one process each, and reads what they use of the machine from /proc.
// It ends only what it has started. Linux only.
package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a server. One that runs already is a Process literal with its address and ID; Stop leaves it alone.
type Process struct {
	Addr netip.AddrPort
	PID  int

	cmd    *exec.Cmd
	exited chan struct{}
	mu     sync.Mutex // guards lines
	lines  []string   // the last of standard error
}

const (
	startPatience = 20 * time.Second
	stopPatience  = 5 * time.Second
	keptLines     = 20
	readyLine     = "listening on http://"
)

// Start runs a command, in an empty folder of its own, and returns once it has printed "listening on http://ADDRESS" to
// standard error. It is killed when this process ends, however that comes about.
func Start(argv ...string) (*Process, error) {
	dir, err := os.MkdirTemp("", "streams")
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.Command(argv[0], argv[1:]...), exited: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ready := make(chan string, 1)
	if err := p.run(ready); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	select {
	case addr := <-ready:
		if p.Addr, err = netip.ParseAddrPort(addr); err == nil {
			return p, nil
		}
	case <-p.exited:
		err = errors.New("ended before it was ready")
	case <-time.After(startPatience):
		err = fmt.Errorf("not ready within %v", startPatience)
	}
	p.Stop()
	return nil, fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, p.Said())
}

func (p *Process) run(ready chan<- string) error {
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.PID = p.cmd.Process.Pid
	go p.follow(pipe, ready)
	return nil
}

func (p *Process) follow(pipe io.Reader, ready chan<- string) {
	for in := bufio.NewScanner(pipe); in.Scan(); {
		if addr, ok := strings.CutPrefix(in.Text(), readyLine); ok {
			select {
			case ready <- addr:
			default: // it says so twice
			}
		}
		p.mu.Lock()
		p.lines = append(p.lines[max(0, len(p.lines)-keptLines+1):], in.Text())
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // how it ended is seen by what it said
	close(p.exited)
}

// Said returns the last lines that the server has printed to standard error.
func (p *Process) Said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// Alive tells whether the server still runs.
func (p *Process) Alive() bool {
	if p.cmd == nil {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID))
		return err == nil
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Stop ends a server that Start has started, and returns when it is gone, and its folder with it.
func (p *Process) Stop() {
	if p.cmd == nil {
		return
	}
	defer func() { _ = os.RemoveAll(p.cmd.Dir) }() // what is left of it is in the system's temporary folder
	_ = p.cmd.Process.Signal(syscall.SIGTERM)      // it may be gone already
	select {
	case <-p.exited:
		return
	case <-time.After(stopPatience):
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
}
