//go:build linux

package server

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is the processor time spent up to a moment, in seconds.
type Usage struct {
	At      time.Time
	Server  float64
	Client  float64 // this process
	Machine float64 // all that ran
	Stolen  float64 // by other machines of the same host
}

// ticksPerSecond is USER_HZ, a constant of Linux's interface to programs.
const ticksPerSecond = 100

// Usage reads what has been used so far. The server's time comes in steps of 10 ms.
func (p *Process) Usage() Usage {
	u := Usage{At: time.Now(), Server: processTime(p.PID)}
	var own syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &own) == nil {
		u.Client = float64(own.Utime.Nano()+own.Stime.Nano()) / 1e9
	}
	stat, _ := os.ReadFile("/proc/stat") // then it has used nothing, which shows
	u.Machine, u.Stolen = machineTime(stat)
	return u
}

// Sub returns what was used between two readings, in cores.
func (u Usage) Sub(before Usage) (server, client, other, stolen float64) {
	d := u.At.Sub(before.At).Seconds()
	server, client = (u.Server-before.Server)/d, (u.Client-before.Client)/d
	return server, client, max(0, (u.Machine-before.Machine)/d-server-client), (u.Stolen - before.Stolen) / d
}

func processTime(pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return parseProcessTime(stat)
}

// parseProcessTime adds utime and stime, proc_pid_stat(5). The name of the program, in parentheses, may hold anything.
func parseProcessTime(stat []byte) float64 {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	return (number(fields[11]) + number(fields[12])) / ticksPerSecond
}

// machineTime adds the columns of proc_stat(5) that are work: user, nice, system, irq and softirq.
func machineTime(stat []byte) (work, stolen float64) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 9 {
		return 0, 0
	}
	for _, i := range []int{1, 2, 3, 6, 7} {
		work += number(fields[i]) / ticksPerSecond
	}
	return work, number(fields[8]) / ticksPerSecond
}

// Memory returns the server's resident memory, now and at its highest, in bytes.
func (p *Process) Memory() (now, peak float64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0, 0
	}
	return parseMemory(status)
}

func parseMemory(status []byte) (now, peak float64) {
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[2] == "kB" {
			switch f[0] {
			case "VmRSS:":
				now = number(f[1]) * 1024
			case "VmHWM:":
				peak = number(f[1]) * 1024
			}
		}
	}
	return now, peak
}

func number(s string) float64 {
	v, _ := strconv.ParseFloat(s, 64) // the kernel writes numbers
	return v
}
