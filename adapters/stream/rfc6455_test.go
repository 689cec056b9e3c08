package stream

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
)

// exchange is what a client sends, and what a server has to say to that (RFC 6455). Its connection is closed by what is
// sent, or else by a close frame behind that.
type exchange struct {
	section, name string
	send          []byte
	want          []string // as converse returns it
	hangUp        bool     // the client sends no close frame, but ends
}

// exchanges returns all of them.
func exchanges() []exchange {
	return slices.Concat(
		framing(), reserved(), lengths(), masking(), fragmentation(), pings(), limits(), validText(), brokenText(), cutText(), closing(), closeCodes(),
	)
}

const failed = "close 1002"

func framing() []exchange {
	kib := strings.Repeat("*", 1024)
	rows := []exchange{
		{"5.2", "nothing at all", nil, nil, true},
		{"5.2", "half a header", text(true, "hello")[:1], nil, true},
		{"5.2", "a header without its key", text(true, "hello")[:4], nil, true},
		{"5.2", "a frame without its last byte", text(true, "hello")[:10], nil, true},
		{"5.2", "fragments without the last", join(text(false, "a"), more(false, "b")), nil, true},
		{"5.6", "text", text(true, "hello"), []string{"text hello"}, false},
		{"5.6", "two messages", join(text(true, "a"), text(true, "b")), []string{"text a", "text b"}, false},
		{"5.6", "binary", clientFrame(ws.OpBinary, true, "x"), []string{"close 1003"}, false},
		{"5.6", "empty binary", clientFrame(ws.OpBinary, true, ""), []string{"close 1003"}, false},
		{"5.6", "the start of a binary message", clientFrame(ws.OpBinary, false, "x"), []string{"close 1003"}, false},
		{"5.6", "only the header of a binary message", clientFrame(ws.OpBinary, true, kib)[:8], []string{"close 1003"}, false},
	}
	for _, n := range []int{0, 1, 124, 125, 126, 127, 128, 255, 256, 65535, 65536} { // 1 byte, 2 bytes and 8 bytes of length
		s := strings.Repeat("*", n)
		rows = append(rows, exchange{"5.2", fmt.Sprintf("text of %d bytes", n), text(true, s), []string{"text " + s}, false})
	}
	return rows
}

// reserved bits and opcodes, whatever else is in the frame. What follows is not looked at.
func reserved() (rows []exchange) {
	for bits := byte(1); bits < 8; bits++ {
		for _, op := range []byte{0, 1, 2, 8, 9, 10} {
			rows = append(rows, exchange{"5.2", fmt.Sprintf("reserved bits %03b, opcode %x", bits, op), join(header(0x80|bits<<4|op, 0x80), text(true, "x")), []string{failed}, false})
		}
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF} {
		for form, b := range map[string][]byte{
			"empty":                 header(0x80|op, 0x80),
			"with a payload":        join(header(0x80|op, 0x81), []byte("x")),
			"as a fragment":         header(op, 0x80),
			"of 2^62 bytes":         header(0x80|op, 0xFF, length64(1<<62)...),
			"between fragments":     join(text(false, "a"), header(0x80|op, 0x80), more(true, "b")),
			"after a good message":  join(text(true, "a"), header(0x80|op, 0x80), text(true, "b")),
			"before its length ":    header(0x80|op, 0xFE, 1, 0),
			"with all reserved set": header(0xF0|op, 0x80),
		} {
			want := []string{failed}
			if form == "after a good message" {
				want = []string{"text a", failed}
			}
			rows = append(rows, exchange{"5.2", fmt.Sprintf("opcode %X %s", op, form), b, want, false})
		}
	}
	return rows
}

func lengths() (rows []exchange) {
	for _, op := range []byte{0x81, 0x89, 0x88} {
		for _, n := range []byte{0, 1, 125} {
			rows = append(rows, exchange{"5.2", fmt.Sprintf("first byte %x, 16 bits for %d", op, n), header(op, 0xFE, 0, n), []string{failed}, false})
		}
		for _, n := range []uint64{0, 1, 125, 126, 65535, 1 << 63, 1<<63 | 5, 1<<64 - 1} {
			rows = append(rows, exchange{"5.2", fmt.Sprintf("first byte %x, 64 bits for %#x", op, n), header(op, 0xFF, length64(n)...), []string{failed}, false})
		}
	}
	for _, n := range []uint64{1 << 17, 1 << 31, 1 << 32, 1<<32 + 5, 1 << 62, 1<<63 - 1} {
		rows = append(rows,
			exchange{"5.2", fmt.Sprintf("text of %#x bytes", n), header(0x81, 0xFF, length64(n)...), []string{"close 1009"}, false},
			exchange{"5.2", fmt.Sprintf("fragment of %#x bytes", n), header(0x01, 0xFF, length64(n)...), []string{"close 1009"}, false},
			exchange{"5.2", fmt.Sprintf("last fragment of %#x bytes", n), join(text(false, "a"), header(0x80, 0xFF, length64(n)...)), []string{"close 1009"}, false},
			exchange{"5.5", fmt.Sprintf("ping of %#x bytes", n), header(0x89, 0xFF, length64(n)...), []string{failed}, false},
		)
	}
	return rows
}

