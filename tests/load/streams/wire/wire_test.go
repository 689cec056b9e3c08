package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// event is a server's message about as large as a real one, of a size that grows with seq.
func event(seq int) []byte {
	b := AppendStamp([]byte(`{"message":"`), Stamp{Publisher: seq % 3, Seq: uint64(seq), Sent: int64(seq) * 1e9})
	return append(b, strings.Repeat("x", 50*seq)+`"}`...)
}

// seqs returns the numbers of the stamps in text.
func seqs(text []byte) (list []int) {
	for s, rest, ok := NextStamp(text); ok; s, rest, ok = NextStamp(rest) {
		list = append(list, int(s.Seq))
	}
	return list
}

// messages feeds a stream in reads of a size and returns what came, as a subscriber would: what Next leaves is brought again.
func messages(stream []byte, step int) (all []string, rest []byte, err error) {
	var w WebSocket
	for len(stream) > 0 {
		n := min(step, len(stream))
		rest = append(rest, stream[:n]...)
		stream = stream[n:]
		for {
			m, size, err := w.Next(rest)
			if err != nil {
				return all, rest, err
			}
			if size == 0 {
				break
			}
			if m.Kind != Fragment {
				all = append(all, fmt.Sprintf("%d %s", m.Kind, m.Payload))
			}
			rest = rest[size:]
		}
	}
	return all, rest, nil
}

// fragments is an event in three frames with a Ping between them, as RFC 6455, section 5.4 allows.
func fragments(payload []byte) []byte {
	part := func(first byte, p []byte) []byte {
		b := AppendServerText(nil, p)
		b[0] = first
		return b
	}
	b := part(0x01, payload[:20])
	b = append(b, 0x89, 2, 'h', 'i')
	b = append(b, part(0x00, payload[20:30])...)
	return append(b, part(0x80, payload[30:])...)
}

func TestMessagesCutAnywhere(t *testing.T) {
	stream := AppendServerText(nil, event(1)) // 7-bit length
	stream = append(stream, fragments(event(2))...)
	stream = append(stream, AppendServerText(nil, event(5))...)    // 16-bit length
	stream = append(stream, AppendServerText(nil, event(1400))...) // 64-bit length
	stream = append(stream, 0x88, 4, 0x03, 0xe8, 'o', 'k')
	want := fmt.Sprint([]string{
		"1 " + string(event(1)), "9 hi", "1 " + string(event(2)), "1 " + string(event(5)), "1 " + string(event(1400)), "8 \x03\xe8ok",
	})
	for _, step := range []int{1, 2, 3, 5, 7, 11, 64, 250, 4096, len(stream)} {
		if got, rest, err := messages(stream, step); err != nil || len(rest) != 0 || fmt.Sprint(got) != want {
			t.Fatalf("reads of %d bytes: %d messages, %d bytes left, %v", step, len(got), len(rest), err)
		}
	}
}

func TestFramesThatNoServerMaySend(t *testing.T) {
	for reason, frame := range map[string][]byte{
		"a mask":                        {0x81, 0x80, 0, 0, 0, 0},
		"a reserved bit (compression)":  {0xc1, 0},
		"an unknown opcode":             {0x83, 0},
		"a continuation of nothing":     {0x80, 0},
		"a Ping in fragments":           {0x09, 0},
		"a long Ping":                   append([]byte{0x89, 126, 0, 126}, make([]byte, 126)...),
		"a length beyond all bounds":    {0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a message within fragments":    {0x01, 0, 0x81, 0},
		"more in fragments than bounds": append(append([]byte{0x01, 127, 0, 0, 0, 0, 0, 1, 0x86, 0xa0}, make([]byte, 100_000)...), 0x00, 126, 0xff, 0xff),
	} {
		if _, _, err := messages(frame, len(frame)); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v; want ErrFrame", reason, err)
		}
	}
}

func TestClientFrames(t *testing.T) {
	if got := AppendPong(nil, []byte("hi")); !bytes.Equal(got, []byte{0x8a, 0x82, 0, 0, 0, 0, 'h', 'i'}) {
		t.Errorf("pong: % x", got)
	}
	if got := AppendText(nil, make([]byte, 300)); !bytes.Equal(got[:8], []byte{0x81, 0xfe, 1, 44, 0, 0, 0, 0}) || len(got) != 308 {
		t.Errorf("text: % x", got[:8])
	}
}

func chunked(content []byte, size int) (coded []byte) {
	for len(content) > 0 {
		n := min(size, len(content))
		coded = fmt.Appendf(coded, "%X;ext=1\r\n%s\r\n", n, content[:n])
		content = content[n:]
	}
	return coded
}

func TestChunksCutAnywhere(t *testing.T) {
	var content []byte
	for n := 1; n <= 20; n++ {
		content = fmt.Appendf(content, "id: %d\ndata: %s\n\n", n, event(n))
	}
	coded := append(chunked(content, 37), "0\r\n"...)
	for step := 1; step < 200; step++ {
		var c Chunked
		var got []byte
		var err error
		for left := bytes.Clone(coded); len(left) > 0; {
			var part []byte
			n := min(step, len(left))
			part, err = c.Decode(left[:n])
			got, left = append(got, part...), left[n:]
		}
		if !bytes.Equal(got, content) || !errors.Is(err, ErrEnd) {
			t.Fatalf("reads of %d bytes: %d bytes of %d, %v", step, len(got), len(content), err)
		}
	}
	for _, bad := range []string{"\r\n", "x\r\n", "1\r\nab", "fffffffff\r\n"} {
		if _, err := new(Chunked).Decode([]byte(bad)); !errors.Is(err, ErrChunk) {
			t.Errorf("%q: %v; want ErrChunk", bad, err)
		}
	}
}

func TestStamps(t *testing.T) {
	s := Stamp{Publisher: 12, Seq: 1<<63 + 5, Sent: 1<<62 + 1}
	text := append([]byte(`stamp=;stamp=1-2 stamp=1-2-x; `), AppendStamp(nil, s)...)
	if got, rest, ok := NextStamp(text); got != s || len(rest) != 0 || !ok {
		t.Errorf("NextStamp = %+v, %q, %v; want %+v behind three that are none", got, rest, ok, s)
	}
	if got := seqs(append(event(1), event(2)...)); fmt.Sprint(got) != "[1 2]" {
		t.Errorf("two events in one message: %v", got)
	}
}

func TestLastEventID(t *testing.T) {
	for text, want := range map[string]string{
		`{"event_id":"a"}{"event_id":"b","x":1}`: "b",
		`{"event_id":"a"}{"type":"QueueStatus"}`: "a",
		`{"event_id":"cut`:                       "",
		``:                                       "",
	} {
		if got := string(LastEventID([]byte(text))); got != want {
			t.Errorf("LastEventID(%q) = %q; want %q", text, got, want)
		}
	}
}
