package contract

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// OutboxFixture is an adapter of ports.Outbox and ports.Probe with nothing stored.
type OutboxFixture struct {
	Outbox ports.Outbox
	Keeper ports.OutboxKeeper
	Probe  ports.Probe
	// Append commits a record as the other writers of the outbox do: body is JSON in the form that producers send, or
	// not even that; kind is worker or note, or not even that.
	Append func(t *testing.T, kind, body string)
	// Reopen closes the adapter and returns it as a new process finds it.
	Reopen func(t *testing.T) OutboxFixture
}

// Outbox checks ports.Outbox and ports.Probe.
func Outbox(t *testing.T, open func(t *testing.T) OutboxFixture) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, f OutboxFixture)
	}{
		{"records come back decoded, with ID and time", outboxDecoded},
		{"what cannot be read comes back as bad", outboxBad},
		{"records are oldest first, at most as many as asked", outboxOrder},
		{"removed records are gone, and no others", outboxRemove},
		{"positions of one writer rise, also after all were removed", outboxPositions},
		{"records outlive the process", outboxRestart},
		{"wait returns when a record was added since the last look", outboxWait},
		{"wait returns for what was left to read", outboxWaitLeftover},
		{"wait ends with its context", outboxWaitEnds},
		{"wait wakes the reader for every record of any writer", outboxDrain},
		{"a canary comes out again", outboxCanary},
		{"the meter counts records and tells the age of the oldest", outboxStats},
		{"what a newer report makes superfluous can be superseded, and nothing else", outboxSupersede},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func pending(t *testing.T, o ports.Outbox, limit int) []ports.OutboxRecord {
	t.Helper()
	records, err := o.Pending(t.Context(), limit)
	if err != nil {
		t.Fatalf("Pending: %v", err)
	}
	return records
}

func positions(records []ports.OutboxRecord) []int64 {
	out := make([]int64, len(records))
	for i, r := range records {
		out[i] = r.Position
	}
	return out
}

// worker returns a body with all members.
func worker(n int) string {
	return fmt.Sprintf(`{"type":"JobProgress","event_id":%q,"occurred_at":"2026-11-23T12:41:48.123Z","job_id":%q,
		"job_type":"Embedding","note_id":%q,"percent":65,"priority":2,"message":"é","duration_ms":7}`, id(n), id(n+1), id(n+2))
}

func outboxDecoded(t *testing.T, f OutboxFixture) {
	note := fmt.Sprintf(`{"event_id":%q,"occurred_at":"2026-11-23T12:41:48.123Z","operation":"updated","note_id":%q,"tags":["a"]}`, id(4), id(5))
	f.Append(t, "worker", worker(1))
	f.Append(t, "note", note)
	got := pending(t, f.Outbox, 10)
	w, err := domain.DecodeWorkerEvent([]byte(worker(1)))
	if err != nil {
		t.Fatal(err)
	}
	n, err := domain.DecodeNoteEvent([]byte(note))
	if err != nil {
		t.Fatal(err)
	}
	want := []ports.OutboxRecord{{Worker: &w}, {Note: &n}}
	for i := range got {
		got[i].Position = 0
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(domain.WorkerKind{})); d != "" {
		t.Errorf("Pending (-want +got):\n%s", d)
	}
}

func outboxBad(t *testing.T, f OutboxFixture) {
	for _, c := range []struct{ why, kind, body string }{
		{"no JSON", "worker", `{`},
		{"no worker event", "worker", `{"type":"Nonsense"}`},
		{"no event ID", "worker", `{"type":"WorkerStarted","occurred_at":"2026-11-23T12:41:48.123Z"}`},
		{"no time", "worker", fmt.Sprintf(`{"type":"WorkerStarted","event_id":%q}`, id(1))},
		{"no note event", "note", `[]`},
		{"a canary without ID", "canary", `{}`},
		{"no canary", "canary", `7`},
		{"no kind", "nonsense", `{}`},
	} {
		f.Append(t, c.kind, c.body)
		records := pending(t, f.Outbox, 10)
		if len(records) != 1 || records[0].Bad == nil {
			t.Fatalf("%s: Pending = %+v; want one bad record", c.why, records)
		}
		if r := records[0]; r.Worker != nil || r.Note != nil || !r.Canary.IsZero() {
			t.Errorf("%s: a bad record is also something else: %+v", c.why, r)
		}
		if err := f.Outbox.Remove(t.Context(), records[0].Position); err != nil {
			t.Fatal(err)
		}
	}
}

func outboxOrder(t *testing.T, f OutboxFixture) {
	for n := range 5 {
		f.Append(t, "worker", worker(n))
	}
	for limit, want := range map[int]int{10: 5, 5: 5, 2: 2, 0: 0} {
		got := pending(t, f.Outbox, limit)
		if len(got) != want {
			t.Errorf("Pending(%d) returned %d records, want %d", limit, len(got), want)
		}
		for n, r := range got {
			if r.Worker == nil || r.Worker.EventID != id(n) {
				t.Errorf("record %d of Pending(%d) is %+v", n, limit, r)
			}
			if n > 0 && r.Position <= got[n-1].Position {
				t.Errorf("positions do not rise: %v", positions(got))
			}
		}
	}
}

func outboxRemove(t *testing.T, f OutboxFixture) {
	for n := range 4 {
		f.Append(t, "worker", worker(n))
	}
	all := positions(pending(t, f.Outbox, 10))
	for _, c := range []struct{ remove, left []int64 }{
		{nil, all},
		{all[1:2], []int64{all[0], all[2], all[3]}}, // what is below it may have been read by nobody
		{all[1:3], []int64{all[0], all[3]}},
		{all[1:2], []int64{all[0], all[3]}},
		{[]int64{all[3], all[0], all[3] + 1}, []int64{}},
	} {
		if err := f.Outbox.Remove(t.Context(), c.remove...); err != nil {
			t.Fatal(err)
		}
		if d := diff(c.left, positions(pending(t, f.Outbox, 10))); d != "" {
			t.Errorf("left after the removal of %v (-want +got):\n%s", c.remove, d)
		}
	}
}

func outboxPositions(t *testing.T, f OutboxFixture) {
	last := int64(0)
	for n := range 6 {
		if n == 3 {
			f = f.Reopen(t)
		}
		f.Append(t, "worker", worker(n))
		got := positions(pending(t, f.Outbox, 10))
		if len(got) != 1 || got[0] <= last {
			t.Fatalf("positions %v after %d", got, last)
		}
		last = got[0]
		if err := f.Outbox.Remove(t.Context(), last); err != nil {
			t.Fatal(err)
		}
	}
}

func outboxRestart(t *testing.T, f OutboxFixture) {
	f.Append(t, "worker", worker(1))
	before := pending(t, f.Outbox, 10)
	f = f.Reopen(t)
	if err := f.Outbox.Wait(t.Context()); err != nil { // there is something to read
		t.Fatal(err)
	}
	after := pending(t, f.Outbox, 10)
	if d := cmp.Diff(before, after, cmp.AllowUnexported(domain.WorkerKind{})); d != "" {
		t.Errorf("records before and after (-want +got):\n%s", d)
	}
}

func outboxWait(t *testing.T, f OutboxFixture) {
	f.Append(t, "worker", worker(1))
	for range 2 { // what was not looked at is still new
		if err := f.Outbox.Wait(t.Context()); err != nil {
			t.Errorf("Wait = %v after a record was added", err)
		}
	}
}

func outboxWaitEnds(t *testing.T, f OutboxFixture) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	f.Append(t, "worker", worker(1))
	err := error(nil)
	for err == nil { // it may still say that there is something, but not for ever
		pending(t, f.Outbox, 10)
		err = f.Outbox.Wait(over)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v; want the error of its context", err)
	}
}

