package stream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

// sseClient reads an event stream, message by message.
type sseClient struct {
	t   testing.TB
	nc  net.Conn // nil over HTTP/2
	res *http.Response
	r   *bufio.Reader
}

// stream sends a GET on a bare socket; nothing of the body has been read.
func (r *rig) stream(path string, lines ...string) *sseClient {
	r.t.Helper()
	c := &sseClient{t: r.t, nc: r.dial()}
	if _, err := io.WriteString(c.nc, "GET "+path+" HTTP/1.1\r\nHost: hub.example\r\n"+strings.Join(append(lines, "\r\n"), "\r\n")); err != nil {
		r.t.Fatal(err)
	}
	br := bufio.NewReader(c.nc)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.take(res)
}

func (c *sseClient) take(res *http.Response) *sseClient {
	c.t.Helper()
	if res.StatusCode != http.StatusOK {
		c.t.Fatalf("%s", res.Status)
	}
	c.res, c.r = res, bufio.NewReader(res.Body)
	return c
}

// events opens a stream and reads what comes first: the comment with the time to retry, and the QueueStatus if wanted.
func (r *rig) events(path string, lines ...string) *sseClient {
	r.t.Helper()
	c := r.stream(path, lines...)
	c.mustGetHello()
	if !strings.Contains(path, "types=") {
		if got := c.message(); !strings.HasPrefix(got, "event: QueueStatus\ndata: ") || strings.Contains(got, "\nid:") {
			r.t.Fatalf("second message %q", got)
		}
	}
	return c
}

func (c *sseClient) mustGetHello() {
	c.t.Helper()
	ms, found := strings.CutPrefix(c.message(), ": matric-events\nretry: ")
	if n, err := strconv.Atoi(ms); !found || err != nil || n < 500 {
		c.t.Fatalf("no comment and retry first: %q", ms)
	}
}

// message returns the lines up to the next empty one.
func (c *sseClient) message() string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("read: %v after %q", err, lines)
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return strings.Join(lines, "\n")
		}
		lines = append(lines, line)
	}
}

func (c *sseClient) mustGet(messages ...string) {
	c.t.Helper()
	for _, want := range messages {
		if d := cmp.Diff(want, c.message()); d != "" {
			c.t.Fatalf("message (-want +got):\n%s", d)
		}
	}
}

func sseMessage(e domain.Event) string {
	return "event: " + e.Type().String() + "\nid: " + e.ID.String() + "\ndata: " + jsonOf(e)
}

func (c *sseClient) mustGetEvents(events ...domain.Event) {
	c.t.Helper()
	for _, e := range events {
		c.mustGet(sseMessage(e))
	}
}

// mustEnd fails unless the body ends in good order, with nothing more in it.
func (c *sseClient) mustEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Fatalf("the body ends with %q, %v", rest, err)
	}
}
