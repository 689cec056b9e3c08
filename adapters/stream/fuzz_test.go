package stream

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// verdict is what a plain reading of RFC 6455 makes of a client's bytes: what is handed over, and the codes that the
// connection may fail with, if it has to.
type verdict struct {
	frames []string
	codes  []ws.StatusCode // any of them; more than one thing may be wrong with a frame
	maybe  bool            // the last frame's header is not complete yet: waiting for it is right, too
}

// judge reads a client's bytes as a whole. It shares no code with the decoder.
func judge(in []byte) (v verdict) {
	var message []byte
	within := false
	for len(in) >= 2 {
		b0, b1 := in[0], in[1]
		op, length, size, wrong := b0&15, uint64(b1&127), 2, []ws.StatusCode(nil)
		fail := func(code ws.StatusCode, when bool) {
			if when {
				wrong = append(wrong, code)
			}
		}
		switch length {
		case 126:
			if len(in) < 4 {
				return v
			}
			length, size = uint64(binary.BigEndian.Uint16(in[2:])), 4
			fail(1002, length < 126)
		case 127:
			if len(in) < 10 {
				return v
			}
			length, size = binary.BigEndian.Uint64(in[2:]), 10
			fail(1002, length < 1<<16 || length >= 1<<63)
		}
		control := op >= 8
		fail(1002, b1&0x80 == 0)
		fail(1002, b0&0x70 != 0)
		fail(1002, op >= 3 && op <= 7 || op >= 11)
		fail(1002, control && (b0&0x80 == 0 || length > 125))
		fail(1002, op == 0 && !within)
		fail(1002, (op == 1 || op == 2) && within)
		fail(1003, op == 2)
		fail(1009, op < 2 && uint64(len(message))+length > maxMessage)
		if len(wrong) > 0 {
			v.codes, v.maybe = wrong, b1&0x80 != 0 && len(in) < size+4
			return v
		}
		if uint64(len(in)) < uint64(size)+4+length {
			return v
		}
		payload := make([]byte, length)
		for i := range payload {
			payload[i] = in[size+4+i] ^ in[size+i%4]
		}
		in = in[size+4+int(length):]
		if control {
			v.frames = append(v.frames, string("0123456789a"[op])+" "+string(payload))
			if code := judgeClose(payload); op == 8 && code != 0 {
				v.codes = []ws.StatusCode{code}
				return v
			}
			continue
		}
		within = b0&0x80 == 0
		message = append(message, payload...)
		if !utf8.Valid(message) && !within || within && !beginsText(message) {
			v.codes = []ws.StatusCode{1007}
			return v
		}
		if !within {
			v.frames = append(v.frames, "1 "+string(message))
			message = nil
		}
	}
	return v
}

// beginsText reports whether bytes are UTF-8, or become it when more follows.
func beginsText(b []byte) bool {
	if utf8.Valid(b) {
		return true
	}
	for _, end := range []string{"\x80", "\xbf", "\x90", "\xa0", "\x80\x80", "\xa0\x80", "\x90\x80", "\x90\x80\x80", "\x80\x80\x80"} {
		if utf8.Valid(append(slices.Clone(b), end...)) {
			return true
		}
	}
	return false
}

func judgeClose(payload []byte) ws.StatusCode {
	switch {
	case len(payload) == 0:
		return 0
	case len(payload) == 1:
		return 1002
	case !utf8.Valid(payload[2:]):
		return 1007
	}
	code := int(payload[0])<<8 | int(payload[1])
	if slices.Contains([]int{1004, 1005, 1006}, code) || code < 1000 || code > 1014 && code < 3000 || code > 4999 {
		return 1002
	}
	return 0
}

