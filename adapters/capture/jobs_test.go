package capture

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

// step is what one transaction does, and what clients hear of it.
type step struct {
	name string
	do   []string
	want []string
}

func (r *rig) steps(steps []step) {
	r.t.Helper()
	for _, s := range steps {
		r.do(s.do...)
		if d := cmp.Diff(s.want, r.events()); d != "" {
			r.t.Errorf("%s (-want +got):\n%s", s.name, d)
		}
		if f := r.faults(); len(f) > 0 {
			r.t.Fatalf("%s: faults %v", s.name, f)
		}
	}
}

func TestJobsOfMatric(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	r.attach("preset: matric")
	r.exec(`INSERT INTO note (id, title) VALUES (` + id(9) + `, 'n')`)
	r.events()
	set := func(values string) string { return "UPDATE job_queue SET " + values + " WHERE id = " + id(1) }
	r.steps([]step{
		{"a job that waits", []string{`INSERT INTO job_queue (id, note_id, job_type) VALUES (` + id(1) + `, ` + id(9) + `, 'ai_revision')`}, []string{"JobQueued 0001 AiRevision note 0009"}},
		{"a column that is not mapped", []string{set("heartbeat_at = now()")}, nil},
		{"the same value again", []string{set("status = 'pending', job_type = job_type")}, nil},
		{"it starts", []string{set("status = 'processing', started_at = '2026-01-01 12:00:00+00', progress_percent = 0")}, []string{"JobStarted 0001 AiRevision note 0009"}},
		{"another value of the same meaning", []string{set("status = 'running'")}, nil},
		{"progress", []string{set("progress_percent = 40, progress_message = 'half \"way\"'")}, []string{`JobProgress 0001 AiRevision note 0009 40% half "way"`}},
		{"a message alone", []string{set("progress_message = 'more'")}, []string{"JobProgress 0001 AiRevision note 0009 40% more"}},
		{"progress beyond bounds", []string{set("progress_percent = 250")}, []string{"JobProgress 0001 AiRevision note 0009 100% more"}},
		{"an attempt fails", []string{set("status = 'pending', error_message = 'boom', retry_count = 1, progress_percent = NULL, started_at = NULL")}, []string{`JobFailed 0001 AiRevision note 0009 "boom" again`}},
		{"another one starts", []string{set("status = 'running', started_at = '2026-01-01 12:00:00+00'")}, []string{"JobStarted 0001 AiRevision note 0009"}},
		{"last progress and end in one", []string{set("status = 'completed', progress_percent = 100, completed_at = '2026-01-01 12:00:01.5+00'")}, []string{
			"JobProgress 0001 AiRevision note 0009 100% more", "JobCompleted 0001 AiRevision note 0009 in 1500ms",
		}},
		{"after the end", []string{set("status = 'failed'"), set("progress_percent = 3")}, nil},
		{"deleted after the end", []string{"DELETE FROM job_queue WHERE retry_count = 3"}, nil},
		{"run once more", []string{set("status = 'pending', retry_count = 3")}, []string{"JobQueued 0001 AiRevision note 0009"}},
		{"canceled", []string{set("status = 'cancelled'")}, []string{`JobFailed 0001 AiRevision note 0009 "canceled"`}},
		{"started without waiting", []string{set("status = 'running', progress_percent = 5")}, []string{"JobQueued 0001 AiRevision note 0009", "JobStarted 0001 AiRevision note 0009", "JobProgress 0001 AiRevision note 0009 5% more"}},
		{"fails for good", []string{set("status = 'failed', error_message = NULL")}, []string{`JobFailed 0001 AiRevision note 0009 "failed"`}},
		{"its note goes, and with it a job that waits", []string{
			`INSERT INTO job_queue (id, note_id, job_type) VALUES (` + id(2) + `, ` + id(9) + `, 'EMBEDDING')`, "DELETE FROM note",
		}, []string{"JobQueued 0002 EMBEDDING note 0009", "deleted 0009 \"n\"", `JobFailed 0002 EMBEDDING note 0009 "canceled"`}},
	})
}

