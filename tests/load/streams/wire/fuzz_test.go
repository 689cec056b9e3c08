package wire

import (
	"bytes"
	"fmt"
	"testing"
)

// However a stream is cut into reads, the same messages come out, and the same error.
func FuzzWebSocket(f *testing.F) {
	f.Add(append(fragments(event(1)), AppendServerText(nil, event(4))...), 3)
	f.Add([]byte{0x81, 127, 0, 0, 0, 0, 0, 0, 0, 1, 'x', 0x88, 0}, 1)
	f.Fuzz(func(t *testing.T, stream []byte, step int) {
		if step < 1 {
			return
		}
		whole, left, err := messages(stream, len(stream))
		parts, left2, err2 := messages(stream, step)
		if fmt.Sprint(whole, err) != fmt.Sprint(parts, err2) || err == nil && !bytes.Equal(left, left2) {
			t.Errorf("whole: %q, %v; in reads of %d: %q, %v", whole, err, step, parts, err2)
		}
	})
}

// The same of the chunked coding.
func FuzzChunked(f *testing.F) {
	f.Add(append(chunked(event(3), 50), "0\r\n\r\n"...), 7)
	f.Add([]byte("5\r\nhello\r\n1;x\r\n!\r\nzz"), 1)
	f.Fuzz(func(t *testing.T, coded []byte, step int) {
		if step < 1 {
			return
		}
		var one, many Chunked
		want, err := one.Decode(bytes.Clone(coded))
		var got []byte
		var err2 error
		for left := bytes.Clone(coded); len(left) > 0 && err2 == nil; {
			var part []byte
			n := min(step, len(left))
			part, err2 = many.Decode(left[:n])
			got, left = append(got, part...), left[n:]
		}
		if !bytes.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Errorf("whole: %q, %v; in reads of %d: %q, %v", want, err, step, got, err2)
		}
	})
}

// Garbage never panics, and a stamp written behind it is found unless the garbage runs into it.
func FuzzStamp(f *testing.F) {
	f.Add([]byte(`{"message":"stamp=1-2-`))
	f.Fuzz(func(t *testing.T, text []byte) {
		want := Stamp{Publisher: 3, Seq: 4, Sent: 5}
		var got Stamp
		for s, rest, ok := NextStamp(AppendStamp(append(text, '\n'), want)); ok; s, rest, ok = NextStamp(rest) {
			got = s
		}
		if got != want {
			t.Errorf("behind %q: %+v", text, got)
		}
		LastEventID(text)
	})
}