// FuzzDecoderAgainstTheRFC compares the decoder with a plain reading. FuzzDecoder has what holds for pieces.
func FuzzDecoderAgainstTheRFC(f *testing.F) {
	for _, x := range exchanges() {
		if len(x.send) < 300 {
			f.Add(x.send)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		want, got := judge(in), decode(in)
		right := slices.Contains(want.codes, got.code) || got.code == 0 && (len(want.codes) == 0 || want.maybe)
		if d := cmp.Diff(want.frames, got.frames); d != "" || !right {
			t.Errorf("code %d, want one of %d; frames (-want +got):\n%s", got.code, want.codes, d)
		}
	})
}

func TestThePlainReadingOfTheRFC(t *testing.T) {
	for _, x := range exchanges() {
		if x.section == "1.4" {
			continue // that a close frame is the last one, others see to
		}
		v := judge(x.send)
		last := ""
		if len(x.want) > 0 {
			last = x.want[len(x.want)-1]
		}
		code, failing := strings.CutPrefix(last, "close ")
		if len(v.codes) > 0 && (!failing || !slices.Contains(v.codes, map[string]ws.StatusCode{"1002": 1002, "1003": 1003, "1007": 1007, "1009": 1009}[code])) {
			t.Errorf("%s %s: may fail with %d, want %q", x.section, x.name, v.codes, last)
		}
	}
}

// nowhere is the link of a connection that no loop serves.
type nowhere struct{}

func (nowhere) attach(*conn) error             { return nil }
func (nowhere) tryWrite(b []byte) (int, error) { return len(b), nil }
func (nowhere) push(*conn, []byte) bool        { return false }
func (nowhere) queued() int                    { return -1 }
func (nowhere) resume(*conn)                   {}
func (nowhere) close()                         {}

// answers has a connection act on a message, and returns what it sends in answer.
func answers(t *testing.T, c *conn, message string) (replies []map[string]any) {
	t.Helper()
	c.own = nil
	c.command([]byte(message))
	c.shard.engine.crew.Wait() // for a snapshot, if one is asked for
	c.shard.work()
	for _, what := range c.shard.early[c] { // it never joins
		what()
	}
	delete(c.shard.early, c)
	for r := bytes.NewReader(c.own); r.Len() > 0; {
		frame, err := readFrame(r)
		if err != nil || frame.Header.OpCode != ws.OpText || !utf8.Valid(frame.Payload) {
			t.Fatalf("frame %+v %q, %v", frame.Header, frame.Payload, err)
		}
		var reply map[string]any
		d := json.NewDecoder(bytes.NewReader(frame.Payload))
		d.UseNumber()
		if err := d.Decode(&reply); err != nil {
			t.Fatalf("%q: %v", frame.Payload, err)
		}
		if _, err := d.Token(); err != io.EOF {
			t.Fatalf("%q goes on", frame.Payload)
		}
		replies = append(replies, reply)
	}
	return replies
}

