package client

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

type parsed struct {
	Events []string // name, id and data with bars between
	LastID string
	Retry  time.Duration
}

func parseAll(t testing.TB, r io.Reader) parsed {
	t.Helper()
	s := newEventStream(r)
	var got parsed
	for {
		e, err := s.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatalf("next() = %v; want io.EOF at the end", err)
			}
			got.LastID, got.Retry = s.lastID, s.retry
			return got
		}
		got.Events = append(got.Events, e.name+"|"+e.id+"|"+string(e.data))
	}
}

func TestEventStream(t *testing.T) {
	tests := []struct {
		reason, in string
		want       parsed
	}{
		{"a plain event", "event: x\nid: 1\ndata: d\n\n", parsed{Events: []string{"x|1|d"}, LastID: "1"}},
		{"no event field means message", "data: d\n\n", parsed{Events: []string{"message||d"}}},
		{"lines end in CR", "data: a\rdata: b\r\r", parsed{Events: []string{"message||a\nb"}}},
		{"lines end in CRLF", "data: a\r\ndata: b\r\n\r\n", parsed{Events: []string{"message||a\nb"}}},
		{"endings may mix", "data: a\r\ndata: b\rdata: c\n\r\n", parsed{Events: []string{"message||a\nb\nc"}}},
		{"LF CR ends two lines", "data: a\n\rdata: b\n\n", parsed{Events: []string{"message||a", "message||b"}}},
		{"a byte order mark at the start", "\uFEFFdata: a\n\n", parsed{Events: []string{"message||a"}}},
		{"only one, and only at the start", "\uFEFF\uFEFFdata: a\n\n\uFEFFdata: b\n\n", parsed{}},
		{"comments", ": hi\n:\ndata: a\n: in between\n\n", parsed{Events: []string{"message||a"}}},
		{"one space after the colon goes", "data:a\n\ndata:  b\n\ndata:\tc\n\n", parsed{Events: []string{"message||a", "message|| b", "message||\tc"}}},
		{"a field without colon is empty", "data\n\ndata\ndata\n\n", parsed{Events: []string{"message||", "message||\n"}}},
		{"a value may hold colons", "data: a:b: c\n\n", parsed{Events: []string{"message||a:b: c"}}},
		{"field names are case-sensitive", "Data: a\nDATA: b\n data: c\n\n", parsed{}},
		{"an event without data is dropped", "event: x\nid: 7\n\ndata: a\n\n", parsed{Events: []string{"message|7|a"}, LastID: "7"}},
		{"the id stays until it changes", "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", parsed{Events: []string{"message|1|a", "message|1|b", "message||c"}}},
		{"an id with NUL is ignored", "id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n", parsed{Events: []string{"message|1|a", "message|1|b"}, LastID: "1"}},
		{"an id counts at the end of its block", "id: 1\ndata: a\n\nid: 2\ndata: b\n", parsed{Events: []string{"message|1|a"}, LastID: "1"}},
		{"retry is digits only", "retry: 2500\nretry: 1s\nretry: -1\nretry: +1\nretry:\nretry:  9\n", parsed{Retry: 2500 * time.Millisecond}},
		{"a retry beyond all measure is bounded", "retry: 99999999999999999999999\n", parsed{Retry: maxPause}},
		{"a cut event is dropped", "data: a\n\ndata: b\n", parsed{Events: []string{"message||a"}}},
		{"a cut line is dropped", "data: a\n\ndata: b", parsed{Events: []string{"message||a"}}},
		{"nothing", "", parsed{}},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"at once":      strings.NewReader(tt.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
			} {
				if diff := cmp.Diff(tt.want, parseAll(t, r)); diff != "" {
					t.Errorf("%q %s (-want +got):\n%s", tt.in, how, diff)
				}
			}
		})
	}
}

func TestEventStreamBounds(t *testing.T) {
	half := strings.Repeat("x", maxEvent/2+1)
	for reason, in := range map[string]string{
		"a line without end": "data: " + half + half,
		"a comment":          ":" + half + half + "\n\n",
		"many data lines":    "data: " + half + "\ndata: " + half + "\n\n",
	} {
		if _, err := newEventStream(strings.NewReader(in)).next(); !errors.Is(err, errTooLarge) {
			t.Errorf("%s: next() = %v; want %v", reason, err, errTooLarge)
		}
	}
	in := "data: " + half + "\n\ndata: " + half + "\n\n"
	if got := parseAll(t, strings.NewReader(in)); len(got.Events) != 2 {
		t.Errorf("two events that together exceed the bound: got %d", len(got.Events))
	}
}

// A line ends with its CR. Waiting for the LF that may follow would hold an event back until the next one.
func TestEventStreamDoesNotWaitBehindCR(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go func() { _, _ = io.WriteString(w, "data: a\r\r") }()
	if e, err := newEventStream(r).next(); err != nil || string(e.data) != "a" {
		t.Errorf("next() = %q, %v; want a", e.data, err)
	}
}

// reference parses the slow way: by normalizing and splitting the whole text, as the standard's grammar suggests.
func reference(in string) parsed {
	in = strings.TrimPrefix(in, "\uFEFF")
	in = strings.ReplaceAll(strings.ReplaceAll(in, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(in, "\n")
	var got parsed
	var name, id string
	var data []string
	for _, line := range lines[:len(lines)-1] { // what follows the last ending is no line
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			got.LastID = id
			if name == "" {
				name = "message"
			}
			if data != nil {
				got.Events = append(got.Events, name+"|"+id+"|"+strings.Join(data, "\n"))
			}
			name, data = "", nil
		case field == "event":
			name = value
		case field == "data":
			data = append(data, value)
		case field == "id" && !strings.Contains(value, "\x00"):
			id = value
		case field == "retry" && value != "" && strings.Trim(value, "0123456789") == "":
			got.Retry, _ = parseRetry([]byte(value))
		}
	}
	return got
}

func FuzzEventStream(f *testing.F) {
	for _, seed := range []string{
		"event: JobStarted\nid: 1\ndata: {}\n\n", "\uFEFFdata: a\r\rdata\r\n\r\n", ": keepalive\n\nretry: 10\n\n",
		"id: a\x00b\ndata\n\n", "data: \xff\xfe\n\n\n\n", "data:x\r\n\ndata:y\n\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		want := reference(in)
		if diff := cmp.Diff(want, parseAll(t, strings.NewReader(in))); diff != "" {
			t.Errorf("%q differs from the reference (-want +got):\n%s", in, diff)
		}
		if diff := cmp.Diff(want, parseAll(t, iotest.OneByteReader(strings.NewReader(in)))); diff != "" {
			t.Errorf("%q byte by byte differs from the reference (-want +got):\n%s", in, diff)
		}
	})
}
