package soak_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/matric/matric-events/domain"
)

// noteBook is what became of a note.
type noteBook struct {
	titles   []string // that were committed
	open     string   // a title of which nobody knows whether it was committed
	openJob  int      // jobs of which nobody knows
	jobs     int      // that were committed
	deleted  bool
	unsure   bool // whether it is deleted
	openText bool // the open title came with a new content
}

// hostBooks are what the writers of notes know.
type hostBooks struct {
	mu      sync.Mutex // guards all below
	notes   map[domain.UUID]*noteBook
	created map[string]bool // titles of notes that may be or not be there, true with content
	jobs    map[domain.UUID]bool
	writes  int
}

func newHostBooks() *hostBooks {
	return &hostBooks{notes: map[domain.UUID]*noteBook{}, created: map[string]bool{}, jobs: map[domain.UUID]bool{}}
}

// writer is a user of the built-in host.
type writer struct {
	*producer
	host *hostBooks
	mine []domain.UUID
	n    int
}

// writeNotes makes, changes and deletes notes until ctx ends. A note of which it does not know what became is left alone,
// so that what the database has in the end tells.
func (w *writer) writeNotes(ctx context.Context) {
	const most = 20
	for ctx.Err() == nil {
		w.n++
		switch draw := w.rng.IntN(10); {
		case len(w.mine) < 3 || draw < 4 && len(w.mine) < most:
			w.create()
		case draw < 5:
			w.change(false)
		case draw < 7:
			w.change(true)
		case draw < 8:
			w.enqueue()
		default:
			w.delete()
		}
		pause(ctx, random(w.rng, 3*pace))
	}
}

// write sends a request once. known is false when nobody can tell whether it was carried out.
func (w *writer) write(want int, method, path, body string) (answer []byte, done, known bool) {
	status, answer := w.hub.call(w.client, method, path, jsonType, body)
	switch status {
	case want:
		w.host.mu.Lock()
		w.host.writes++
		w.host.mu.Unlock()
		return answer, true, true
	case 0, http.StatusServiceUnavailable:
		return nil, false, false
	}
	w.ledger.breach(pAnswers, "%s: %s %s = %d %s", w.name, method, path, status, answer)
	return nil, false, false
}

func (w *writer) title() string { return fmt.Sprintf("%s %d", w.name, w.n) }

func (w *writer) content() string {
	return fmt.Sprintf("See [[%s %d]]. %s", w.name, w.n%7, strings.Repeat("word ", w.rng.IntN(40)))
}

func (w *writer) create() {
	title, jobs, body := w.title(), 0, ""
	if w.rng.IntN(8) > 0 {
		jobs, body = 1, fmt.Sprintf(`{"title":%q,"content":%q}`, title, w.content())
	} else {
		body = fmt.Sprintf(`{"title":%q}`, title)
	}
	answer, done, _ := w.write(http.StatusCreated, http.MethodPost, "/api/v1/notes", body)
	var made struct{ ID domain.UUID }
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	if !done || json.Unmarshal(answer, &made) != nil {
		w.host.created[title] = jobs == 1
		return
	}
	w.host.notes[made.ID] = &noteBook{jobs: jobs}
	w.mine = append(w.mine, made.ID)
}

// pick chooses a note, and returns its book. forget leaves it alone from now on.
func (w *writer) pick() (id domain.UUID, book *noteBook, forget func()) {
	i := w.rng.IntN(len(w.mine))
	id = w.mine[i]
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	return id, w.host.notes[id], func() { w.mine = append(w.mine[:i], w.mine[i+1:]...) }
}

func (w *writer) change(content bool) {
	id, book, forget := w.pick()
	title, body := w.title(), ""
	if content {
		body = fmt.Sprintf(`{"title":%q,"content":%q}`, title, w.content()+title)
	} else {
		body = fmt.Sprintf(`{"title":%q}`, title)
	}
	_, done, _ := w.write(http.StatusOK, http.MethodPatch, "/api/v1/notes/"+id.String(), body)
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	if !done {
		book.open, book.openText = title, content
		forget()
		return
	}
	book.titles = append(book.titles, title)
	if content {
		book.jobs++
	}
}

func (w *writer) enqueue() {
	id, book, forget := w.pick()
	answer, done, _ := w.write(http.StatusCreated, http.MethodPost, "/api/v1/jobs", fmt.Sprintf(`{"job_type":"NoteAnalysis","note_id":%q}`, id))
	var made struct{ ID domain.UUID }
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	if !done || json.Unmarshal(answer, &made) != nil {
		book.openJob++
		forget()
		return
	}
	book.jobs++
	w.host.jobs[made.ID] = true
}

func (w *writer) delete() {
	id, book, forget := w.pick()
	_, done, _ := w.write(http.StatusNoContent, http.MethodDelete, "/api/v1/notes/"+id.String(), "")
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	book.deleted, book.unsure = done, !done
	forget()
}