func masking() (rows []exchange) {
	bare := func(first byte, payload string) []byte { return append([]byte{first, byte(len(payload))}, payload...) }
	for name, b := range map[string][]byte{
		"text":                         bare(0x81, "hello"),
		"empty text":                   bare(0x81, ""),
		"binary":                       bare(0x82, "x"),
		"ping":                         bare(0x89, ""),
		"pong":                         bare(0x8A, ""),
		"close":                        bare(0x88, "\x03\xe8"),
		"16-bit length":                {0x81, 126, 1, 0},
		"64-bit length":                {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0},
		"last fragment":                join(text(false, "a"), bare(0x80, "b")),
		"in the midst of a fragmented": join(text(false, "a"), bare(0x89, ""), more(true, "b")),
	} {
		rows = append(rows, exchange{"5.1", "not masked: " + name, b, []string{failed}, false})
	}
	for _, mask := range [][4]byte{{}, {0xFF, 0xFF, 0xFF, 0xFF}, {0x80, 0, 0, 1}, {'h', 'e', 'l', 'l'}} {
		f := ws.MustCompileFrame(ws.MaskFrameWith(ws.NewTextFrame([]byte("hello, wörld")), mask))
		rows = append(rows, exchange{"5.3", fmt.Sprintf("key %x", mask), f, []string{"text hello, wörld"}, false})
	}
	return rows
}

func fragmentation() []exchange {
	ping := clientFrame(ws.OpPing, true, "p")
	var many, pinged []byte
	want := []string(nil)
	for i := range 200 {
		many = append(many, more(false, string(rune('a'+i%26)))...)
		pinged = append(pinged, join(more(false, "x"), clientFrame(ws.OpPing, true, fmt.Sprint(i)))...)
		want = append(want, fmt.Sprintf("pong %d", i))
	}
	alphabet := ""
	for i := range 200 {
		alphabet += string(rune('a' + i%26))
	}
	return []exchange{
		{"5.4", "two fragments", join(text(false, "a"), more(true, "b")), []string{"text ab"}, false},
		{"5.4", "three fragments", join(text(false, "a"), more(false, "b"), more(true, "c")), []string{"text abc"}, false},
		{"5.4", "one-byte fragments", join(text(false, ""), many, more(true, "!")), []string{"text " + alphabet + "!"}, false},
		{"5.4", "the first one empty", join(text(false, ""), more(true, "b")), []string{"text b"}, false},
		{"5.4", "the last one empty", join(text(false, "a"), more(true, "")), []string{"text a"}, false},
		{"5.4", "one in the middle empty", join(text(false, "a"), more(false, ""), more(true, "b")), []string{"text ab"}, false},
		{"5.4", "nothing but empty ones", join(text(false, ""), bytes.Repeat(more(false, ""), 500), more(true, "")), []string{"text "}, false},
		{"5.4", "ping in between", join(text(false, "a"), ping, more(true, "b")), []string{"pong p", "text ab"}, false},
		{"5.4", "pong in between", join(text(false, "a"), clientFrame(ws.OpPong, true, "p"), more(true, "b")), []string{"text ab"}, false},
		{"5.4", "ping in between each", join(text(false, "x"), pinged, more(true, "")), append(want, "text "+strings.Repeat("x", 201)), false},
		{"5.4", "close in between", join(text(false, "a"), closeWith(1000, ""), more(true, "b")), []string{"close 1000"}, false},
		{"5.4", "another message afterwards", join(text(false, "a"), more(true, "b"), text(true, "c"), text(false, "d"), more(true, "e")), []string{"text ab", "text c", "text de"}, false},
		{"5.4", "continuation of nothing", more(true, "a"), []string{failed}, false},
		{"5.4", "continuation of nothing, to be continued", more(false, "a"), []string{failed}, false},
		{"5.4", "empty continuation of nothing", more(true, ""), []string{failed}, false},
		{"5.4", "continuation after a whole message", join(text(true, "a"), more(true, "b")), []string{"text a", failed}, false},
		{"5.4", "continuation after the last fragment", join(text(false, "a"), more(true, "b"), more(false, "c")), []string{"text ab", failed}, false},
		{"5.4", "continuation of a ping", join(ping, more(true, "a")), []string{"pong p", failed}, false},
		{"5.4", "text within fragments", join(text(false, "a"), text(true, "b"), more(true, "c")), []string{failed}, false},
		{"5.4", "fragmented text within fragments", join(text(false, "a"), text(false, "b"), more(true, "c")), []string{failed}, false},
		{"5.4", "binary within fragments", join(text(false, "a"), clientFrame(ws.OpBinary, true, "b")), []string{failed}, false},
		{"5.4", "text within fragments, only announced", join(text(false, "a"), text(true, strings.Repeat("b", 300))[:8]), []string{failed}, false},
	}
}

