package stream

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// delivered is what a client got: events by number, and -N for a notice of N missing ones.
type delivered []int

const ( // enough to fill all buffers between the engine and a client, many times over what the log keeps
	slowEvents = 1200
	slowSize   = 8000
)

func slowSetup() setup { return setup{log: eventlog.Options{Capacity: 20}} }

func (r *rig) flood() {
	r.t.Helper()
	for n := range slowEvents {
		r.publish(sized(n, slowSize))
	}
}

// eventNumber reads an event or a notice.
func eventNumber(t testing.TB, text string) int {
	t.Helper()
	var m struct {
		Type    string
		Event   domain.UUID `json:"event_id"`
		Dropped int         `json:"dropped_count"`
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v in %.100q", err, text)
	}
	if m.Type == "EventsLagged" {
		if m.Dropped <= 0 {
			t.Fatalf("notice %s", text)
		}
		return -m.Dropped
	}
	return int(m.Event[14])<<8 + int(m.Event[15]) - 1
}

// numbers reads until the event with the number given.
func (c *sseClient) numbers(last int) (got delivered) {
	c.t.Helper()
	for len(got) == 0 || got[len(got)-1] != last {
		name, rest, _ := strings.Cut(strings.TrimPrefix(c.message(), "event: "), "\n")
		_, data, found := strings.Cut("\n"+rest, "\ndata: ")
		n := eventNumber(c.t, data)
		if !found || (name == "events.lagged") != (n < 0) {
			c.t.Fatalf("message %q %.200q", name, rest)
		}
		got = append(got, n)
	}
	return got
}

// checkGaps fails unless all events were delivered in order but for gaps that are told, and there was a gap.
func checkGaps(t *testing.T, events int, got delivered) {
	t.Helper()
	next, dropped := 0, 0
	for _, n := range got {
		switch {
		case n < 0:
			next -= n
			dropped -= n
		case n != next:
			t.Fatalf("event %d came where %d should", n, next)
		default:
			next++
		}
	}
	if next != events || dropped == 0 {
		t.Errorf("%d events accounted for, %d of them dropped; want %d", next, dropped, events)
	}
}

func TestALaggingClientIsDisconnected(t *testing.T) {
	for _, path := range []string{"/ws", "/ws?on_lag=disconnect"} {
		r := newRig(t, slowSetup())
		c := r.join(path)
		r.publish(progress(9000))
		c.mustGetEvents(progress(9000))
		r.flood()
		last, first := 9000, true
		for {
			f := c.frame()
			if f.Header.OpCode == ws.OpText {
				n := eventNumber(t, string(f.Payload))
				if n != last+1 && (!first || n != 0) {
					t.Fatalf("event %d after %d", n, last)
				}
				last, first = n, false
				continue
			}
			code, reason := ws.ParseCloseFrameData(f.Payload)
			if f.Header.OpCode != ws.OpClose || code != statusLagged || reason != id(last).String() {
				t.Fatalf("opcode %x, code %d %q after event %d", f.Header.OpCode, code, reason, last)
			}
			break
		}
		c.sendClose(statusLagged, "")
		c.mustEnd()
		r.mustClose("4008")
		// With the ID in the reason the client can come back for a notice of what is missing.
		back := r.joinModern("/ws?last_event_id=" + id(last).String())
		if got := back.text(); !strings.HasPrefix(got, `{"type":"ResyncRequired","reason":"expired"`) {
			t.Errorf("got %s", got)
		}
	}
}

func TestALaggingClientThatGotNothingYet(t *testing.T) {
	r := newRig(t, setup{log: logOf(1)})
	release := make(chan struct{})
	r.counts.hold.Store(&release)
	c := r.open("/ws")
	r.publish(progress(1), progress(2))
	c.mustGet(snapshotJSON(1))
	if reason := c.mustGetClose(statusLagged); reason != "" {
		t.Errorf("reason %q", reason)
	}
	close(release)
}

func TestALaggingClientThatSkips(t *testing.T) {
	r := newRig(t, slowSetup())
	c := r.joinModern("/ws?on_lag=skip")
	r.flood()
	var got delivered
	for len(got) == 0 || got[len(got)-1] != slowEvents-1 {
		got = append(got, eventNumber(t, c.text()))
	}
	checkGaps(t, slowEvents, got)
}

func TestALaggingLegacyClientThatSkipsIsToldNothing(t *testing.T) {
	r := newRig(t, slowSetup())
	c := r.join("/ws?on_lag=skip")
	r.flood()
	last, gaps := -1, 0
	for last != slowEvents-1 {
		n := eventNumber(t, c.text())
		if n <= last {
			t.Fatalf("%d after %d", n, last)
		}
		gaps += n - last - 1
		last = n
	}
	if gaps == 0 {
		t.Error("nothing was skipped: the test proves nothing")
	}
}

func TestALaggingEventStream(t *testing.T) {
	r := newRig(t, slowSetup())
	c := r.events("/events")
	r.flood()
	checkGaps(t, slowEvents, c.numbers(slowEvents-1))
}

// One client that does not read keeps nobody else from reading.
func TestASlowClientCostsOthersNothing(t *testing.T) {
	s := slowSetup()
	s.options.Loops = 1 // all in one
	r := newRig(t, s)
	for range 3 {
		r.join("/ws")
		r.events("/events")
	}
	fast, stream := r.join("/ws"), r.events("/events")
	for n := range slowEvents {
		r.publish(sized(n, slowSize))
		fast.mustGetEvents(sized(n, slowSize))
		stream.mustGetEvents(sized(n, slowSize))
	}
}

func TestAWriteThatStallsEndsTheConnection(t *testing.T) {
	s := slowSetup()
	s.options.WriteTimeout = 100 * time.Millisecond
	r := newRig(t, s)
	r.join("/ws?on_lag=skip")
	r.events("/events")
	r.flood()
	r.mustClose("write: ")
	r.mustClose("write: ")
	if n := r.registry.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// Replies to a client that does not read them are bounded: it is no longer read from either, and goes on when it reads.
func TestAFloodOfPingsIsBounded(t *testing.T) {
	r := newRig(t, setup{})
	c := r.join("/ws")
	nc := c.nc.(interface {
		SetWriteDeadline(t time.Time) error
		Write(b []byte) (int, error)
	})
	ping := clientFrame(ws.OpPing, true, strings.Repeat("p", ws.MaxControlFramePayloadSize))
	block := []byte(strings.Repeat(string(ping), 100))
	sent, most := 0, 64<<20
	var err error
	for err == nil && sent < most {
		_ = nc.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		var n int
		n, err = nc.Write(block)
		sent += n
	}
	if !isTimeout(err) {
		t.Fatalf("the server took %d bytes without being read from: %v", sent, err)
	}
	_ = nc.SetWriteDeadline(time.Now().Add(patience))
	done := make(chan struct{})
	go func() {
		defer close(done)
		rest := append(ping[sent%len(ping):len(ping):len(ping)], clientFrame(ws.OpText, true, `{"type":"ping"}`)...)
		if _, err := nc.Write(rest); err != nil {
			t.Error(err)
		}
	}()
	pongs := 0
	for f := c.frame(); f.Header.OpCode == ws.OpPong; f = c.frame() {
		pongs++
	}
	<-done
	if want := sent/len(ping) + 1; pongs != want {
		t.Errorf("%d pongs to %d pings", pongs, want)
	}
}