// FuzzCommand has every message answered as the contract says: nothing for text, one reply for an object, and the ID back.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		"", "refresh", " refresh\n", "hello", "[1]", `"refresh"`, "{", "{}", `{"type":"ping"}`, `{"type":"ping","id":7}`, `{"type":"ping","id":"<\u00e9>"}`,
		`{"type":"ping","id":-1.5e300}`, `{"type":"ping","id":[1]}`, `{"type":"refresh","id":1}`, `{"type":"unsubscribe","id":null}`, `{"type":7,"id":"x"}`,
		`{"type":"subscribe"}`, `{"type":"subscribe","types":["note","job.completed"],"job_ids":["00000000-0000-0000-0000-000000000001"],"note_ids":[]}`,
		`{"type":"subscribe","types":"note"}`, `{"type":"subscribe","types":["nonsense"]}`, `{"type":"subscribe","job_ids":[7]}`, `{"type":"subscribe","last_event_id":7}`,
		`{"type":"subscribe","last_event_id":"ff000000-0000-0000-0000-0000000000ff","id":"a"}`, `{"type":"subscribe","last_event_id":"x"}`, `{"TYPE":"ping"}`,
		`{"type":"ping"}{"type":"ping"}`, `{"type":"ping","type":"refresh"}`, `{"type":1e999}`, "{\"type\":\"ping\",\"id\":\"\x00\"}", strings.Repeat(`{"type":`, 200),
	} {
		f.Add(s)
	}
	r := app.NewRegistry(app.Limits{}, newWatcher())
	f.Fuzz(func(t *testing.T, message string) {
		if !utf8.ValidString(message) || len(message) > maxMessage {
			return // the decoder passes nothing of that kind
		}
		log := eventlog.New(origin, eventlog.Options{Capacity: 16})
		e := New(log, r, &counts{}, Options{NewID: numbered(), Loops: 1})
		place, err := r.Admit("websocket", "a")
		if err != nil {
			t.Fatal(err)
		}
		defer place.Leave("1000")
		c := e.newConn(nowhere{}, place, log.Head(), &opening{format: websocket})
		e.crew.Done() // that it stays is nothing to wait for

		replies := answers(t, c, message)
		trimmed := bytes.TrimSpace([]byte(message))
		var object struct{ ID any }
		d := json.NewDecoder(bytes.NewReader(trimmed))
		d.UseNumber()
		switch isObject := d.Decode(&object) == nil && json.Valid(trimmed); {
		case string(trimmed) == "refresh":
			if len(replies) != 1 || replies[0]["type"] != "QueueStatus" || c.modern {
				t.Fatalf("%q: %v", message, replies)
			}
			return
		case len(trimmed) == 0 || trimmed[0] != '{':
			if len(replies) != 0 || c.modern {
				t.Fatalf("%q: %v", message, replies)
			}
			return
		case !isObject && (len(replies) != 1 || replies[0]["code"] != codeBadJSON):
			t.Fatalf("%q: %v", message, replies)
		case len(replies) == 0:
			t.Fatalf("%q: no reply", message)
		}
		reply := replies[0]
		if id, ok := reply["id"]; ok {
			if d := cmp.Diff(object.ID, id); d != "" {
				t.Fatalf("%q: ID (-sent +got):\n%s", message, d)
			}
		}
		mustBeReply(t, c, message, reply, replies[1:])
	})
}

// mustBeReply checks the first reply to an object, and what follows it.
func mustBeReply(t *testing.T, c *conn, message string, reply map[string]any, then []map[string]any) {
	t.Helper()
	types := make([]any, len(then))
	for i, r := range then {
		types[i] = r["type"]
	}
	switch reply["type"] {
	case "pong", "QueueStatus":
	case "unsubscribed":
		if c.following.Load() {
			t.Fatalf("%q: still follows", message)
		}
	case "error":
		if text, _ := reply["message"].(string); text == "" || len(text) > 1<<10+len(message) || !slices.Contains([]any{codeBadJSON, codeUnknownType, codeInvalidFilter, codeTooLarge}, reply["code"]) {
			t.Fatalf("%q: %v", message, reply)
		}
	case "subscribed":
		// The filter in the reply, sent again, is the same filter.
		again := map[string]any{"type": "subscribe"}
		filter, _ := reply["filter"].(map[string]any)
		for k, v := range filter {
			again[k] = v
		}
		before := c.filter.Load().Filter
		second := answers(t, c, string(marshal(again)))
		if d := cmp.Diff(filter, second[0]["filter"]); d != "" {
			t.Fatalf("%q: filter (-first +second):\n%s", message, d)
		}
		if d := cmp.Diff(before, c.filter.Load().Filter, cmp.AllowUnexported(domain.Filter{})); d != "" {
			t.Fatalf("%q: filter in force (-first +second):\n%s", message, d)
		}
	default:
		t.Fatalf("%q: %v", message, reply)
	}
	if len(then) > 1 || len(then) == 1 && (reply["type"] != "subscribed" || types[0] != "ResyncRequired") {
		t.Fatalf("%q: %v, then %v", message, reply, types)
	}
}