func pings() []exchange {
	long := strings.Repeat("\x00\xff\xfe", 42)[:125]
	var ten []byte
	var pongs []string
	for i := range 10 {
		ten = append(ten, clientFrame(ws.OpPing, true, fmt.Sprint(i))...)
		pongs = append(pongs, fmt.Sprintf("pong %d", i))
	}
	rows := []exchange{
		{"5.5.2", "empty ping", clientFrame(ws.OpPing, true, ""), []string{"pong "}, false},
		{"5.5.2", "ping with a payload", clientFrame(ws.OpPing, true, "hello"), []string{"pong hello"}, false},
		{"5.5.2", "ping of 125 bytes that are no text", clientFrame(ws.OpPing, true, long), []string{"pong " + long}, false},
		{"5.5.2", "ten pings", ten, pongs, false},
		{"5.5.2", "ping before and after a message", join(clientFrame(ws.OpPing, true, "1"), text(true, "m"), clientFrame(ws.OpPing, true, "2")), []string{"pong 1", "text m", "pong 2"}, false},
		{"5.5.3", "pong that nobody asked for", clientFrame(ws.OpPong, true, "x"), nil, false},
		{"5.5.3", "empty pong", clientFrame(ws.OpPong, true, ""), nil, false},
		{"5.5.3", "pong of 125 bytes", clientFrame(ws.OpPong, true, long), nil, false},
		{"5.5.3", "pong, then a ping", join(clientFrame(ws.OpPong, true, "x"), clientFrame(ws.OpPing, true, "y")), []string{"pong y"}, false},
	}
	for _, op := range []ws.OpCode{ws.OpClose, ws.OpPing, ws.OpPong} {
		rows = append(rows,
			exchange{"5.5", fmt.Sprintf("opcode %x of 126 bytes", op), clientFrame(op, true, long+"x"), []string{failed}, false},
			exchange{"5.5", fmt.Sprintf("opcode %x of 126 bytes, only announced", op), clientFrame(op, true, long+"x")[:8], []string{failed}, false},
			exchange{"5.5", fmt.Sprintf("opcode %x of 65536 bytes", op), header(0x80|byte(op), 0xFF, length64(1<<16)...), []string{failed}, false},
			exchange{"5.5", fmt.Sprintf("opcode %x fragmented", op), join(clientFrame(op, false, ""), more(true, "")), []string{failed}, false},
			exchange{"5.5", fmt.Sprintf("opcode %x fragmented between fragments", op), join(text(false, "a"), clientFrame(op, false, "")), []string{failed}, false},
		)
	}
	return rows
}

// limits are ours, and hold for a message as a whole.
func limits() []exchange {
	half, full := strings.Repeat("x", maxMessage/2), strings.Repeat("x", maxMessage)
	return []exchange{
		{"7.4.1", "the longest message in two halves", join(text(false, half), more(true, half)), []string{"text " + full}, false},
		{"7.4.1", "and a byte", join(text(false, half), more(true, half+"x")), []string{"close 1009"}, false},
		{"7.4.1", "and a byte in a fragment of its own, only announced", join(text(false, half), more(false, half), more(false, "x")[:6]), []string{"close 1009"}, false},
		{"7.4.1", "and nothing", join(text(false, half), more(false, half), more(true, "")), []string{"text " + full}, false},
		{"7.4.1", "and a ping, which is no part of it", join(text(false, half), more(false, half), clientFrame(ws.OpPing, true, "p"), more(true, "")), []string{"pong p", "text " + full}, false},
		{"7.4.1", "one frame with a byte more, only announced", header(0x81, 0xFF, length64(maxMessage+1)...), []string{"close 1009"}, false},
	}
}

