package eventlog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

const capacity = 8192 // the default

// The goals that the tests below pin.
const (
	allocsPerAppend = 2
	allocsPerRead   = 0
)

// fullLog returns a log that has long been running: the ring is full, and identifiers are being forgotten.
func fullLog(tb testing.TB) (l *eventlog.Log, next int) {
	l = eventlog.New(origin, eventlog.Options{Remember: 2 * capacity})
	next = 3 * capacity
	for n := range next {
		if _, _, err := l.Append(tb.Context(), progress(n, 80)); err != nil {
			tb.Fatal(err)
		}
	}
	return l, next
}

func TestAppendAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops things at random under the race detector")
	}
	l, n := fullLog(t)
	events := make([]domain.Event, 2001) // made before, so that only Append is counted
	for i := range events {
		events[i] = progress(n+i, 80)
	}
	i := 0
	got := testing.AllocsPerRun(len(events)-1, func() {
		if _, fresh, err := l.Append(t.Context(), events[i]); !fresh || err != nil {
			t.Errorf("Append = fresh %v, %v", fresh, err)
		}
		i++
	})
	if got > allocsPerAppend {
		t.Errorf("%v allocations per Append, want at most %d", got, allocsPerAppend)
	}
}

func TestReadAllocations(t *testing.T) {
	l, _ := fullLog(t)
	buf := make([]domain.Entry, 0, 256)
	for name, f := range map[string]*domain.Filter{
		"everything": {},
		"by type":    {Types: domain.Set(domain.TypeJobProgress)},
		"by job":     {Jobs: []domain.UUID{id(1000 + 2*capacity)}},
	} {
		got := testing.AllocsPerRun(100, func() {
			if _, _, missed := l.Read(0, f, buf); missed != 2*capacity {
				t.Errorf("missed %d, want %d", missed, 2*capacity)
			}
		})
		if got > allocsPerRead {
			t.Errorf("%s: %v allocations per Read, want %d", name, got, allocsPerRead)
		}
	}
}

// BenchmarkAppend counts one op for an event appended to a full log. Cursor readers each Read it before the next one is
// appended, in the same goroutine, as one writer loop does for its connections. Parked readers are goroutines that Wait
// and Read, as long polls do; the writer does not wait for them, so that they fall behind as they would in life.
func BenchmarkAppend(b *testing.B) {
	b.Run("readers=0", func(b *testing.B) { benchmarkAppend(b, func(*eventlog.Log) {}) })
	for _, readers := range []int{1, 1000} {
		b.Run(fmt.Sprintf("readers=%d/cursors", readers), func(b *testing.B) { benchmarkCursors(b, readers) })
		b.Run(fmt.Sprintf("readers=%d/parked", readers), func(b *testing.B) { benchmarkParked(b, readers) })
	}
}

func benchmarkAppend(b *testing.B, after func(l *eventlog.Log)) {
	l, next := fullLog(b)
	appendTo(b, l, next, after)
}

func appendTo(b *testing.B, l *eventlog.Log, next int, after func(l *eventlog.Log)) {
	event := progress(0, 80)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		event.ID = id(next)
		next++
		if _, fresh, err := l.Append(ctx, event); !fresh || err != nil {
			b.Fatalf("Append = fresh %v, %v", fresh, err)
		}
		after(l)
	}
}

func benchmarkCursors(b *testing.B, readers int) {
	cursors := make([]domain.Seq, readers)
	buf := make([]domain.Entry, 0, 16)
	benchmarkAppend(b, func(l *eventlog.Log) {
		for i := range cursors {
			_, cursors[i], _ = l.Read(cursors[i], all, buf)
		}
	})
}

func benchmarkParked(b *testing.B, readers int) {
	l, next := fullLog(b)
	ctx, stop := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			buf := make([]domain.Entry, 0, 16)
			for cursor := l.Head(); l.Wait(ctx, cursor) == nil; {
				_, cursor, _ = l.Read(cursor, all, buf)
			}
		})
	}
	appendTo(b, l, next, func(*eventlog.Log) {})
	stop()
	wg.Wait()
}

func BenchmarkRead(b *testing.B) {
	l, next := fullLog(b)
	for name, bench := range map[string]struct {
		filter *domain.Filter
		behind int
	}{
		"one entry":                   {all, 1},
		"256 entries":                 {all, 256},
		"256 entries, one of a job":   {&domain.Filter{Jobs: []domain.UUID{id(1000 + next - 7)}}, 256},
		"nothing new":                 {all, 0},
		"256 entries, no type wanted": {&domain.Filter{Types: statusOnly}, 256},
	} {
		b.Run(name, func(b *testing.B) {
			buf := make([]domain.Entry, 0, 256)
			after := l.Head() - domain.Seq(bench.behind)
			b.ReportAllocs()
			for b.Loop() {
				l.Read(after, bench.filter, buf)
			}
		})
	}
}

// BenchmarkResumeFullBuffer counts one op for a client that comes back with the oldest event kept: Locate, then the rest
// of the ring through a buffer of 256 entries.
func BenchmarkResumeFullBuffer(b *testing.B) {
	l, next := fullLog(b)
	last := id(next - capacity)
	buf := make([]domain.Entry, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		place := l.Locate(last)
		read := 0
		for cursor := place.Seq; cursor < l.Head(); {
			var got []domain.Entry
			got, cursor, _ = l.Read(cursor, all, buf)
			read += len(got)
		}
		if place.Standing != domain.StandingKept || read != capacity-1 {
			b.Fatalf("%+v, read %d entries, want %d", place, read, capacity-1)
		}
	}
}
