package capture

import (
	"fmt"
	"strings"
)

// The transitions below are expressions on c.was and c.became, the meanings of a job's status before and after, which are
// NULL for a row that is not there and for a value that means nothing. They return the types of events, with commas.
const (
	waits     = "c.became IN ('q', 'w')"
	waited    = "c.was IN ('q', 'w')"
	lastTypes = "CASE c.became WHEN 'c' THEN 'JobCompleted' ELSE 'JobFailed' END"
)

// live is true for a job that has not ended: what it does next is told. otherwise is when a failed one is tried again.
func live(retried string) string {
	return "(c.was IS NULL OR c.was IN ('q', 'w', 'r') OR c.was = 'f' AND " + retried + ")"
}

// changed returns the types for a row that was changed, or came to be: then c.was is NULL. moved is true when its progress
// was, begun when that is to be told at the start, too, and retried when it had failed and was to be tried again. The last
// progress comes before the end. After its end a job tells nothing until it waits, or runs, again.
func changed(moved, begun, retried string) string {
	return fmt.Sprintf(`CASE
WHEN c.became = c.was THEN CASE WHEN c.became = 'r' AND %[1]s THEN 'JobProgress' END
WHEN %[2]s THEN CASE WHEN c.was = 'r' THEN 'JobFailed' WHEN c.was IS NULL OR NOT %[3]s THEN 'JobQueued' END
WHEN c.became = 'r' THEN CASE WHEN %[4]s THEN '' ELSE 'JobQueued,' END || 'JobStarted' || CASE WHEN %[5]s THEN ',JobProgress' ELSE '' END
WHEN c.became IS NOT NULL AND %[4]s THEN CASE WHEN c.became <> 'x' AND %[1]s THEN 'JobProgress,' ELSE '' END || %[6]s
END`, moved, waits, waited, live(retried), begun, lastTypes)
}

// gone returns the types for a row that is there no more.
func (s *jobSource) gone() string {
	return "CASE WHEN c.was IN ('q', 'w', 'r') OR c.was = 'f' AND " + s.willRetry("OLD") + " THEN 'JobFailed' END"
}

// tells makes events of the job in a row.
func (s *jobSource) tells(schema, row, was, became, types string) *told {
	return &told{
		schema: schema, kind: "worker", body: s.body(schema, row), subject: s.uuid(schema, row),
		from: fmt.Sprintf("(SELECT %s AS was, %s AS became OFFSET 0) AS c, LATERAL unnest(string_to_array(%s, ',')) AS e (type)", was, became, types),
	}
}

// progressBody is the JSON of a JobProgress, on its own: this is what happens most often.
func (s *jobSource) progressBody(schema, row string) string {
	return strings.Replace(s.headBody(schema, row), "' || e.type || '", "JobProgress", 1) + " || " + s.progressed(row) + " || '}'"
}

// headBody is what all events begin with.
func (s *jobSource) headBody(schema, row string) string {
	b := `'{"type":"' || e.type || '","job_id":"' || ` + s.uuid(schema, row) + ` || '"'`
	if s.typ != nil {
		t := s.typ.text(row)
		name := fmt.Sprintf("CASE WHEN %s ~ '^[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*$' AND length(%[1]s) <= 100 THEN %[1]s ELSE %s.capture_job_type(%[1]s) END", t, quote(schema))
		b += " || " + optional("job_type", quoted(name))
	}
	if s.note != nil {
		b += " || " + optional("note_id", quoted(s.note.uuid(row, schema, s.noteSpace)))
	}
	return b
}

// body is the JSON of an event of type e.type.
func (s *jobSource) body(schema, row string) string {
	var rest strings.Builder
	for _, t := range []struct{ typ, members string }{
		{"JobQueued", s.queued(row)}, {"JobProgress", s.progressed(row)}, {"JobCompleted", s.completed(row)}, {"JobFailed", s.failed(row)},
	} {
		if t.members != "" {
			fmt.Fprintf(&rest, " WHEN '%s' THEN %s", t.typ, t.members)
		}
	}
	return s.headBody(schema, row) + " || CASE e.type" + rest.String() + " ELSE '' END || '}'"
}

func (s *jobSource) uuid(schema, row string) string {
	return s.id.uuid(row, schema, s.table.String())
}

func (s *jobSource) queued(row string) string {
	if s.priority == nil {
		return ""
	}
	value := s.priority.of(row)
	if s.priority.kind != kindInt {
		value = fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN least(2e9, greatest(-2e9, %s))::bigint END", value, s.priority.float(row))
	}
	return optional("priority", value)
}

func (s *jobSource) progressed(row string) string {
	if s.progress == nil {
		return ""
	}
	b := `',"percent":' || ` + s.progress.percent(row, s.ProgressMax)
	if s.message != nil {
		b += " || " + optional("message", jsonText("nullif("+s.message.text(row)+", '')", maxText))
	}
	return b
}

func (s *jobSource) completed(row string) string {
	if s.began == nil || s.ended == nil {
		return ""
	}
	began, ended := s.began.of(row)+"::timestamptz", s.ended.of(row)+"::timestamptz"
	return optional("duration_ms", fmt.Sprintf("CASE WHEN isfinite(%s) AND isfinite(%s) THEN greatest(0, floor(extract(epoch FROM %[2]s - %[1]s) * 1000))::bigint END", began, ended))
}

