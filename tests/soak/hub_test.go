package soak_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
)

// hub is a hub that is killed and started again, as clients see it: an address that is gone now and then.
type hub struct {
	t     *testing.T
	flags []string
	proxy *harness.Proxy // another way to it

	// life counts the processes: it is even while one serves that is to stay, odd from just before its end until the next
	// one is ready. What began and ended at the same even number was between a client and that process.
	life atomic.Int64

	mu     sync.Mutex // guards all below
	server *harness.Server
	listen string
}

// ringCapacity is how many events the hub keeps: few, so that readers can fall behind.
const ringCapacity = 512

func newHub(t *testing.T, db *database) *hub {
	h := &hub{t: t, listen: harness.FreePort(t)}
	h.flags = append(slices.Clone(db.flags),
		"--webhook-allow-http", "--webhook-allow-cidr", "127.0.0.0/8", "--webhook-timeout", "1s",
		"--webhook-retry-initial", "100ms", "--webhook-retry-max", "1s",
		"--bus-capacity", strconv.Itoa(ringCapacity), "--write-timeout", "8s", "--heartbeat", "2s", "--idle-timeout", "8s", "--sse-keepalive", "1s",
		"--log-level", "error")
	h.proxy = harness.NewProxy(t, "tcp", h.listen)
	h.life.Store(1)
	h.begin()
	return h
}

func (h *hub) at(listen string) []string { return append([]string{"--listen", listen}, h.flags...) }

// begin starts the next process on the address of the last one.
func (h *hub) begin() {
	s := harness.Serve(h.t, h.at(h.listen)...)
	h.mu.Lock()
	h.server = s
	h.mu.Unlock()
	h.life.Add(1)
}

func (h *hub) current() *harness.Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.server
}

// kill ends the process as kill -9 does, and starts another one.
func (h *hub) kill() {
	h.life.Add(1)
	h.current().Kill()
	h.begin()
}

// stop ends the process by SIGTERM, and starts another one. It returns the exit code.
func (h *hub) stop() int {
	h.life.Add(1)
	code := h.current().Stop()
	h.begin()
	return code
}

// handOver starts a process that stands by, ends the one that serves, and waits until the other one serves.
func (h *hub) handOver(end func(*harness.Server)) {
	listen := harness.FreePort(h.t)
	next, waits := harness.Join(h.t, h.at(listen)...)
	h.life.Add(1)
	if waits {
		end(h.current())
		next.AwaitReady()
	} else { // a fault had just ended the connection on which the database is held: who lost it ends by itself
		h.current().Wait()
	}
	h.mu.Lock()
	h.server, h.listen = next, listen
	h.mu.Unlock()
	h.proxy.Retarget(listen)
	h.life.Add(1)
}

// serving returns the life, unless no process serves.
func (h *hub) serving() (life int64, ok bool) {
	life = h.life.Load()
	return life, life%2 == 0
}

// url returns where the hub is now, http://host:port, directly or by way of the proxy.
func (h *hub) url(proxied bool) string {
	if proxied {
		return "http://" + h.proxy.Addr
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return "http://" + h.listen
}

// callTimeout is for how long a client waits for an answer. The hub should have given up before.
const callTimeout = 30 * time.Second

// call sends a request. The status is 0 when there is no answer.
func (h *hub) call(c *http.Client, method, path, contentType, body string) (status int, answer []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, h.url(false)+path, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	if body != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil
	}
	return resp.StatusCode, answer
}

// read gets an object, or a list, into out.
func (h *hub) read(path string, out any) bool {
	status, answer := h.call(&http.Client{Transport: passing}, http.MethodGet, path, "", "")
	return status == http.StatusOK && json.Unmarshal(answer, out) == nil
}

// passing leaves no connection behind.
var passing = &http.Transport{DisableKeepAlives: true}

// metrics returns the metrics whose names begin with a prefix, those of one name added up.
func (h *hub) metrics(names ...string) map[string]float64 {
	sums := map[string]float64{}
	status, answer := h.call(&http.Client{Transport: passing}, http.MethodGet, "/metrics", "", "")
	if status != http.StatusOK {
		return nil
	}
	for line := range bytes.Lines(answer) {
		name, rest, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		name, labels, _ := strings.Cut(name, "{")
		if !slices.Contains(names, name) {
			continue
		}
		if labels != "" { // a label may hold a space
			rest = rest[strings.LastIndex(rest, " ")+1:]
		}
		var v float64
		if json.Unmarshal([]byte(rest), &v) == nil {
			sums[name] += v
		}
	}
	return sums
}
