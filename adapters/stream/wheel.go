package stream

import "time"

// wheelSlots is how many ticks one turn of a wheel takes. Whatever is due later stays for another turn.
const wheelSlots = 256

// wheel is a hashed timing wheel (Varghese and Lauck, 1987): setting and firing a timer costs the same however many there
// are, and takes no memory beside the connection's own. Only its shard touches it.
type wheel struct {
	tick  time.Duration
	now   int64 // the tick that was fired last
	slots [wheelSlots]*conn
}

// timer is a connection's place in a wheel.
type timer struct {
	due        int64 // the tick that it fires at; zero when it is not set
	next, prev *conn
}

// set makes the connection fire at the time given, or at the next tick, in place of the time that was set before.
func (w *wheel) set(c *conn, at time.Duration) {
	w.stop(c)
	c.timer.due = max(w.now+1, int64((at+w.tick-1)/w.tick))
	slot := &w.slots[c.timer.due%wheelSlots]
	if c.timer.next = *slot; c.timer.next != nil {
		c.timer.next.timer.prev = c
	}
	*slot = c
}

// stop takes the connection off the wheel.
func (w *wheel) stop(c *conn) {
	t := &c.timer
	switch {
	case t.due == 0:
		return
	case t.prev != nil:
		t.prev.timer.next = t.next
	default:
		w.slots[t.due%wheelSlots] = t.next
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	*t = timer{}
}

// advance calls fire for every connection that is due by now. Its timer is no longer set then.
func (w *wheel) advance(now time.Duration, fire func(*conn)) {
	until := int64(now / w.tick)
	for from := max(w.now+1, until-wheelSlots+1); from <= until; from++ { // more than a turn visits no slot twice
		w.now = until
		for c := w.slots[from%wheelSlots]; c != nil; {
			next := c.timer.next
			if c.timer.due <= until {
				w.stop(c)
				fire(c) // it may set or stop this one's timer and no other
			}
			c = next
		}
	}
}
