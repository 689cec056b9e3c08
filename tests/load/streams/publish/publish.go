// Package publish puts load on a server: events over HTTP, each publisher on a connection of its own, sending its next event
// only once the last was acknowledged; at a fixed rate, or as fast as that and a window allow.
//
// The window bounds the events that are published but not yet received. Without it a server that acknowledges before it
// delivers fills its queues and cuts off its subscribers, and what is measured is how long its queues are.
package publish

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/matric/matric-events/tests/load/streams/tally"
	"github.com/matric/matric-events/tests/load/streams/target"
	"github.com/matric/matric-events/tests/load/streams/wire"
)

// Options say what publishes what. Server, Target and Arrived are required.
type Options struct {
	Server     netip.AddrPort
	Target     target.Target
	Publishers int     // zero means 1
	Size       int     // bytes of an event, as delivered
	Rate       float64 // events per second; zero means as many as the window allows
	Window     int     // without a rate; zero means 100
	Arrived    func() int64
}

// Load is publishers at work.
type Load struct {
	o       Options
	stop    context.CancelFunc
	working sync.WaitGroup
	acked   atomic.Int64
	each    []atomic.Uint64 // acknowledged of each publisher
	stalls  atomic.Int64

	mu     sync.Mutex // guards what publishers hand in when they end
	totals Totals
}

// Totals are what publishers have done in all.
type Totals struct {
	Published []uint64       // by each publisher
	Failed    map[string]int // requests without a good answer, by reason; their events count as published
	Ack       tally.Latency  // from the send to the acknowledgement
	Stalls    int64          // how often the window stayed shut for a second
}

const (
	stall      = time.Second
	windowPoll = 200 * time.Microsecond
	giveUp     = 20 // failures of one publisher
)

// Start begins to publish.
func Start(ctx context.Context, o Options) *Load {
	if o.Window <= 0 {
		o.Window = 100
	}
	o.Publishers = max(o.Publishers, 1)
	ctx, stop := context.WithCancel(ctx)
	l := &Load{o: o, stop: stop, each: make([]atomic.Uint64, o.Publishers), totals: Totals{
		Published: make([]uint64, o.Publishers), Failed: map[string]int{}, Ack: tally.NewLatency(),
	}}
	schedule := Schedule{Start: tally.Now(), Rate: o.Rate, Publishers: o.Publishers}
	for k := range o.Publishers {
		l.working.Go(func() { l.publish(ctx, k, schedule) })
	}
	return l
}

// Acked returns how many events have been published so far.
func (l *Load) Acked() int64 { return l.acked.Load() }

// Published returns how many events each publisher has published so far.
func (l *Load) Published() []uint64 {
	n := make([]uint64, len(l.each))
	for k := range l.each {
		n[k] = l.each[k].Load()
	}
	return n
}

// Stop ends publishing, each publisher's last event acknowledged, and returns what was done.
func (l *Load) Stop() Totals {
	l.stop()
	l.working.Wait()
	l.totals.Stalls = l.stalls.Load()
	return l.totals
}

func (l *Load) publish(ctx context.Context, k int, schedule Schedule) {
	c := client{server: l.o.Server.String(), path: l.o.Target.PublishPath}
	defer c.close()
	ack, failed := tally.NewLatency(), []string{}
	var seq uint64
	var body []byte
	for len(failed) < giveUp {
		sent, ok := l.turn(ctx, schedule, k, seq+1)
		if !ok {
			break
		}
		seq++
		body = l.o.Target.AppendEvent(body[:0], wire.Stamp{Publisher: k, Seq: seq, Sent: sent}, l.o.Size)
		begin := tally.Now()
		if err := c.post(body); err != nil {
			failed = append(failed, err.Error())
			c.close()
		}
		ack.Record(tally.Now() - begin)
		l.acked.Add(1)
		l.each[k].Store(seq)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.totals.Published[k] = seq
	l.totals.Ack.Add(ack)
	for _, why := range failed {
		l.totals.Failed[why]++
	}
}

// turn waits until a publisher may send its next event, and returns when that counts as sent; false when it is to stop.
func (l *Load) turn(ctx context.Context, schedule Schedule, k int, seq uint64) (sent int64, ok bool) {
	if l.o.Rate > 0 {
		free, due := tally.Now(), schedule.Due(k, seq)
		ok = sleep(ctx, time.Duration(due-free))
		return Stamp(due, free, tally.Now()), ok
	}
	for shut := tally.Now(); l.acked.Load()-l.o.Arrived() >= int64(l.o.Window); {
		if tally.Now()-shut > int64(stall) { // an event was lost, or the server hangs; go on, the counts will tell
			l.stalls.Add(1)
			break
		}
		if !sleep(ctx, windowPoll) {
			return 0, false
		}
	}
	return tally.Now(), ctx.Err() == nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
