package main

import (
	"fmt"
	"io"
	"time"
)

// The bar appears when a command takes longer than a moment, and then moves at most ten times a second.
const (
	barDelay    = 500 * time.Millisecond
	barInterval = 100 * time.Millisecond
)

// progressBar shows how far emit is on one line of a terminal. The zero value shows nothing.
type progressBar struct {
	w       io.Writer // nil to show nothing
	total   int64     // bytes of input; zero when that is not known
	started time.Time
	drawn   time.Time
	visible bool
}

// update tells the bar that events events, the first done bytes of the input, are published.
func (b *progressBar) update(done int64, events int) {
	now := time.Now()
	if b.started.IsZero() {
		b.started = now
	}
	elapsed := now.Sub(b.started)
	if b.w == nil || elapsed < barDelay || now.Sub(b.drawn) < barInterval {
		return
	}
	b.drawn, b.visible = now, true
	line := fmt.Sprintf("%d events, %.0f/s", events, float64(events)/elapsed.Seconds())
	if b.total > 0 {
		part := min(float64(done)/float64(b.total), 1)
		left := time.Duration(float64(elapsed) * (1 - part) / max(part, 1e-9))
		line = fmt.Sprintf("%s %3.0f%%  %s, %s left", bar(part, 2*barWidth), 100*part, line, left.Round(time.Second))
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s", line)
}

// clear takes the bar off the screen; the next update may draw it again.
func (b *progressBar) clear() {
	if b.visible {
		fmt.Fprint(b.w, "\r\x1b[K")
		b.visible = false
	}
}