// failed tells of the end of an attempt, or of a job that is gone or was canceled.
func (s *jobSource) failed(row string) string {
	text := "CASE c.became WHEN 'f' THEN 'failed' ELSE 'interrupted' END"
	if s.error != nil {
		text = fmt.Sprintf("coalesce(nullif(%s, ''), %s)", s.error.text(row), text)
	}
	return fmt.Sprintf(`',"error":' || %s || ',"will_retry":' || (CASE WHEN %s THEN true WHEN c.became = 'f' THEN %s ELSE false END)`,
		jsonText("CASE WHEN c.became IN ('q', 'w', 'f') THEN "+text+" ELSE 'canceled' END", maxText), waits, s.willRetry(row))
}

// moved is true when the progress of two rows differs and there is one to tell.
func (s *jobSource) moved(from, to string) string {
	if s.progress == nil {
		return "false"
	}
	return fmt.Sprintf("%s IS NOT NULL AND (%s)", s.progress.of(to), changedAny(from, to, s.progress, s.message))
}

// begun is true when there is progress to tell at the start.
func (s *jobSource) begun(row string) string {
	if s.progress == nil {
		return "false"
	}
	return "coalesce(" + s.progress.float(row) + " > 0, false)"
}

// deltas is a query for how the counts change.
func deltas(was, became string) string {
	return fmt.Sprintf(`SELECT coalesce((c.became IN ('q', 'w'))::int, 0) - coalesce((c.was IN ('q', 'w'))::int, 0) AS waiting, coalesce((c.became = 'r')::int, 0) - coalesce((c.was = 'r')::int, 0) AS working FROM (SELECT %s AS was, %s AS became OFFSET 0) AS c`, was, became)
}

const none = "NULL::text"

// functions returns the trigger functions of the table of jobs, by the operation that they are for.
func (s *jobSource) functions(schema, capture string) map[string]*function {
	was, became := s.class("OLD"), s.class("NEW")
	same := func(c *column) string { return "NOT (" + c.changed("OLD", "NEW") + ")" }
	came := s.tells(schema, "NEW", none, became, changed("false", s.begun("NEW"), "true"))
	left := s.tells(schema, "OLD", was, none, s.gone())
	computes := map[string][]branch{
		"insert": {{tells: []*told{came}, deltas: deltas(none, became)}},
		"delete": {{tells: []*told{left}, deltas: deltas(was, none)}},
		"update": append(s.progresses(schema, same),
			branch{when: same(s.id), tells: []*told{s.tells(schema, "NEW", was, became, changed(s.moved("OLD", "NEW"), s.moved("OLD", "NEW")+" AND "+s.begun("NEW"), s.willRetry("OLD")))}, deltas: deltas(was, became)},
			branch{tells: []*told{left, came}, deltas: deltas(was, became)}),
	}
	if s.table.relkind == "p" {
		computes["insert"], computes["delete"] = s.arrival(schema, came), s.departure(schema, left)
	}
	out := map[string]*function{}
	for op, branches := range computes {
		out[op] = &function{schema: schema, name: functionName(capture, "job_"+op), capture: capture, branches: branches}
	}
	return out
}

// progresses are the branches of an UPDATE that leaves key and status as they are. The first has the events.
func (s *jobSource) progresses(schema string, same func(*column) string) []branch {
	unchanged := same(s.id) + " AND " + same(s.status)
	if s.progress == nil {
		return []branch{{when: unchanged}}
	}
	return []branch{
		{
			when:  unchanged + " AND " + s.class("NEW") + " = 'r' AND " + s.moved("OLD", "NEW"),
			tells: []*told{{schema: schema, kind: "worker", body: s.progressBody(schema, "NEW"), subject: s.uuid(schema, "NEW")}},
		},
		{when: unchanged},
	}
}

// columns returns the columns whose change may be an event.
func (s *jobSource) columns() []*column {
	return []*column{s.id, s.status, s.progress, s.message}
}

// An UPDATE that moves a row to another partition is to triggers a DELETE and an INSERT. departure sees that the row is
// still there, tells nothing and leaves a word for arrival.
func (s *jobSource) departure(schema string, left *told) []branch {
	was := s.class("OLD")
	return []branch{
		{tells: []*told{left}, deltas: deltas(was, none), when: fmt.Sprintf("NOT EXISTS (SELECT FROM %s AS t WHERE %s = %s)", s.table.sql(), s.id.of("t"), s.id.of("OLD"))},
		{deltas: deltas(was, none), after: "told := set_config('matric_events.moved', " + s.uuid(schema, "OLD") + " || coalesce(" + was + ", '-'), true);\n"},
	}
}

// arrival tells the difference; of the row as it was, only the meaning of its status is known.
func (s *jobSource) arrival(schema string, came *told) []branch {
	begun := s.begun("NEW")
	moved := s.tells(schema, "NEW", "nullif(right(current_setting('matric_events.moved', true), 1), '-')", s.class("NEW"), changed(begun, begun, s.willRetry("NEW")))
	return []branch{
		{
			when:  "left(current_setting('matric_events.moved', true), 36) = " + s.uuid(schema, "NEW"),
			tells: []*told{moved}, deltas: deltas(none, s.class("NEW")), after: "told := set_config('matric_events.moved', '', true);\n",
		},
		{tells: []*told{came}, deltas: deltas(none, s.class("NEW"))},
	}
}
