package harness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long anything in a test may take before it has failed. It is never waited for when all is well.
const Patience = 20 * time.Second

// Binary returns the path of the program, which the first call builds.
func Binary(t testing.TB) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// CleanUp removes this test's name for the program; call it at the end of TestMain.
func CleanUp() {
	if bin, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(bin))
	}
}

// Server is a running matric-events serve.
type Server struct {
	URL string // http://host:port

	t      testing.TB
	cmd    *exec.Cmd
	ready  chan string // where it listens, once it is ready
	waits  chan string // where it answers while it stands by
	exited chan struct{}
	err    error // of Wait; read after exited
	mu     sync.Mutex
	stderr bytes.Buffer
}

// Serve starts a server with the flags given, on a free port of loopback, and returns once it is ready. Unless the flags
// name a database it gets one of its own. It is ended with the test if it still runs.
func Serve(t testing.TB, flags ...string) *Server {
	t.Helper()
	s := start(t, flags)
	s.AwaitReady()
	return s
}

// FreePort returns an address of loopback whose port was free a moment ago, for a server that is to be found there again.
func FreePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Standby starts a server that waits for another one's end, and returns once it waits.
func Standby(t testing.TB, flags ...string) *Server {
	t.Helper()
	s, waits := Join(t, flags...)
	if !waits {
		t.Fatalf("nobody else has the database\n%s", s.Stderr())
	}
	return s
}

// Join starts a server that waits for another one's end if there is one, and returns once it waits, or serves.
func Join(t testing.TB, flags ...string) (s *Server, waits bool) {
	t.Helper()
	s = start(t, append([]string{"--standby"}, flags...))
	return s, s.await(s.waits)
}

// Race starts several servers at once, each to stand by if another one is first, and returns the one that is ready and
// those that stand by.
func Race(t testing.TB, n int, flags ...string) (first *Server, others []*Server) {
	t.Helper()
	servers := make([]*Server, n)
	for i := range servers {
		servers[i] = start(t, append([]string{"--standby"}, flags...))
	}
	for _, s := range servers {
		switch {
		case s.await(s.waits):
			others = append(others, s)
		case first != nil:
			t.Fatal("two servers are ready")
		default:
			first = s
		}
	}
	if first == nil {
		t.Fatal("no server is ready")
	}
	return first, others
}

// AwaitReady returns once the server is ready.
func (s *Server) AwaitReady() {
	s.t.Helper()
	s.await(nil)
}

// await returns once the server is ready or, unless waits is nil, stands by, and reports whether it does that.
func (s *Server) await(waits chan string) bool {
	s.t.Helper()
	select {
	case s.URL = <-s.ready:
		return false
	case s.URL = <-waits:
		return true
	case <-s.exited:
		s.t.Fatalf("serve ended before it was there: %v\n%s", s.err, s.Stderr())
	case <-time.After(Patience):
		s.t.Fatalf("serve is not there after %v\n%s", Patience, s.Stderr())
	}
	return false
}

func start(t testing.TB, flags []string) *Server {
	t.Helper()
	args := append([]string{"serve", "--listen", "127.0.0.1:0"}, flags...)
	if !strings.Contains(strings.Join(flags, " "), "--database-url") {
		args = append(args, "--database-url", "sqlite:"+filepath.Join(t.TempDir(), "hub.db"))
	}
	s := &Server{
		t: t, cmd: exec.Command(Binary(t), args...), ready: make(chan string, 1), waits: make(chan string, 1), exited: make(chan struct{}),
	}
	s.cmd.Env = environment()
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.follow(bufio.NewScanner(pipe))
	t.Cleanup(func() {
		s.End()
		if t.Failed() {
			t.Logf("server's standard error:\n%s", s.Stderr())
		}
	})
	return s
}

// environment is ours without the settings that would reach the program.
func environment() (env []string) {
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "MATRIC_") && !strings.HasPrefix(kv, "DATABASE_URL=") {
			env = append(env, kv)
		}
	}
	return env
}

func (s *Server) follow(lines *bufio.Scanner) {
	for lines.Scan() {
		s.mu.Lock()
		s.stderr.WriteString(lines.Text() + "\n")
		s.mu.Unlock()
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			s.ready <- url
		}
		if url, ok := strings.CutPrefix(lines.Text(), "standing by on "); ok {
			s.waits <- url
		}
	}
	s.err = s.cmd.Wait()
	close(s.exited)
}

// Stderr returns what the server has printed to standard error so far.
func (s *Server) Stderr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// PID returns the process ID.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Ended reports whether the process has ended.
func (s *Server) Ended() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// Kill ends the process as kill -9 does, and returns when it is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.exited
}

// End ends the process when it is not wanted any more: at once, unless make cover wants to know what it has run, which only a process
// that ends by itself tells.
func (s *Server) End() {
	if os.Getenv(coverDir) != "" && s.cmd.Process.Signal(syscall.SIGTERM) == nil {
		select {
		case <-s.exited:
		case <-time.After(Patience):
		}
	}
	s.Kill()
}

// Stop asks the process to end and returns its exit code.
func (s *Server) Stop() int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatalf("SIGTERM: %v", err)
	}
	return s.Wait()
}

// Wait waits until the process has ended and returns its exit code.
func (s *Server) Wait() int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(2 * Patience):
		s.t.Fatalf("the server does not end\n%s", s.Stderr())
	}
	if ee, ok := errors.AsType[*exec.ExitError](s.err); ok {
		return ee.ExitCode()
	}
	return 0
}

// Run runs the program with the arguments until it ends, or Patience does, and returns what it printed and its exit code.
func Run(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Env = environment()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%v does not end\n%s", args, errs.String())
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Next returns the one of the servers that stand by which is ready next, and the rest.
func Next(t testing.TB, waiting []*Server) (ready *Server, rest []*Server) {
	t.Helper()
	over := time.After(Patience)
	look := time.NewTicker(5 * time.Millisecond) // at any number of channels
	defer look.Stop()
	for {
		for i, s := range waiting {
			select {
			case s.URL = <-s.ready:
				return s, append(append([]*Server(nil), waiting[:i]...), waiting[i+1:]...)
			default:
			}
		}
		select {
		case <-look.C:
		case <-over:
			t.Fatal("nobody takes over")
		}
	}
}