func validText() (rows []exchange) {
	for name, s := range map[string]string{
		"Greek":                  "κόσμε",
		"the first of 1 byte":    "\x00",
		"the last of 1 byte":     "\x7f",
		"the first of 2 bytes":   "\u0080",
		"the last of 2 bytes":    "\u07ff",
		"the first of 3 bytes":   "\u0800",
		"before the surrogates":  "\ud7ff",
		"behind the surrogates":  "\ue000",
		"the replacement itself": "\ufffd",
		"noncharacters":          "\ufffe\uffff\U0001fffe",
		"byte order mark":        "\ufeffa",
		"the first of 4 bytes":   "\U00010000",
		"the last of all":        "\U0010ffff",
		"a mixture":              "Hello-µ@ßöäüàá-UTF-8!! \U0001f600€",
	} {
		var bytewise []byte
		for i := range len(s) {
			bytewise = append(bytewise, more(false, s[i:i+1])...)
		}
		rows = append(rows,
			exchange{"8.1", name, text(true, s), []string{"text " + s}, false},
			exchange{"8.1", name + " in one-byte fragments", join(text(false, ""), bytewise, more(true, "")), []string{"text " + s}, false},
		)
	}
	return rows
}

// brokenText is no UTF-8, whatever follows: the connection fails before that comes.
func brokenText() (rows []exchange) {
	for name, bad := range map[string]string{
		"a continuation byte alone":          "\x80",
		"the last continuation byte":         "\xbf",
		"two continuation bytes":             "\x80\xbf",
		"0xFE":                               "\xfe",
		"0xFF":                               "\xff",
		"overlong / in 2 bytes":              "\xc0\xaf",
		"overlong NUL in 2 bytes":            "\xc0\x80",
		"overlong U+007F in 2 bytes":         "\xc1\xbf",
		"overlong / in 3 bytes":              "\xe0\x80\xaf",
		"overlong U+07FF in 3 bytes":         "\xe0\x9f\xbf",
		"overlong / in 4 bytes":              "\xf0\x80\x80\xaf",
		"overlong U+FFFF in 4 bytes":         "\xf0\x8f\xbf\xbf",
		"5 bytes":                            "\xf8\x88\x80\x80\x80",
		"6 bytes":                            "\xfc\x84\x80\x80\x80\x80",
		"the first surrogate":                "\xed\xa0\x80",
		"the last surrogate":                 "\xed\xbf\xbf",
		"a pair of surrogates":               "\xed\xa0\x80\xed\xb0\x80",
		"U+110000":                           "\xf4\x90\x80\x80",
		"beyond everything":                  "\xf7\xbf\xbf\xbf",
		"0xF5":                               "\xf5\x80",
		"a character of 2 bytes broken off":  "\xc3a",
		"a character of 3 bytes broken off":  "\xe2\x82a",
		"a character of 4 bytes broken off":  "\xf0\x9f\x98a",
		"a character begun in another":       "\xe2\x82\xe2\x82\xac",
		"a continuation byte too many":       "€\x80",
		"broken off after much that is good": strings.Repeat("€", 700) + "\xe2\x28",
	} {
		var bytewise []byte
		for i := range len(bad) {
			bytewise = append(bytewise, more(false, bad[i:i+1])...)
		}
		rows = append(rows,
			exchange{"8.1", name, join(text(true, "a"), text(true, "x"+bad+"y")), []string{"text a", "close 1007"}, false},
			exchange{"8.1", name + ", with more to come", text(false, "x"+bad), []string{"close 1007"}, false},
			exchange{"8.1", name + ", in a later fragment", join(text(false, "x"), more(false, bad)), []string{"close 1007"}, false},
			exchange{"8.1", name + ", in one-byte fragments", join(text(false, ""), bytewise), []string{"close 1007"}, false},
		)
	}
	return rows
}

