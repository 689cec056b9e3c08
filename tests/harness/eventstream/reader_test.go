package eventstream

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, in io.Reader) (events []Event, r *Reader) {
	t.Helper()
	r = NewReader(in)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return events, r
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
}

// The first four are the standard's own examples.
var streams = map[string]struct {
	text string
	want []Event
}{
	"stock ticker":            {"data: YHOO\ndata: +2\ndata: 10\n\n", []Event{{"message", "", "YHOO\n+2\n10"}}},
	"ids and comments":        {": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n", []Event{{"message", "1", "first event"}, {"message", "", "second event"}, {"message", "", " third event"}}},
	"empty data":              {"data\n\ndata\ndata\n\ndata:", []Event{{"message", "", ""}, {"message", "", "\n"}}},
	"one space":               {"data:test\n\ndata: test\n\n", []Event{{"message", "", "test"}, {"message", "", "test"}}},
	"names":                   {"event: a\ndata: 1\n\nevent:\ndata: 2\n\nevent: b\n\ndata: 3\n\n", []Event{{"a", "", "1"}, {"message", "", "2"}, {"message", "", "3"}}},
	"ends of lines":           {"data: 1\r\rdata: 2\r\n\r\ndata: 3\n\ndata: 4\r\n\rdata: 5\n\r", []Event{{"message", "", "1"}, {"message", "", "2"}, {"message", "", "3"}, {"message", "", "4"}, {"message", "", "5"}}},
	"byte order mark":         {"\uFEFFdata: 1\n\n\uFEFFdata: 2\n\n", []Event{{"message", "", "1"}}},
	"an ID with NUL":          {"id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n", []Event{{"message", "1", "a"}, {"message", "1", "b"}}},
	"an ID without data":      {"id: 7\n\ndata: a\n\n", []Event{{"message", "7", "a"}}},
	"unknown fields":          {"Data: 1\ndata : 2\n data: 3\nfoo: 4\ndata: 5\n\n", []Event{{"message", "", "5"}}},
	"no UTF-8":                {"data: a\xffb\n\n", []Event{{"message", "", "a\uFFFDb"}}},
	"cut short":               {"data: a\n\ndata: b\n", []Event{{"message", "", "a"}}},
	"cut short in an id":      {"data: a\n\nid: 9", []Event{{"message", "", "a"}}},
	"nothing":                 {"", nil},
	"colons in data":          {"data: a: b:c\n\n", []Event{{"message", "", "a: b:c"}}},
	"comments inside a block": {"data: a\n: comment\ndata: b\n\n", []Event{{"message", "", "a\nb"}}},
}

func TestReader(t *testing.T) {
	for name, tt := range streams {
		for pieces, in := range map[string]io.Reader{"whole": strings.NewReader(tt.text), "by byte": iotest.OneByteReader(strings.NewReader(tt.text))} {
			if got, _ := read(t, in); !cmp.Equal(got, tt.want) {
				t.Errorf("%s, %s: %s", name, pieces, cmp.Diff(tt.want, got))
			}
		}
	}
}

func TestWhatABrowserKeeps(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"retry: 1500\n": 1500 * time.Millisecond, "retry:0\n": 0, "retry: 10\nretry: x\n": 10 * time.Millisecond, "retry: -1\n": 0,
		"retry: 1.5\n": 0, "retry\n": 0, "retry: 99999999999999999999999\n": 24 * time.Hour, "retry: 5": 0,
	} {
		if _, r := read(t, strings.NewReader(text)); r.Retry() != want {
			t.Errorf("%q: %v; want %v", text, r.Retry(), want)
		}
	}
	_, r := read(t, strings.NewReader(": one\n:two\n\nid: 3\n\nid: 4\n"))
	if diff := cmp.Diff([]string{" one", "two"}, r.Comments()); diff != "" || r.Comments() != nil {
		t.Error(diff)
	}
	if r.LastEventID() != "3" { // the block of 4 did not end
		t.Errorf("last event ID %q; want 3", r.LastEventID())
	}
}

// An event is there with the byte that ends it, although LF might follow.
func TestReaderDoesNotWait(t *testing.T) {
	in, out := io.Pipe()
	go func() { _, _ = io.WriteString(out, "data: a\r\r") }() // and then nothing
	if e, err := NewReader(in).Next(); err != nil || e.Data != "a" {
		t.Errorf("%v, %v", e, err)
	}
	_ = out.Close()
}

var lineEnd = regexp.MustCompile("\r\n|\r|\n")

// plainly reads a whole stream by the grammar and the rules of the standard, without regard to cost.
func plainly(text string) (events []Event, lastID string) {
	text = strings.TrimPrefix(text, "\uFEFF")
	var id string
	name, data := "", []string(nil)
	lines := lineEnd.Split(text, -1)
	for _, line := range lines[:len(lines)-1] { // the last one has no end
		line = strings.ToValidUTF8(line, "\uFFFD")
		field, value, found := strings.Cut(line, ": ")
		if f, v, ok := strings.Cut(line, ":"); !found || len(f) < len(field) {
			field, value = f, v
			if !ok {
				field, value = line, ""
			}
		}
		switch {
		case line == "":
			lastID = id
			if data != nil {
				if name == "" {
					name = "message"
				}
				events = append(events, Event{name, id, strings.Join(data, "\n")})
			}
			name, data = "", nil
		case field == "event":
			name = value
		case field == "data":
			data = append(data, value)
		case field == "id" && !strings.Contains(value, "\x00"):
			id = value
		}
	}
	return events, lastID
}

func FuzzReader(f *testing.F) {
	for _, tt := range streams {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, lastID := plainly(text)
		for _, in := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.HalfReader(strings.NewReader(text))} {
			got, r := read(t, in)
			if diff := cmp.Diff(want, got); diff != "" || r.LastEventID() != lastID {
				t.Errorf("%q: last ID %q; want %q: %s", text, r.LastEventID(), lastID, diff)
			}
		}
	})
}
