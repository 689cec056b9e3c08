// Package webhooks_test measures webhooks of the real program under load, with receivers in another process. Its benchmarks take minutes:
// make bench-webhooks runs them.
package webhooks_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
)

// receiverVariable makes the test binary be a receiver instead.
const receiverVariable = "MATRIC_TEST_RECEIVER"

func TestMain(m *testing.M) {
	if os.Getenv(receiverVariable) != "" {
		receive()
		return
	}
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

// sentMark stands before the time, in Unix microseconds, at which a measured event was published.
const sentMark = "sent="

// counts is what a receiver process has received since the last reset.
type counts struct {
	Received int   `json:"received"`
	P50      int64 `json:"p50_us"` // from publication to receipt
	P99      int64 `json:"p99_us"`
}

// receive is the receiver process: POST /hook counts and times, POST /hang never answers, GET /counts tells and resets.
func receive() {
	var mu sync.Mutex // guards latencies
	var latencies []int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("POST /hook", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		now := time.Now().UnixMicro()
		_, rest, _ := strings.Cut(string(body), sentMark)
		digits, _, _ := strings.Cut(rest, " ")
		sent, _ := strconv.ParseInt(digits, 10, 64)
		mu.Lock()
		latencies = append(latencies, now-sent)
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		c := counts{Received: len(latencies)}
		if n := len(latencies); n > 0 {
			slices.Sort(latencies)
			c.P50, c.P99 = latencies[n/2], latencies[n*99/100]
		}
		if r.URL.Query().Has("reset") {
			latencies = nil
		}
		_ = json.NewEncoder(w).Encode(c) // the measuring process has gone
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("http://%s\n", l.Addr())
	_ = http.Serve(l, mux) // until killed
}

// receiver is a receiver process as the measuring one sees it.
type receiver struct {
	b   *testing.B
	url string
}

func startReceiver(b *testing.B) *receiver {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), receiverVariable+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		b.Fatal(errors.New("the receiver does not say where it is"))
	}
	return &receiver{b: b, url: lines.Text()}
}

// counts asks for what was received; query is ?reset to start anew.
func (r *receiver) counts(query string) (c counts) {
	r.b.Helper()
	resp, err := http.Get(r.url + "/counts" + query)
	if err != nil {
		r.b.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&c); err != nil {
		r.b.Fatal(err)
	}
	return c
}

// await waits until n have been received.
func (r *receiver) await(n int) counts {
	r.b.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) { // the other process does not announce
		c := r.counts("")
		if c.Received >= n {
			return c
		}
		if time.Now().After(deadline) {
			r.b.Fatalf("%d of %d received", c.Received, n)
		}
	}
}