// cutText ends within a character.
func cutText() (rows []exchange) {
	for _, whole := range []string{"é", "€", "😀"} {
		for n := 1; n < len(whole); n++ {
			cut, rest := "x"+whole[:n], whole[n:]
			name := fmt.Sprintf("%d bytes of %s", n, whole)
			rows = append(rows,
				exchange{"8.1", name, text(true, cut), []string{"close 1007"}, false},
				exchange{"8.1", name + ", and an empty last fragment", join(text(false, cut), more(true, "")), []string{"close 1007"}, false},
				exchange{"8.1", name + ", and another character", join(text(false, cut), more(false, "y")), []string{"close 1007"}, false},
				exchange{"8.1", name + ", and a ping before the rest", join(text(false, cut), clientFrame(ws.OpPing, true, rest), more(true, rest)), []string{"pong " + rest, "text x" + whole}, false},
				exchange{"8.1", name + ", and the rest in another message", join(text(true, "a"), text(true, cut), text(true, rest)), []string{"text a", "close 1007"}, false},
			)
		}
	}
	return rows
}

func closing() []exchange {
	reason := strings.Repeat("r", maxCloseReason)
	return []exchange{
		{"5.5.1", "no payload", clientFrame(ws.OpClose, true, ""), []string{"close"}, false},
		{"5.5.1", "one byte", clientFrame(ws.OpClose, true, "\x03"), []string{failed}, false},
		{"5.5.1", "a code", closeWith(1000, ""), []string{"close 1000"}, false},
		{"5.5.1", "a code and a reason", closeWith(1001, "going äway"), []string{"close 1001"}, false},
		{"5.5.1", "a reason of 123 bytes", closeWith(1000, reason), []string{"close 1000"}, false},
		{"5.5.1", "a reason of 124 bytes", closeWith(1000, reason+"r"), []string{failed}, false},
		{"5.5.1", "a reason that is no UTF-8", closeWith(1000, "a\xff"), []string{"close 1007"}, false},
		{"5.5.1", "a reason that is cut", closeWith(1000, "a\xe2\x82"), []string{"close 1007"}, false},
		{"5.5.1", "a reason with a surrogate", closeWith(1000, "\xed\xa0\x80"), []string{"close 1007"}, false},
		{"5.5.1", "not masked", []byte{0x88, 2, 3, 0xe8}, []string{failed}, false},
		{"1.4", "message, ping, close", join(text(true, "m"), clientFrame(ws.OpPing, true, "p"), closeWith(1000, "")), []string{"text m", "pong p", "close 1000"}, false},
		{"1.4", "what follows is dropped: a message", join(closeWith(1000, ""), text(true, "m")), []string{"close 1000"}, false},
		{"1.4", "what follows is dropped: a ping", join(closeWith(1000, ""), clientFrame(ws.OpPing, true, "p")), []string{"close 1000"}, false},
		{"1.4", "what follows is dropped: another close frame", join(closeWith(1000, ""), closeWith(1001, "")), []string{"close 1000"}, false},
		{"1.4", "what follows is dropped: nonsense", join(closeWith(1000, ""), bytes.Repeat([]byte{0xFF}, 300)), []string{"close 1000"}, false},
		{"7.1.7", "after a failure: a message", join(header(0xC1, 0x80), text(true, "m")), []string{failed}, false},
		{"7.1.7", "after a failure: a close frame", join(header(0xC1, 0x80), closeWith(1000, "")), []string{failed}, false},
		{"7.1.7", "after a failure: 100 KiB", join(header(0xC1, 0x80), make([]byte, 100<<10)), []string{failed}, false},
		{"7.1.7", "noise", bytes.Repeat([]byte{0xFF}, 64), []string{failed}, false},
		{"7.1.7", "zeros", make([]byte, 64), []string{failed}, false},
		{"7.1.7", "an HTTP request", []byte("GET / HTTP/1.1\r\nHost: hub.example\r\n\r\n"), []string{failed}, false},
	}
}

// closeCodes are those on both sides of every border of RFC 6455 section 7.4.2 and of what IANA has registered since.
func closeCodes() (rows []exchange) {
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4008, 4999} {
		rows = append(rows, exchange{"7.4", fmt.Sprintf("code %d", code), closeWith(code, "why"), []string{fmt.Sprintf("close %d", code)}, false})
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 65535} {
		rows = append(rows,
			exchange{"7.4", fmt.Sprintf("code %d", code), closeWith(code, "why"), []string{failed}, false},
			exchange{"7.4", fmt.Sprintf("code %d alone", code), closeWith(code, ""), []string{failed}, false},
		)
	}
	return rows
}

