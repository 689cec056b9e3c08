package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
)

// handled is what a decoder hands over, and the close code that it ends with, zero for none.
type handled struct {
	frames []string // "opcode payload"
	code   ws.StatusCode
}

// decode feeds pieces to a new decoder until one is an error.
func decode(pieces ...[]byte) (got handled) {
	var d decoder
	for _, p := range pieces {
		err := d.push(slices.Clone(p), func(op ws.OpCode, payload []byte) error {
			got.frames = append(got.frames, fmt.Sprintf("%x %s", op, payload))
			if op == ws.OpClose {
				_, err := peerClose(payload)
				return err
			}
			return nil
		})
		if err == nil {
			continue
		}
		if v, ok := errors.AsType[*protocolError](err); ok {
			got.code = v.code
		}
		break
	}
	return got
}

// header builds the start of a frame from its parts, however wrong.
func header(first, second byte, length ...byte) []byte {
	return append(append([]byte{first, second}, length...), 0, 0, 0, 0) // the key 0 leaves the payload as it is
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func text(fin bool, payload string) []byte { return clientFrame(ws.OpText, fin, payload) }
func more(fin bool, payload string) []byte { return clientFrame(ws.OpContinuation, fin, payload) }

func length64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func closeWith(code uint16, reason string) []byte {
	return clientFrame(ws.OpClose, true, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

func TestDecoder(t *testing.T) {
	kib := strings.Repeat("x", 1024)
	type row struct {
		section, name string // of RFC 6455
		in            []byte
		want          handled
	}
	rows := []row{
		{"5.2", "text", text(true, "hello"), handled{frames: []string{"1 hello"}}},
		{"5.2", "empty text", text(true, ""), handled{frames: []string{"1 "}}},
		{"5.2", "text in 16-bit length", text(true, kib), handled{frames: []string{"1 " + kib}}},
		{"5.2", "two in a row", join(text(true, "a"), text(true, "b")), handled{frames: []string{"1 a", "1 b"}}},
		{"5.2", "incomplete", text(true, "hello")[:8], handled{}},
		{"5.2", "RSV1", header(0xC1, 0x80), handled{code: 1002}},
		{"5.2", "RSV2", header(0xA1, 0x80), handled{code: 1002}},
		{"5.2", "RSV3", header(0x91, 0x80), handled{code: 1002}},
		{"5.2", "RSV on a control frame", header(0xC9, 0x80), handled{code: 1002}},
		{"5.2", "a message before a violation counts", join(text(true, "a"), header(0xC1, 0x80)), handled{frames: []string{"1 a"}, code: 1002}},
		{"5.2", "7 bits for 125", text(true, kib[:125]), handled{frames: []string{"1 " + kib[:125]}}},
		{"5.2", "16 bits for 126", text(true, kib[:126]), handled{frames: []string{"1 " + kib[:126]}}},
		{"5.2", "16 bits for 125", header(0x81, 0xFE, 0, 125), handled{code: 1002}},
		{"5.2", "64 bits for 65535", header(0x81, 0xFF, length64(65535)...), handled{code: 1002}},
		{"5.2", "64 bits for 0", header(0x81, 0xFF, length64(0)...), handled{code: 1002}},
		{"5.2", "2^63", header(0x81, 0xFF, length64(1<<63)...), handled{code: 1002}},
		{"5.2", "2^63 of a control frame", header(0x89, 0xFF, length64(1<<63)...), handled{code: 1002}},
		{"5.2", "2^62", header(0x81, 0xFF, length64(1<<62)...), handled{code: 1009}},
		{"5.2", "2^63-1", header(0x81, 0xFF, length64(1<<63-1)...), handled{code: 1009}},
		{"5.3", "not masked", ws.MustCompileFrame(ws.NewTextFrame([]byte("a"))), handled{code: 1002}},
		{"5.3", "not masked and empty", []byte{0x81, 0}, handled{code: 1002}},
		{"5.3", "control frame not masked", []byte{0x89, 0}, handled{code: 1002}},
		{"5.4", "fragments", join(text(false, "a"), more(false, "b"), more(true, "c")), handled{frames: []string{"1 abc"}}},
		{"5.4", "empty fragments", join(text(false, ""), more(false, ""), more(true, "")), handled{frames: []string{"1 "}}},
		{"5.4", "control frames between fragments", join(text(false, "a"), clientFrame(ws.OpPing, true, "p"), more(false, "b"), clientFrame(ws.OpPong, true, "q"), more(true, "c")), handled{frames: []string{"9 p", "a q", "1 abc"}}},
		{"5.4", "another message after fragments", join(text(false, "a"), more(true, "b"), text(false, "c"), more(true, "d")), handled{frames: []string{"1 ab", "1 cd"}}},
		{"5.4", "continuation of nothing", more(true, "a"), handled{code: 1002}},
		{"5.4", "continuation after the last fragment", join(text(false, "a"), more(true, "b"), more(true, "c")), handled{frames: []string{"1 ab"}, code: 1002}},
		{"5.4", "text within fragments", join(text(false, "a"), text(true, "b")), handled{code: 1002}},
		{"5.4", "binary within fragments", join(text(false, "a"), clientFrame(ws.OpBinary, true, "b")), handled{code: 1002}},
		{"5.5", "fragmented ping", clientFrame(ws.OpPing, false, ""), handled{code: 1002}},
		{"5.5", "fragmented close", clientFrame(ws.OpClose, false, ""), handled{code: 1002}},
		{"5.5", "ping of 125 bytes", clientFrame(ws.OpPing, true, kib[:125]), handled{frames: []string{"9 " + kib[:125]}}},
		{"5.5", "ping of 126 bytes", header(0x89, 0xFE, 0, 126), handled{code: 1002}},
		{"5.5", "close of 126 bytes", header(0x88, 0xFE, 0, 126), handled{code: 1002}},
		{"5.5", "ping of 2^62 bytes", header(0x89, 0xFF, length64(1<<62)...), handled{code: 1002}},
		{"5.6", "binary", clientFrame(ws.OpBinary, true, "a"), handled{code: 1003}},
		{"5.6", "fragmented binary", clientFrame(ws.OpBinary, false, "a"), handled{code: 1003}},
		{"5.6", "huge binary", header(0x82, 0xFF, length64(1<<40)...), handled{code: 1003}},
		{"5.6", "64 KiB", text(true, strings.Repeat(kib, 64)), handled{frames: []string{"1 " + strings.Repeat(kib, 64)}}},
		{"7.4.1", "64 KiB and a byte", header(0x81, 0xFF, length64(64<<10+1)...), handled{code: 1009}},
		{"7.4.1", "64 KiB and a byte in fragments", join(text(false, strings.Repeat(kib, 63)), more(false, kib), more(true, "x")), handled{code: 1009}},
		{"7.4.1", "64 KiB in fragments", join(text(false, strings.Repeat(kib, 63)), more(true, kib)), handled{frames: []string{"1 " + strings.Repeat(kib, 64)}}},
		{"7.4.1", "messages do not add up", join(text(true, strings.Repeat(kib, 60)), text(true, strings.Repeat(kib, 60))), handled{frames: []string{"1 " + strings.Repeat(kib, 60), "1 " + strings.Repeat(kib, 60)}}},
		{"8.1", "not UTF-8", text(true, "a\xffb"), handled{code: 1007}},
		{"8.1", "half a rune", text(true, "\xe2\x82"), handled{code: 1007}},
		{"8.1", "surrogate", text(true, "\xed\xa0\x80"), handled{code: 1007}},
		{"8.1", "overlong", text(true, "\xc0\xaf"), handled{code: 1007}},
		{"8.1", "beyond U+10FFFF", text(true, "\xf4\x90\x80\x80"), handled{code: 1007}},
		{"8.1", "rune across fragments", join(text(false, "\xe2"), more(false, "\x82"), more(true, "\xac!")), handled{frames: []string{"1 €!"}}},
		{"8.1", "rune across fragments and an empty one", join(text(false, "\xf0\x9f"), more(false, ""), more(true, "\x98\x80")), handled{frames: []string{"1 😀"}}},
		{"8.1", "rune that the last fragment does not end", join(text(false, "a\xe2"), more(true, "\x82")), handled{code: 1007}},
		{"8.1", "bad fragment fails before the last", join(text(false, "a\xff")), handled{code: 1007}},
		{"8.1", "bad start of a rune fails before it is complete", join(text(false, "\xed\xa0")), handled{code: 1007}},
		{"8.1", "rune broken off by a fragment", join(text(false, "\xe2\x82"), more(false, "a")), handled{code: 1007}},
		{"5.5.1", "close", clientFrame(ws.OpClose, true, ""), handled{frames: []string{"8 "}}},
		{"5.5.1", "close with half a code", clientFrame(ws.OpClose, true, "\x03"), handled{frames: []string{"8 \x03"}, code: 1002}},
		{"5.5.1", "close reason not UTF-8", closeWith(1000, "\xff"), handled{frames: []string{"8 \x03\xe8\xff"}, code: 1007}},
	}
	for op := byte(0); op < 16; op++ {
		if op >= 3 && op <= 7 || op >= 11 {
			rows = append(rows, row{"5.2", fmt.Sprintf("reserved opcode %x", op), header(0x80|op, 0x80), handled{code: 1002}})
		}
	}
	for _, r := range rows {
		t.Run(r.section+" "+r.name, func(t *testing.T) {
			if d := cmp.Diff(r.want, decode(r.in), cmp.AllowUnexported(handled{})); d != "" {
				t.Errorf("at once (-want +got):\n%s", d)
			}
			if d := cmp.Diff(r.want, decode(slices.Collect(slices.Chunk(r.in, 1))...), cmp.AllowUnexported(handled{})); d != "" {
				t.Errorf("byte by byte (-want +got):\n%s", d)
			}
		})
	}
}

// RFC 6455 section 7.4, and the IANA registry since.
func TestPeerClose(t *testing.T) {
	valid := func(code int) bool {
		switch {
		case code >= 1000 && code <= 1003, code >= 1007 && code <= 1011, code >= 1012 && code <= 1014, code >= 3000 && code <= 4999:
			return true
		}
		return false
	}
	for code := range 1 << 16 {
		payload := append(binary.BigEndian.AppendUint16(nil, uint16(code)), "why"...)
		got, err := peerClose(payload)
		v, _ := errors.AsType[*protocolError](err)
		if valid(code) && (err != nil || int(got) != code) || !valid(code) && (v == nil || v.code != 1002) {
			t.Fatalf("code %d: %d, %v", code, got, err)
		}
	}
}

// small returns a message of the greatest length in fragments of one byte, and in one frame.
func small() (fragments, frame []byte) {
	return join(text(false, "b"), bytes.Repeat(more(false, "b"), maxMessage-2), more(true, "b")), text(true, strings.Repeat("b", maxMessage))
}

// Small pieces and small fragments must not make the decoder copy what it holds again and again.
func TestDecoderTakesWhatComesInSmallParts(t *testing.T) {
	fragments, frame := small()
	want := handled{frames: []string{"1 " + strings.Repeat("b", maxMessage)}}
	for name, in := range map[string][]byte{"fragments": fragments, "frame": frame} {
		for _, size := range []int{1, 512, len(in)} {
			if d := cmp.Diff(want, decode(slices.Collect(slices.Chunk(in, size))...), cmp.AllowUnexported(handled{})); d != "" {
				t.Errorf("%s in pieces of %d (-want +got):\n%.200s", name, size, d)
			}
		}
	}
	pieces := slices.Collect(slices.Chunk(frame, 1))
	allocs := testing.AllocsPerRun(1, func() {
		var d decoder
		for _, p := range pieces {
			if err := d.push(p, func(ws.OpCode, []byte) error { return nil }); err != nil {
				t.Error(err)
			}
		}
	})
	if allocs > 100 {
		t.Errorf("%v allocations for %d pieces of a frame", allocs, len(pieces))
	}
}

func BenchmarkDecoder(b *testing.B) {
	fragments, frame := small()
	for name, in := range map[string][]byte{"fragments of a byte": fragments, "one frame": frame} {
		for _, size := range []int{1, 512} {
			pieces := slices.Collect(slices.Chunk(in, size))
			b.Run(fmt.Sprintf("%s/pieces of %d", name, size), func(b *testing.B) {
				b.SetBytes(int64(len(in)))
				for b.Loop() {
					var d decoder
					for _, p := range pieces {
						if err := d.push(p, func(ws.OpCode, []byte) error { return nil }); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add(join(text(false, "a"), clientFrame(ws.OpPing, true, "p"), more(true, "\xe2\x82\xac")), uint64(0x0102030405))
	f.Add(closeWith(1000, "bye"), uint64(1))
	f.Add(text(true, strings.Repeat("x", 200)), uint64(77))
	f.Add(header(0x81, 0xFF, length64(1<<62)...), uint64(3))
	f.Fuzz(func(t *testing.T, in []byte, cuts uint64) {
		whole := decode(in)
		// Pieces of 1 to 16 bytes, as cuts says, again and again.
		var pieces [][]byte
		for rest, n := in, 0; len(rest) > 0; n++ {
			size := min(len(rest), int(cuts>>(n%16*4)&15)+1)
			pieces, rest = append(pieces, rest[:size]), rest[size:]
		}
		if d := cmp.Diff(whole, decode(pieces...), cmp.AllowUnexported(handled{})); d != "" {
			t.Errorf("at once and in pieces (-want +got):\n%s", d)
		}
		var d decoder
		for _, p := range pieces {
			if d.push(slices.Clone(p), func(ws.OpCode, []byte) error { return nil }) != nil {
				break
			}
			if held := len(d.pending) + len(d.message); held > 2*maxMessage+ws.MaxHeaderSize || d.valid > len(d.message) {
				t.Fatalf("the decoder holds %d bytes, %d of them known to be UTF-8", held, d.valid)
			}
			if !d.fragment && len(d.message) > 0 {
				t.Fatal("the decoder holds a message that is over")
			}
		}
	})
}