func outboxWaitLeftover(t *testing.T, f OutboxFixture) {
	f.Append(t, "worker", worker(1))
	f.Append(t, "worker", worker(2))
	pending(t, f.Outbox, 1)
	if err := f.Outbox.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func outboxDrain(t *testing.T, f OutboxFixture) {
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				if w%2 == 0 {
					f.Append(t, "worker", worker(w*each+n))
				} else if err := f.Probe.WriteCanary(t.Context(), id(w*each+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	defer wg.Wait()
	seen := map[domain.UUID]int{}
	for len(seen) < writers*each {
		if err := f.Outbox.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		records := pending(t, f.Outbox, 7)
		for i, r := range records {
			if i > 0 && r.Position <= records[i-1].Position {
				t.Fatalf("position %d after %d", r.Position, records[i-1].Position)
			}
			if r.Worker != nil {
				seen[r.Worker.EventID]++
			} else {
				seen[r.Canary]++
			}
		}
		if err := f.Outbox.Remove(t.Context(), positions(records)...); err != nil {
			t.Fatal(err)
		}
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("record %s was seen %d times", id, times)
		}
	}
}

func outboxCanary(t *testing.T, f OutboxFixture) {
	if err := f.Probe.WriteCanary(t.Context(), id(7)); err != nil {
		t.Fatal(err)
	}
	got := pending(t, f.Outbox, 10)
	if len(got) != 1 || got[0].Canary != id(7) || got[0].Worker != nil || got[0].Note != nil || got[0].Bad != nil {
		t.Errorf("Pending = %+v; want the canary", got)
	}
}

func outboxStats(t *testing.T, f OutboxFixture) {
	measure := func(want int) time.Duration {
		t.Helper()
		got, err := f.Keeper.Stats(t.Context())
		if err != nil || got.Records != want || got.Oldest < 0 {
			t.Errorf("Stats = %+v, %v; want %d records", got, err, want)
		}
		return got.Oldest
	}
	if age := measure(0); age != 0 {
		t.Errorf("nothing is %s old", age)
	}
	f.Append(t, "worker", "{")
	measure(1)
	began := time.Now()
	f.Append(t, "worker", fmt.Sprintf(`{"type":"WorkerStarted","event_id":%q,"occurred_at":%q}`, id(1), began.UTC().Format(time.RFC3339Nano)))
	time.Sleep(20 * time.Millisecond) // to be measured
	if age := measure(2); age < 15*time.Millisecond || age > time.Minute+time.Since(began) {
		t.Errorf("the oldest record is %s old after %s", age, time.Since(began))
	}
}

func outboxSupersede(t *testing.T, f OutboxFixture) {
	var want []int
	n := 0
	add := func(kept bool, kind, body string) {
		f.Append(t, kind, body)
		if kept {
			want = append(want, n)
		}
		n++
	}
	event := func(kept bool, kind string, job int) {
		add(kept, "worker", fmt.Sprintf(`{"type":%q,"event_id":%q,"occurred_at":"2026-11-23T12:41:48.123Z","job_id":%q,"percent":7}`, kind, id(n), id(job)))
	}
	event(true, "JobStarted", 1000)
	event(false, "JobProgress", 1000)
	event(true, "JobProgress", 1001)
	event(true, "JobProgress", 1000)
	event(true, "JobFailed", 1000)
	event(false, "WorkerStarted", 0)
	add(true, "worker", "{")
	add(true, "note", fmt.Sprintf(`{"event_id":%q,"occurred_at":"2026-11-23T12:41:48.123Z","operation":"updated","note_id":%q}`, id(n), id(5)))
	for range 1500 {
		event(false, "JobProgress", 1000)
	}
	event(true, "JobProgress", 1000)
	event(true, "WorkerStopped", 0)
	all := positions(pending(t, f.Outbox, 2*n))
	if removed, err := f.Keeper.Supersede(t.Context()); err != nil || removed != n-len(want) {
		t.Errorf("Supersede = %d, %v; want %d", removed, err, n-len(want))
	}
	kept := []int64{}
	for _, i := range want {
		kept = append(kept, all[i])
	}
	if d := diff(kept, positions(pending(t, f.Outbox, 2*n))); d != "" {
		t.Errorf("records that are left (-want +got):\n%s", d)
	}
	if again, err := f.Keeper.Supersede(t.Context()); err != nil || again != 0 {
		t.Errorf("Supersede again = %d, %v; want nothing to do", again, err)
	}
}
