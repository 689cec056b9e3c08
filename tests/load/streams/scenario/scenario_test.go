//go:build linux

package scenario_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/load/streams/limit"
	"github.com/matric/matric-events/tests/load/streams/report"
	"github.com/matric/matric-events/tests/load/streams/scenario"
	"github.com/matric/matric-events/tests/load/streams/server"
	"github.com/matric/matric-events/tests/load/streams/target"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

// setup is a small measurement of a server that runs already.
func setup(t *testing.T, addr string, pid int, kind string) scenario.Setup {
	tg, err := target.Named(kind)
	if err != nil {
		t.Fatal(err)
	}
	return scenario.Setup{
		Server: kind, Target: tg, Clients: 20, Publishers: 2, Size: 300, Duration: 300 * time.Millisecond,
		Start: func() (*server.Process, error) {
			return &server.Process{Addr: netip.MustParseAddrPort(strings.TrimPrefix(addr, "http://")), PID: pid}, nil
		},
		Say: t.Logf,
	}
}

// flawless fails the test if anything went wrong.
func flawless(t *testing.T, r *report.Result, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if r.Open.Failed != nil {
		t.Errorf("connections failed: %v", r.Open.Failed)
	}
	if f := r.Faults; f == nil || f.Lost+f.Duplicated+f.Reordered != 0 || f.Disconnected != nil || f.Publish != nil {
		t.Errorf("faults: %+v", f)
	}
}

// Small runs of each scenario against the real hub: nothing is lost, comes twice or out of order. No times are asserted.
func TestHub(t *testing.T) {
	hub := harness.Serve(t, "--no-host", "--log-level", "error")
	for _, kind := range []string{"hub", "hub-sse"} {
		s := setup(t, hub.URL, hub.PID(), kind)
		t.Run(kind, func(t *testing.T) {
			t.Run("fanout", func(t *testing.T) {
				r, err := scenario.Fanout(t.Context(), s)
				flawless(t, r, err)
				if r.Load.Deliveries == 0 || r.Load.P50 == 0 {
					t.Errorf("nothing was measured: %+v", r.Load)
				}
			})
			t.Run("idle", func(t *testing.T) {
				r, err := scenario.Idle(t.Context(), s)
				flawless(t, r, err)
				if r.Idle.Remain != 20 || r.Idle.Reached != 20 {
					t.Errorf("%v remain, %v were reached; want 20", r.Idle.Remain, r.Idle.Reached)
				}
			})
			t.Run("storm-resume", func(t *testing.T) {
				s := s
				s.Rate, s.Away = 200, 50*time.Millisecond
				r, err := scenario.Resume(t.Context(), s)
				flawless(t, r, err)
				if r.Resume.Missed == 0 {
					t.Error("nothing was published while the clients were away")
				}
			})
		})
	}
}

func TestHubWithASlowClient(t *testing.T) {
	hub := harness.Serve(t, "--no-host", "--log-level", "error", "--write-timeout", "200ms")
	s := setup(t, hub.URL, hub.PID(), "hub")
	s.Rate, s.Size, s.Duration = 300, 4000, 500*time.Millisecond
	r, err := scenario.Slow(t.Context(), s)
	flawless(t, r, err)
	if !strings.HasPrefix(r.Slow.HowEnded, "cut off after") {
		t.Errorf("the slow one: %s; want it cut off", r.Slow.HowEnded)
	}
}

func TestLimitServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- limit.New(16).Serve(l) }()
	r, err := scenario.Fanout(t.Context(), setup(t, l.Addr().String(), os.Getpid(), "ws"))
	flawless(t, r, err)
	_ = l.Close()
	<-done
}

func TestConnectTellsWhatRefuses(t *testing.T) {
	hub := harness.Serve(t, "--no-host", "--log-level", "error", "--max-connections", "15")
	r, err := scenario.Connect(t.Context(), setup(t, hub.URL, hub.PID(), "hub"))
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Open.Failed["handshake: HTTP/1.1 503 Service Unavailable"]; n != 5 {
		t.Errorf("failed: %v; want 5 times 503", r.Open.Failed)
	}
}

func TestCancelEndsARun(t *testing.T) {
	hub := harness.Serve(t, "--no-host", "--log-level", "error")
	s := setup(t, hub.URL, hub.PID(), "hub")
	s.Duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := scenario.Fanout(ctx, s); err == nil {
		t.Error("no error")
	}
}