// whole returns what to send, to the end of the connection, and what comes back.
func (x *exchange) whole() (send []byte, want []string) {
	if x.hangUp || len(x.want) > 0 && strings.HasPrefix(x.want[len(x.want)-1], "close") {
		return slices.Clone(x.send), x.want
	}
	return join(x.send, closeWith(1000, "")), append(slices.Clone(x.want), "close 1000")
}

func TestRFC6455Echo(t *testing.T) {
	for name, s := range map[string]*echoServer{
		"at once":                         newEchoServer(t, 256<<10, false),
		"byte by byte":                    newEchoServer(t, 1, false),
		"at once, waiting":                newEchoServer(t, 256<<10, true),
		"in pieces of seven, and waiting": newEchoServer(t, 7, true),
	} {
		t.Run(name, func(t *testing.T) {
			for _, x := range exchanges() {
				t.Run(x.section+" "+x.name, func(t *testing.T) {
					send, want := x.whole()
					nc, err := net.Dial("tcp", s.Addr().String())
					if err != nil {
						t.Fatal(err)
					}
					defer nc.Close()
					_ = nc.SetDeadline(time.Now().Add(patience))
					c := &wsClient{t: t, nc: nc, r: bufio.NewReader(nc)}
					if d := cmp.Diff(want, converse(t, c, send, len(send), x.hangUp)); d != "" {
						t.Errorf("frames (-want +got):\n%.2000s", d)
					}
				})
			}
		})
	}
}

// shapes are the two kinds of links.
var shapes = map[string]Options{"poller": {}, "goroutines": {Goroutines: true}}

// The engine answers as the echo does, but for the messages, which are none that it answers.
func TestRFC6455Engine(t *testing.T) {
	for shape, options := range shapes {
		for arrival, most := range map[string]int{"at once": 1, "byte by byte": 2000} { // writes
			t.Run(shape+" "+arrival, func(t *testing.T) {
				r := newRig(t, setup{options: options})
				for _, x := range exchanges() {
					t.Run(x.section+" "+x.name, func(t *testing.T) {
						send, want := x.whole()
						want = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return strings.HasPrefix(s, "text ") })
						c := r.open("/ws?types=note")
						c.t = t
						got := converse(t, c, send, max(1, (len(send)+most-1)/most), x.hangUp)
						if d := cmp.Diff(want, got, cmp.Transformer("", func(s []string) string { return strings.Join(s, "\n") })); d != "" {
							t.Errorf("frames (-want +got):\n%.2000s", d)
						}
						await(t, "connection closed", r.watcher.closed)
						<-r.watcher.opened
					})
				}
			})
		}
	}
}

// The server is the first to close the connection itself, once both have sent their close frames (section 7.1.1).
func TestTheServerClosesTheConnectionFirst(t *testing.T) {
	for shape, options := range shapes {
		t.Run(shape, func(t *testing.T) {
			r := newRig(t, setup{options: options})
			for _, payload := range []string{"", "\x03\xe8", "\x0f\xa0bye"} {
				c := r.join("/ws")
				c.write(clientFrame(ws.OpClose, true, payload))
				if got := c.frame(); got.Header.OpCode != ws.OpClose || !bytes.HasPrefix([]byte(payload), got.Payload) {
					t.Errorf("the answer to a close frame %q is opcode %x %q", payload, got.Header.OpCode, got.Payload)
				}
				c.mustEnd()
			}
			// The other way round: ours is answered.
			c := r.join("/ws")
			r.kick(c)
			c.mustGetClose(1008)
			c.write(join(text(true, `{"type":"ping"}`), clientFrame(ws.OpPing, true, "p"), closeWith(1008, "")))
			c.mustEnd()
		})
	}
}

// Every code that the engine answers a violation with says why, in UTF-8 that fits (section 5.5.1).
func TestCloseReasons(t *testing.T) {
	for _, x := range exchanges() {
		var d decoder
		err := d.push(slices.Clone(x.send), func(op ws.OpCode, payload []byte) error {
			if op != ws.OpClose {
				return nil
			}
			_, err := peerClose(payload)
			return err
		})
		if v, ok := err.(*protocolError); ok { //nolint:errorlint // it comes unwrapped
			frame := closeFrame(v.code, v.reason)
			if code, err := peerClose(frame[2:]); err != nil || code != v.code || v.reason == "" || len(frame) != 4+len(v.reason) {
				t.Errorf("%s %s: close frame %q, %v", x.section, x.name, frame, err)
			}
		}
	}
}