// mentions is how often each thing was told of a note.
type mentions struct {
	created, deleted, queued int
	titles                   map[string]int
}

// audit holds what the database has, and what was told, against each other. Everything has come to rest.
func (b *hostBooks) audit(stored map[domain.UUID]string, facts *books, l *ledger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	facts.mu.Lock()
	defer facts.mu.Unlock()
	told, byTitle := tally(facts)
	titles := map[string]domain.UUID{}
	for id, title := range stored {
		titles[title] = id
	}
	for title, content := range b.created {
		id, there := titles[title]
		switch {
		case there && b.notes[id] == nil:
			b.notes[id] = &noteBook{}
			if content {
				b.notes[id].jobs = 1
			}
		case !there && byTitle[title] > 0:
			l.breach(pAtomic, "the note %q was not stored, and was told of", title)
		}
	}
	clear(b.created)
	open := 0
	for id, n := range b.notes {
		if n.open != "" || n.unsure || n.openJob > 0 {
			open++
		}
		title, there := stored[id]
		n.audit(id, title, there, told[id], l)
	}
	for id := range stored {
		if b.notes[id] == nil {
			l.breach(pAtomic, "note %s is stored, and nobody made it", id)
		}
	}
	l.count(pAtomic, "%d notes after %d writes, %d of them left open by a fault and found whole", len(b.notes), b.writes, open)
	b.auditJobs(facts, l)
}

func tally(facts *books) (told map[domain.UUID]*mentions, created map[string]int) {
	told, created = map[domain.UUID]*mentions{}, map[string]int{}
	for _, f := range facts.facts {
		if !facts.hosts(&f) || f.note.IsZero() {
			continue
		}
		if told[f.note] == nil {
			told[f.note] = &mentions{titles: map[string]int{}}
		}
		of := told[f.note]
		switch {
		case f.kind == domain.TypeJobQueued:
			of.queued++
		case f.operation == "created":
			of.created++
			created[f.title]++
		case f.operation == "updated":
			of.titles[f.title]++
		case f.operation == "deleted":
			of.deleted++
		}
	}
	return told, created
}

func (n *noteBook) audit(id domain.UUID, title string, there bool, t *mentions, l *ledger) {
	if t == nil {
		t = &mentions{}
	}
	if n.unsure {
		n.deleted, n.unsure = !there, false
	}
	if n.open != "" && !n.deleted {
		if title == n.open {
			n.titles = append(n.titles, n.open)
			if n.openText {
				n.jobs++
			}
		} else if t.titles[n.open] > 0 {
			l.breach(pAtomic, "note %s: the title %q was not stored, and was told of", id, n.open)
		}
		n.open = ""
	}
	if n.deleted == there {
		l.breach(pAtomic, "note %s: deleted is %v, stored is %v", id, n.deleted, there)
	}
	if t.created != 1 {
		l.breach(pAtomic, "note %s: its creation was told under %d IDs", id, t.created)
	}
	if want := map[bool]int{true: 1}[n.deleted]; t.deleted != want {
		l.breach(pAtomic, "note %s: its deletion was told under %d IDs; want %d", id, t.deleted, want)
	}
	for _, title := range n.titles {
		if t.titles[title] == 0 {
			l.breach(pAtomic, "note %s: the title %q is committed, and was never told", id, title)
		}
	}
	if t.queued < n.jobs || t.queued > n.jobs+n.openJob {
		l.breach(pAtomic, "note %s: %d jobs were told of; %d are committed, %d open", id, t.queued, n.jobs, n.openJob)
	}
}

// auditJobs wants each job of the host to have been queued once and to have ended once.
func (b *hostBooks) auditJobs(facts *books, l *ledger) {
	type ends struct{ queued, ended, attempts int }
	jobs := map[domain.UUID]*ends{}
	for _, f := range facts.facts {
		if f.job.IsZero() || !facts.hosts(&f) {
			continue
		}
		if jobs[f.job] == nil {
			jobs[f.job] = &ends{}
		}
		switch {
		case f.kind == domain.TypeJobQueued:
			jobs[f.job].queued++
		case f.kind == domain.TypeJobStarted:
			jobs[f.job].attempts++
		case f.terminal():
			jobs[f.job].ended++
		}
	}
	again := 0
	for id, j := range jobs {
		if j.queued != 1 || j.ended != 1 {
			l.breach(pJobs, "job %s: queued under %d IDs, ended under %d", id, j.queued, j.ended)
		}
		if j.attempts > 1 {
			again++
		}
	}
	for id := range b.jobs {
		if jobs[id] == nil {
			l.breach(pJobs, "job %s was acknowledged, and never told of", id)
		}
	}
	l.count(pJobs, "%d jobs, %d of them in more than one attempt", len(jobs), again)
}

// settleTime is how long anything may take to come to rest once faults and load have ended.
const settleTime = 60 * time.Second
