package soak_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/matric/matric-events/domain"
)

const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
	// pace is how long a producer waits between calls, on average.
	pace = 40 * time.Millisecond
	// finish is for how long a producer tries to finish what it has begun when its time is over.
	finish = 40 * time.Second
)

// producer is a client of a hub that publishes.
type producer struct {
	name   string
	hub    *hub
	books  *books
	ledger *ledger
	rng    *rand.Rand
	client *http.Client
}

func newID() domain.UUID { return domain.UUID(uuid.Must(uuid.NewV7())) }

// pause waits a while, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// random returns a duration with the mean given.
func random(rng *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(rng.Int64N(2*int64(mean) + 1))
}

// insist sends a request until it is answered with the status that it must be answered with, or ctx ends. What is no answer,
// or 503, is tried again. Anything else is a breach.
func (p *producer) insist(ctx context.Context, want int, path, contentType, body string) (answer []byte, ok bool) {
	for {
		status, answer := p.hub.call(p.client, http.MethodPost, path, contentType, body)
		switch status {
		case want:
			return answer, true
		case 0, http.StatusServiceUnavailable:
		default:
			p.ledger.breach(pAnswers, "%s: POST %s = %d %s", p.name, path, status, answer)
			return nil, false
		}
		if ctx.Err() != nil {
			return nil, false
		}
		pause(ctx, random(p.rng, 20*time.Millisecond))
	}
}

// report is a worker event on its way.
type report struct {
	id   domain.UUID
	kind domain.Type
	json string
}

func newReport(kind domain.Type, job domain.UUID, more string) report {
	id := newID()
	return report{id, kind, fmt.Sprintf(`{"type":%q,"event_id":%q,"job_id":%q%s}`, kind, id, job, more)}
}

// workJobs reports the events of one job after the other, one by one or in batches, until ctx ends.
func (p *producer) workJobs(ctx context.Context) {
	for ctx.Err() == nil {
		p.job(ctx)
		pause(ctx, random(p.rng, pace))
	}
}

// job reports the life of a job. One that has begun is finished, if the hub lets it.
func (p *producer) job(ctx context.Context) {
	job := newID()
	p.books.owns(job)
	list := []report{
		newReport(domain.TypeJobQueued, job, `,"job_type":"Embedding","priority":3`),
		newReport(domain.TypeJobStarted, job, ``),
	}
	for percent := p.rng.IntN(40); percent < 100; percent += 10 + p.rng.IntN(50) {
		list = append(list, newReport(domain.TypeJobProgress, job, fmt.Sprintf(`,"percent":%d,"message":"working"`, percent)))
	}
	if p.rng.IntN(5) == 0 {
		list = append(list, newReport(domain.TypeJobFailed, job, `,"error":"no luck","will_retry":false`))
	} else {
		list = append(list, newReport(domain.TypeJobCompleted, job, `,"duration_ms":12`))
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	if p.rng.IntN(3) == 0 {
		p.batch(late, list)
		return
	}
	for i := range list {
		if !p.batch(late, list[i:i+1]) {
			return
		}
		pause(ctx, random(p.rng, pace/4))
	}
}

// batch publishes reports in one request, as an object, an array or lines, until that is acknowledged. Now and then it does
// so once more, as producers do whose connection broke before the answer.
func (p *producer) batch(ctx context.Context, list []report) bool {
	items := make([]string, len(list))
	for i := range list {
		items[i] = list[i].json
	}
	body, contentType := items[0], jsonType
	switch {
	case p.rng.IntN(2) == 0:
		body, contentType = strings.Join(items, "\n"), ndjsonType
	case len(items) > 1:
		body = "[" + strings.Join(items, ",") + "]"
	}
	times := 1
	if p.rng.IntN(16) == 0 {
		times = 2
	}
	for range times {
		answer, ok := p.insist(ctx, http.StatusAccepted, "/api/v1/worker-events", contentType, body)
		if !ok {
			return false
		}
		if want := fmt.Sprintf(`{"accepted":%d}`, len(list)); strings.TrimSpace(string(answer)) != want {
			p.ledger.breach(pIdem, "%s: %d events were answered with %s", p.name, len(list), answer)
		}
		for _, r := range list {
			p.books.promise(r.id, r.kind)
		}
	}
	if times == 2 {
		p.books.mu.Lock()
		p.books.repeated += len(list)
		p.books.mu.Unlock()
	}
	return true
}

// mark publishes one event of each kind that a reader may be waiting for.
func (p *producer) mark(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, finish)
	defer cancel()
	job, note := newID(), subject{newID(), "created"}
	p.books.owns(job)
	p.books.owns(note.note)
	p.batch(ctx, []report{
		newReport(domain.TypeJobQueued, job, `,"job_type":"Embedding"`),
		newReport(domain.TypeJobFailed, job, `,"error":"a mark","will_retry":false`),
	})
	if _, ok := p.insist(ctx, http.StatusAccepted, "/api/v1/note-events", jsonType, fmt.Sprintf(`{"operation":"created","note_id":%q}`, note.note)); ok {
		p.books.promiseNote(note)
	}
}

// burst reports so much progress at once that whoever does not read falls behind what the hub keeps.
func (p *producer) burst(ctx context.Context, batches int) {
	const size, message = 90, 10_000 // eight are more than ringCapacity, and than sockets take in; one is less than 1 MiB
	ctx, cancel := context.WithTimeout(ctx, finish)
	defer cancel()
	for range batches {
		job := newID()
		p.books.owns(job)
		list := []report{newReport(domain.TypeJobStarted, job, `,"job_type":"Embedding"`)}
		for i := range size - 2 {
			list = append(list, newReport(domain.TypeJobProgress, job, fmt.Sprintf(`,"percent":%d,"message":%q`, i*100/size, strings.Repeat("x", message))))
		}
		if !p.batch(ctx, append(list, newReport(domain.TypeJobCompleted, job, ``))) {
			return
		}
	}
}

// reportNotes reports changes of notes of an application's own, which have no event_id: a repetition is another event.
func (p *producer) reportNotes(ctx context.Context) {
	for ctx.Err() == nil {
		s := subject{newID(), []string{"created", "updated", "deleted"}[p.rng.IntN(3)]}
		p.books.owns(s.note)
		body := fmt.Sprintf(`{"operation":%q,"note_id":%q,"title":"of elsewhere","tags":["a"]}`, s.operation, s.note)
		if _, ok := p.insist(ctx, http.StatusAccepted, "/api/v1/note-events", jsonType, body); ok {
			p.books.promiseNote(s)
		}
		pause(ctx, random(p.rng, pace))
	}
}
