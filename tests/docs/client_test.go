package docs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/matric/matric-events/tests/harness"
)

// client calls a server, and fails the test when a request or an answer is not in the document.
type client struct {
	*checker
	t   *testing.T
	url string
}

func (c *checker) client(t *testing.T, s *harness.Server) *client { return &client{c, t, s.URL} }

// answer is what came back, with the object in it if it is one.
type answer struct {
	status int
	header http.Header
	body   []byte
	object map[string]any
}

// ID returns the member id.
func (a answer) ID() string { id, _ := a.object["id"].(string); return id }

// call sends a request, JSON if it has a body and no header says otherwise, and wants the status. Headers are lines such
// as Accept: text/plain.
func (c *client) call(want int, method, path, body string, headers ...string) answer {
	c.t.Helper()
	return c.send(want, c.request(method, path, body, headers...), body, readAll)
}

func (c *client) request(method, path, body string, headers ...string) *http.Request {
	c.t.Helper()
	// not canceled at the test's end, for its clean-up calls, too
	req, err := http.NewRequestWithContext(context.WithoutCancel(c.t.Context()), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	return req
}

// reader takes what matters of an answer's body.
type reader func(io.Reader) ([]byte, error)

func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(r) }

// upTo reads until it has seen the text.
func upTo(text string) reader {
	return func(r io.Reader) (got []byte, err error) {
		buf := make([]byte, 4096)
		for n := 0; err == nil && !bytes.Contains(got, []byte(text)); got = append(got, buf[:n]...) {
			n, err = r.Read(buf)
		}
		return got, err
	}
}

func (c *client) send(want int, req *http.Request, body string, read reader) answer {
	c.t.Helper()
	a, allowed := c.exchange(want, req, body, read)
	if want < 400 && allowed != nil {
		c.t.Errorf("%s %s %s = %d, but the document does not allow it: %v", req.Method, req.URL, body, a.status, allowed)
	}
	return a
}

// exchange returns the answer, and whether the document allows the request.
func (c *client) exchange(want int, req *http.Request, body string, read reader) (a answer, allowed error) {
	c.t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	a = answer{status: res.StatusCode, header: res.Header}
	if res.StatusCode != http.StatusSwitchingProtocols {
		if a.body, err = read(res.Body); err != nil {
			c.t.Fatalf("%s %s: %v after %q", req.Method, req.URL, err, a.body)
		}
	}
	if a.status != want {
		c.t.Fatalf("%s %s %.200s = %d %s; want %d", req.Method, req.URL, body, a.status, a.body, want)
	}
	allowed, has := c.check(req.Context(), exchange{req, []byte(body), res, a.body})
	if has != nil {
		c.t.Errorf("%s %s %.200s = %d %s\nis not in the document: %v", req.Method, req.URL, body, a.status, a.body, has)
	}
	if strings.HasSuffix(res.Header.Get("Content-Type"), "json") && bytes.HasPrefix(a.body, []byte("{")) {
		if err := json.Unmarshal(a.body, &a.object); err != nil {
			c.t.Fatal(err)
		}
	}
	return a, allowed
}

// next returns the path that an answer's Link leads to.
func (a answer) next(t *testing.T) string {
	t.Helper()
	path, ok := strings.CutSuffix(strings.TrimPrefix(a.header.Get("Link"), "<"), `>; rel="next"`)
	if !ok {
		t.Fatalf("Link = %q", a.header.Get("Link"))
	}
	return path
}