func TestJobsBornLate(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	r.attach("preset: matric\nnotes: false")
	insert := func(n int, columns, values string) string {
		return `INSERT INTO job_queue (id, job_type, ` + columns + `) VALUES (` + id(n) + `, 'x', ` + values + `)`
	}
	r.steps([]step{
		{"running", []string{insert(1, "status, progress_percent", "'running', 30")}, []string{"JobStarted 0001 X", "JobProgress 0001 X 30%"}},
		{"completed", []string{insert(2, "status", "'completed'")}, []string{"JobCompleted 0002 X"}},
		{"failed, to be tried again", []string{insert(3, "status, retry_count, error_message", "'failed', 1, 'e'")}, []string{`JobFailed 0003 X "e" again`}},
		{"and deleted", []string{"DELETE FROM job_queue WHERE id IN (" + id(2) + "," + id(3) + ")"}, []string{`JobFailed 0003 X "canceled"`}},
		{"another key", []string{"UPDATE job_queue SET id = " + id(4)}, []string{`JobFailed 0001 X "canceled"`, "JobStarted 0004 X", "JobProgress 0004 X 30%"}},
		{"on conflict", []string{insert(4, "status", "'pending'") + " ON CONFLICT (id) DO UPDATE SET status = 'completed'"}, []string{"JobCompleted 0004 X"}},
	})
}

func TestOnlyWhatCommits(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	r.attach("preset: matric\nnotes: false")
	insert := func(n int) string { return `INSERT INTO job_queue (id, job_type) VALUES (` + id(n) + `, 'x')` }
	r.steps([]step{
		{
			"a savepoint that is rolled back",
			[]string{insert(1), "SAVEPOINT a", insert(2), "ROLLBACK TO a", insert(3), "SAVEPOINT b", insert(4), "RELEASE b"},
			[]string{"JobQueued 0001 X", "JobQueued 0003 X", "JobQueued 0004 X"},
		},
		{"a transaction that is rolled back", []string{insert(5), "ROLLBACK", "BEGIN", insert(6)}, []string{"JobQueued 0006 X"}},
		{"a statement of many rows", []string{"UPDATE job_queue SET status = 'running' WHERE id <= " + id(3)}, []string{"JobStarted 0001 X", "JobStarted 0003 X"}},
		{"a function that catches its own error", []string{`DO $$ BEGIN INSERT INTO job_queue (job_type) VALUES ('lost'); RAISE 'x'; EXCEPTION WHEN OTHERS THEN NULL; END $$`}, nil},
		{"TRUNCATE", []string{"DELETE FROM job_queue WHERE status = 'pending'", "UPDATE job_queue SET status = 'completed' WHERE id = " + id(3)}, []string{
			`JobFailed 0004 X "canceled"`, `JobFailed 0006 X "canceled"`, "JobCompleted 0003 X",
		}},
	})
	r.exec("TRUNCATE job_queue")
	if d := cmp.Diff([]string{`JobFailed 0001 X "canceled"`}, r.events()); d != "" {
		t.Errorf("TRUNCATE (-want +got):\n%s", d)
	}
}

// Beyond some rows a transaction's records are no longer guarded one by one, and beyond more they stand behind those of
// others. What is told is the same.
func TestManyRows(t *testing.T) {
	t.Parallel()
	r := newRig(t, matricSchema)
	r.attach("preset: matric\nnotes: false")
	r.exec(`INSERT INTO job_queue (id, job_type) SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'x' FROM generate_series(1, 2000) AS n`)
	if got := r.events(); len(got) != 2000 || got[0] != "JobQueued 0001 X" || got[1999] != "JobQueued 2000 X" {
		t.Errorf("INSERT: %d events, %v…", len(got), got[:min(3, len(got))])
	}
	r.exec(`UPDATE job_queue SET status = 'completed', progress_percent = 100`)
	var burst int
	if err := r.hub.QueryRow(`SELECT count(*) FROM outbox WHERE position > $1 AND subject::text = body::json ->> 'job_id'`, int64(burstPosition)).Scan(&burst); err != nil || burst < 4000-2*burstRows || burst > 4000-burstRows {
		t.Errorf("%d of 4000 records stand behind others, with their subject (%v)", burst, err)
	}
	counts := map[string]int{}
	order := map[string]string{}
	for _, e := range r.events() {
		kind, rest, _ := strings.Cut(e, " ")
		counts[kind]++
		order[rest[:4]] += kind
	}
	for id, kinds := range order {
		if kinds != "JobProgressJobCompleted" {
			t.Errorf("job %s: %s", id, kinds)
		}
	}
	if counts["JobProgress"] != 2000 || counts["JobCompleted"] != 2000 {
		t.Errorf("UPDATE: %v", counts)
	}
	r.exec(`DELETE FROM job_queue`)
	if got, f := r.events(), r.faults(); len(got)+len(f) > 0 {
		t.Errorf("DELETE of finished jobs: %d events, faults %v", len(got), f)
	}
	counter := NewCounter(r.hub, func(kind string, err error) { t.Error(kind, err) })
	if err := counter.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := counter.CountJobs(t.Context()); err != nil || n != (domain.QueueStatus{}) {
		t.Errorf("counts %+v, %v; want none", n, err)
	}
}
