package stream

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
)

// BenchmarkFanOut counts one op for one event delivered to all clients, over sockets of the loopback interface. The clients
// read in the same process, so their system calls are in the time, too.
func BenchmarkFanOut(b *testing.B) {
	for _, clients := range []int{100, 1000} {
		b.Run(fmt.Sprintf("websocket/clients=%d/paced", clients), func(b *testing.B) { benchmarkFanOut(b, clients, 1) })
		b.Run(fmt.Sprintf("websocket/clients=%d/bursts of 16", clients), func(b *testing.B) { benchmarkFanOut(b, clients, 16) })
	}
}

// benchmarkFanOut publishes bursts, and the next one when everybody has got the last.
func benchmarkFanOut(b *testing.B, clients, burst int) {
	r := newRig(b, setup{})
	event := progress(0)
	size := int64(len(jsonOf(event)) + 4) // with the frame's header
	got := newTally()
	var readers sync.WaitGroup
	for range clients {
		c := r.join("/ws?types=job,queue")
		nc := c.nc.(net.Conn)
		_ = nc.SetDeadline(time.Time{})
		readers.Go(func() { _, _ = io.Copy(got, c.r) })
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		event.ID = id(n)
		n++
		r.publish(event)
		if n%burst == 0 {
			got.await(int64(clients) * int64(n) * size)
		}
	}
	got.await(int64(clients) * int64(n) * size)
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*clients), "ns/delivery")
	r.stop()
	readers.Wait()
}

// tally counts bytes, and wakes one goroutine when there are as many as it waits for.
type tally struct {
	bytes, goal atomic.Int64
	reached     chan struct{}
}

func newTally() *tally { return &tally{reached: make(chan struct{}, 1)} }

func (t *tally) Write(b []byte) (int, error) {
	if n := t.bytes.Add(int64(len(b))); n >= t.goal.Load() {
		select {
		case t.reached <- struct{}{}:
		default:
		}
	}
	return len(b), nil
}

func (t *tally) await(goal int64) {
	t.goal.Store(goal)
	for t.bytes.Load() < goal {
		<-t.reached
	}
}

// BenchmarkRender counts one op for a batch of 16 events made into bytes.
func BenchmarkRender(b *testing.B) {
	r := newRig(b, setup{})
	for n := range 16 {
		r.publish(progress(n))
	}
	entries, buf := make([]domain.Entry, 0, readEntries), run{}
	for name, f := range map[string]format{"websocket": websocket, "sse": chunked} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var w window
				if w, buf = render(r.log, f, 0, &domain.Filter{}, entries, run{buf.bytes[:0], buf.marks[:0]}); len(w.marks) != 16 {
					b.Fatalf("%+v", w)
				}
			}
		})
	}
}
