package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/matric/matric-events/domain"
)

// outcomeOf runs a command as main does and returns what it printed and its exit code.
func outcomeOf(t *testing.T, ctx context.Context, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	var commands struct {
		Tail TailCmd `cmd:""`
		Emit EmitCmd `cmd:""`
	}
	parser, err := kong.New(&commands, kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(console{&out, &errs}))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(args)
	if err == nil {
		err = parsed.Run()
	}
	if err != nil {
		fmt.Fprintf(&errs, "matric-events: %v\n", err)
	}
	return out.String(), errs.String(), exitCode(err)
}

// scriptedHub answers every request for the stream with the same text and then holds the connection, and takes what
// producers send as the wire contract says.
type scriptedHub struct {
	stream string

	mu      sync.Mutex
	queries []string // of the stream, with the Last-Event-ID
	bodies  []string // of producers, with the route and the content type
	token   string   // required, unless empty
}

func (h *scriptedHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.token != "" && r.Header.Get("Authorization") != "Bearer "+h.token {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"title":"Unauthorized","detail":"the token is not known"}`)
		return
	}
	route := strings.TrimPrefix(r.URL.Path, "/api/v1/")
	switch route {
	case "events":
		h.note(&h.queries, strings.TrimSpace(r.URL.RawQuery+" "+r.Header.Get("Last-Event-ID")))
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, h.stream)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case "worker-events", "note-events":
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		h.note(&h.bodies, route+" "+r.Header.Get("Content-Type")+"\n"+body.String())
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"accepted":%d}`, 1+strings.Count(body.String(), "\n"))
	default:
		http.NotFound(w, r)
	}
}

func (h *scriptedHub) note(list *[]string, s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*list = append(*list, s)
}

func (h *scriptedHub) serve(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func mustUUID(s string) domain.UUID {
	id, err := domain.ParseUUID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func TestExitCode(t *testing.T) {
	for reason, tt := range map[string]struct {
		err  error
		want int
	}{
		"no error":                  {nil, 0},
		"an error":                  {errors.New("x"), 1},
		"an error with a code":      {exitError{3, errors.New("x")}, 3},
		"the same, wrapped":         {fmt.Errorf("y: %w", exitError{2, errors.New("x")}), 2},
		"the same, joined with one": {errors.Join(errors.New("y"), exitError{2, errors.New("x")}), 2},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%s: exitCode() = %d; want %d", reason, got, tt.want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for reason, tt := range map[string]struct{ in, want string }{
		"plain text":                    {"héllo 世界", "héllo 世界"},
		"line breaks and tabs":          {"a\r\nb\tc", "a  b c"},
		"an escape sequence":            {"\x1b[31mred\x07", "�[31mred�"},
		"C1 controls":                   {"a\u009b2Jb", "a�2Jb"},
		"text that turns its direction": {"a\u202eb", "a�b"},
		"a compound emoji":              {"👩‍🚀", "👩‍🚀"},
		"broken UTF-8":                  {"a\xffb", "a�b"},
		"too long":                      {"12345678901", "1234567890…"},
	} {
		if got := oneLine(tt.in, 10); got != tt.want {
			t.Errorf("%s: oneLine(%q) = %q; want %q", reason, tt.in, got, tt.want)
		}
	}
}

func TestWantsColor(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for reason, w := range map[string]interface{ Write([]byte) (int, error) }{"a buffer": &bytes.Buffer{}, "a file": file} {
		if isTerminal(w) || wantsColor(w) {
			t.Errorf("%s passes for a terminal", reason)
		}
	}
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, which is all that is asked for
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if !wantsColor(device) {
		t.Error("no color on a terminal")
	}
	t.Setenv("TERM", "dumb")
	if wantsColor(device) {
		t.Error("color on a dumb terminal")
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	if wantsColor(device) {
		t.Error("color in spite of NO_COLOR")
	}
}
