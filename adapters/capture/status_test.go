package capture

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever somebody does to what was attached, status says what is wrong; to attach again mends it.
func TestStatusTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	r := newRig(t, `CREATE TABLE task (id int PRIMARY KEY, state text, kind text, progress int)`)
	const source = "jobs: {table: task, id: id, status: state, type: kind, progress: progress, states: {queued: new, failed: bad}}"
	const stranger = `CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`
	for _, tc := range []struct {
		why, undone string
		does        []string
		want        []string // what the faults begin with
	}{
		{"a function that is not ours", "", []string{`CREATE OR REPLACE FUNCTION matric_events.capture_default_job_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`}, []string{
			"function capture_default_job_insert is not what the mapping asks for",
		}},
		{"a function that is gone", "", []string{`DROP FUNCTION matric_events.capture_default_job_delete() CASCADE`}, []string{
			"function capture_default_job_delete is missing", "trigger 00_matric_events_job_delete on public.task is missing: attach again",
		}},
		{"a trigger that is not ours", `DROP FUNCTION nothing() CASCADE`, []string{
			stranger, `DROP TRIGGER "00_matric_events_job_update" ON task`,
			`CREATE TRIGGER "00_matric_events_job_update" AFTER UPDATE ON task FOR EACH ROW EXECUTE FUNCTION nothing()`,
		}, []string{"trigger 00_matric_events_job_update on public.task is not ours"}},
		{"another version of the program", "", []string{`UPDATE matric_events.capture SET version = version - 1`}, []string{"the triggers are those of another version of the program; attach again"}},
		{"a mapping of a later version", "", []string{`UPDATE matric_events.capture SET mapping = 'pages: {table: page}'`}, []string{"the stored mapping cannot be read by this version of the program: mapping: "}},
		{"a column that is gone", `ALTER TABLE task ADD COLUMN progress int`, []string{`ALTER TABLE task DROP COLUMN progress CASCADE`}, []string{"jobs.progress: table public.task has no column progress"}},
	} {
		r.attach(source)
		r.do(tc.does...)
		faults := mustStatus(t, r).Captures[0].Faults
		for i, want := range tc.want {
			if i < len(faults) && strings.HasPrefix(faults[i], want) {
				faults[i] = want
			}
		}
		if d := cmp.Diff(tc.want, faults); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.why, d)
		}
		if tc.undone != "" {
			r.exec(tc.undone)
		}
		r.attach(source)
		if faults := mustStatus(t, r).Captures[0].Faults; len(faults) > 0 {
			t.Errorf("%s, attached again: %q", tc.why, faults)
		}
	}
}

// Tables that nothing can be captured of in silence: the hub's role would not see their rows, or what joins them does not fit.
func TestAttachRefusesWhatWouldBeMissed(t *testing.T) {
	t.Parallel()
	r := newRig(t, `CREATE TABLE memo (id uuid PRIMARY KEY, title text); CREATE TABLE label (memo text, name text); CREATE TABLE closed (memo uuid, name text);
		ALTER TABLE closed ENABLE ROW LEVEL SECURITY; CREATE SCHEMA hidden; CREATE TABLE hidden.memo (id uuid PRIMARY KEY)`)
	hub := r.login("capture_test_closed", true)
	r.exec(`GRANT USAGE ON SCHEMA matric_events TO capture_test_closed`)
	r.exec(`GRANT TRIGGER, SELECT ON memo, label, closed, hidden.memo TO capture_test_closed`)
	for source, want := range map[string]string{
		"notes: {table: memo, id: id, tags: {table: label, note: memo, tag: name}}":  "notes.tags.note: column memo of public.label is text, and the notes have uuid",
		"notes: {table: memo, id: id, tags: {table: closed, note: memo, tag: name}}": "notes.tags: row security of public.closed hides rows from the hub's role",
		"notes: {table: hidden.memo, id: id}":                                        `notes.table: no right to the schema of hidden.memo: GRANT USAGE ON SCHEMA "hidden"`,
		"notes: {table: memo, id: id, title: title->text}":                           "notes.title: column title of public.memo is text, and only JSON has keys",
	} {
		m, err := ParseMapping([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Check(t.Context(), hub, "default", m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", source, err, want)
		}
	}
	if m, err := ParseMapping([]byte("notes: {table: memo, id: id}")); err != nil {
		t.Error(err)
	} else if _, err := Check(t.Context(), hub, "Default", m); err == nil || !strings.Contains(err.Error(), "small letters") {
		t.Errorf("a name: %v", err)
	}
}
