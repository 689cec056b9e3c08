package stream

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// Whatever place one reads from, and however the log moves on meanwhile, windows of a track are the filtered log framed one
// by one; what the log no longer keeps is counted, and windows keep to their bound.
func TestTrackAgainstTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kept := rapid.IntRange(1, 400).Draw(t, "capacity")
		log := eventlog.New(origin, eventlog.Options{Capacity: kept})
		key := trackKey{
			rapid.SampledFrom([]format{websocket, 0, chunked, chunked | dotted}).Draw(t, "format"),
			rapid.SampledFrom([]domain.TypeSet{0, domain.Set(domain.TypeNoteUpdated), domain.Set(domain.TypeJobProgress, domain.TypeQueueStatus)}).Draw(t, "types"),
		}
		filter := domain.Filter{Types: key.types}
		var events []domain.Event
		publish := func(t *rapid.T) {
			for range rapid.IntRange(1, 300).Draw(t, "events") {
				n := len(events) + 1
				e := []func(int) domain.Event{progress, updated, status}[n%3](n)
				if n%50 == 0 {
					e = sized(n, rapid.SampledFrom([]int{5000, 70_000, 300_000}).Draw(t, "size"))
				}
				events = append(events, e)
				if err := log.Publish(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
		}
		publish(t)
		track := newTrack(key, log.Head(), rapid.SampledFrom([]int{minSegment, scarceBytes, trackBytes}).Draw(t, "limit"))
		t.Repeat(map[string]func(*rapid.T){
			"publish": publish,
			"read": func(t *rapid.T) {
				after := domain.Seq(rapid.IntRange(0, len(events)).Draw(t, "after"))
				for after < log.Head() {
					w := track.window(log, after)
					oldest := domain.Seq(max(0, len(events)-kept))
					if want := max(oldest, after) - after; domain.Seq(w.missed) != want {
						t.Fatalf("%d missed after %d, want %d", w.missed, after, want)
					}
					checkWindow(t, &w, key.format, after+domain.Seq(w.missed), events, &filter)
					after = w.cursor
				}
			},
		})
	})
}

// checkWindow fails unless the window is what stands between a place in the log and its cursor, and every mark is right.
func checkWindow(t *rapid.T, w *window, f format, after domain.Seq, events []domain.Event, filter *domain.Filter) {
	if w.cursor <= after {
		t.Fatalf("a window from %d to %d", after, w.cursor)
	}
	var want []byte
	n := 0
	for seq := after + 1; seq <= w.cursor; seq++ {
		e := events[seq-1]
		entry := domain.Entry{Seq: seq, ID: e.ID, Type: e.Type(), OccurredAt: e.OccurredAt, JSON: e.AppendJSON(nil)}
		if !filter.Match(&entry) {
			continue
		}
		size := len(want)
		if want = f.appendEntry(want, &entry); len(want)-size != f.size(&entry) {
			t.Fatalf("%d bytes for an event whose size is %d", len(want)-size, f.size(&entry))
		}
		if n >= len(w.marks) || w.marks[n] != (mark{seq, e.ID, e.OccurredAt, w.base + len(want)}) {
			t.Fatalf("mark %d of %+v is not of event %d", n, w.marks, seq)
		}
		if got, end := w.cut(len(want)); got != n+1 || end != len(want) {
			t.Fatalf("cut(%d) = %d, %d", len(want), got, end)
		}
		if got, end := w.cut(size + 1); got != n+1 || end != len(want) {
			t.Fatalf("cut(%d) = %d, %d", size+1, got, end)
		}
		n++
	}
	if !bytes.Equal(w.bytes, want) || len(w.marks) != n {
		t.Fatalf("%d events in %d bytes, want %d in %d", len(w.marks), len(w.bytes), n, len(want))
	}
	if n > 1 && len(w.bytes) > maxWindow {
		t.Fatalf("%d bytes at once", len(w.bytes))
	}
}

// Readers at one place get the same memory, not copies of it.
func TestTrackIsShared(t *testing.T) {
	log := eventlog.New(origin, eventlog.Options{})
	track := newTrack(trackKey{format: websocket}, log.Head(), trackBytes)
	for n := range 10 {
		if err := log.Publish(t.Context(), progress(n)); err != nil {
			t.Fatal(err)
		}
	}
	one, two := track.window(log, 0), track.window(log, 5)
	if tail := one.bytes[len(one.bytes)-len(two.bytes):]; &tail[0] != &two.bytes[0] {
		t.Error("the events were framed twice")
	}
}

// However much is published, a track keeps to its limit, but for the last segment.
func TestTrackIsBounded(t *testing.T) {
	log := eventlog.New(origin, eventlog.Options{})
	track := newTrack(trackKey{format: chunked}, log.Head(), trackBytes)
	for n := range 20_000 {
		if err := log.Publish(t.Context(), progress(n)); err != nil {
			t.Fatal(err)
		}
		if n%100 == 99 {
			track.window(log, log.Head()-1)
		}
	}
	total := 0
	for _, s := range track.segments {
		total += cap(s.bytes)
	}
	if total != track.kept || total > trackBytes+maxSegment || len(track.segments) < 2 {
		t.Errorf("%d bytes in %d segments, accounted for as %d", total, len(track.segments), track.kept)
	}
}

// Tracks that nobody uses go when new ones come, but not at once; when there are many, each keeps less.
func TestLibraryForgetsWhatNobodyUses(t *testing.T) {
	log := eventlog.New(origin, eventlog.Options{})
	l := library{tracks: map[trackKey]*track{}}
	first := l.borrow(trackKey{websocket, 1}, log, 0)
	l.giveBack(first, time.Second)
	if again := l.borrow(trackKey{websocket, 1}, log, 2*time.Second); again != first {
		t.Error("a track was forgotten at once")
	}
	l.giveBack(first, 3*time.Second)
	for n := range manyTracks {
		l.borrow(trackKey{chunked, domain.TypeSet(n + 1)}, log, 4*time.Second)
	}
	if scarce := l.borrow(trackKey{dotted, 1}, log, 5*time.Second); scarce.limit != scarceBytes {
		t.Errorf("limit %d beside %d others", scarce.limit, len(l.tracks))
	}
	l.borrow(trackKey{dotted, 2}, log, 3*time.Second+trackRest+1)
	if len(l.tracks) != manyTracks+2 || l.tracks[trackKey{websocket, 1}] != nil {
		t.Errorf("%d tracks are left, want those in use", len(l.tracks))
	}
}

func BenchmarkTrack(b *testing.B) {
	for _, readers := range []int{1, 1000} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			log := eventlog.New(origin, eventlog.Options{})
			track := newTrack(trackKey{format: websocket}, log.Head(), trackBytes)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				if err := log.Publish(b.Context(), progress(n)); err != nil {
					b.Fatal(err)
				}
				n++
				for range readers {
					if w := track.window(log, log.Head()-1); len(w.marks) != 1 {
						b.Fatal(w)
					}
				}
			}
		})
	}
}
