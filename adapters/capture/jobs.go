package capture

import "fmt"

// jobHead is what the bodies of all events about the job in a row have, up to what is their own.
func (s *jobSource) jobHead(schema, row, kind string) string {
	b := head(fmt.Sprintf(`"type":"%s",`, kind)) + ` || ',"job_id":"' || ` + s.uuid(schema, row) + ` || '"'`
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

func (s *jobSource) uuid(schema, row string) string {
	return s.id.uuid(row, schema, s.table.String())
}

// push is the statement that appends a body.
func push(body string) string { return "bodies := array_append(bodies, " + body + " || '}');\n" }

func (s *jobSource) queued(schema, row string) string {
	b := s.jobHead(schema, row, "JobQueued")
	if s.priority != nil {
		value := s.priority.of(row)
		if s.priority.kind != kindInt {
			value = fmt.Sprintf("least(2e9, greatest(-2e9, %s))::bigint", s.priority.float(row))
		}
		b += " || " + optional("priority", value+"::text")
	}
	return push(b)
}

func (s *jobSource) started(schema, row string) string {
	return push(s.jobHead(schema, row, "JobStarted"))
}

func (s *jobSource) progressed(schema, row string) string {
	if s.progress == nil {
		return "NULL;\n"
	}
	b := s.jobHead(schema, row, "JobProgress") + " || " + `',"percent":' || ` + s.progress.percent(row, s.ProgressMax)
	if s.message != nil {
		b += " || " + optional("message", jsonText("nullif("+s.message.text(row)+", '')", maxText))
	}
	return push(b)
}

func (s *jobSource) completed(schema, row string) string {
	b := s.jobHead(schema, row, "JobCompleted")
	if s.began != nil && s.ended != nil {
		began, ended := s.began.of(row)+"::timestamptz", s.ended.of(row)+"::timestamptz"
		took := fmt.Sprintf("CASE WHEN isfinite(%s) AND isfinite(%s) THEN greatest(0, floor(extract(epoch FROM %[2]s - %[1]s) * 1000))::bigint::text END", began, ended)
		b += " || " + optional("duration_ms", took)
	}
	return push(b)
}

// failed tells of an attempt that failed. Both are expressions; otherwise stands for an error that is not said.
func (s *jobSource) failed(schema, row, otherwise, willRetry string) string {
	text := literal(otherwise)
	if s.error != nil {
		text = fmt.Sprintf("coalesce(nullif(%s, ''), %s)", s.error.text(row), text)
	}
	return push(s.jobHead(schema, row, "JobFailed") + ` || ',"error":' || ` + jsonText(text, maxText) + ` || ',"will_retry":' || (` + willRetry + `)`)
}

func (s *jobSource) canceled(schema, row string) string {
	return push(s.jobHead(schema, row, "JobFailed") + ` || ',"error":"canceled","will_retry":false'`)
}

// moved is true when the progress of two rows differs and there is one to tell.
func (s *jobSource) moved(from, to string) string {
	if s.progress == nil {
		return "false"
	}
	return fmt.Sprintf("%s IS NOT NULL AND (%s)", s.progress.of(to), changedAny(from, to, s.progress, s.message))
}

// came is what a row tells that was not there before.
func (s *jobSource) came(schema string) string {
	begun := "false"
	if s.progress != nil {
		begun = s.progress.float("NEW") + " > 0"
	}
	return `CASE became
WHEN 'q', 'w' THEN
` + indent(1, s.queued(schema, "NEW")) + `WHEN 'r' THEN
` + indent(1, s.started(schema, "NEW")+"IF "+begun+" THEN\n"+indent(1, s.progressed(schema, "NEW"))+"END IF;\n") + `WHEN 'c' THEN
` + indent(1, s.completed(schema, "NEW")) + `WHEN 'f' THEN
` + indent(1, s.failed(schema, "NEW", "failed", s.willRetry("NEW"))) + `WHEN 'x' THEN
` + indent(1, s.canceled(schema, "NEW")) + `ELSE
END CASE;
`
}

// gone is what a row tells that is there no more.
func (s *jobSource) gone(schema string) string {
	return "IF was IN ('q', 'w', 'r') OR was = 'f' AND " + s.willRetry("OLD") + " THEN\n" + indent(1, s.canceled(schema, "OLD")) + "END IF;\n"
}

// changed is what a row tells that was changed. The last progress comes before the end. After its end a job tells nothing
// until it waits, or runs, again.
func (s *jobSource) changed(schema string) string {
	progress := "IF " + s.moved("OLD", "NEW") + " THEN\n" + indent(1, s.progressed(schema, "NEW")) + "END IF;\n"
	begun := progress
	if s.progress != nil {
		begun = "IF " + s.moved("OLD", "NEW") + " AND " + s.progress.float("NEW") + " > 0 THEN\n" + indent(1, s.progressed(schema, "NEW")) + "END IF;\n"
	}
	return `IF became = was THEN
	IF became = 'r' THEN
` + indent(2, progress) + `	END IF;
ELSIF became IN ('q', 'w') THEN
	IF was = 'r' THEN
` + indent(2, s.failed(schema, "NEW", "interrupted", "true")) + `	ELSIF was IS NULL OR was NOT IN ('q', 'w') THEN
` + indent(2, s.queued(schema, "NEW")) + `	END IF;
ELSIF became = 'r' THEN
	IF was IN ('c', 'x') OR was = 'f' AND NOT ` + s.willRetry("OLD") + ` THEN
` + indent(2, s.queued(schema, "NEW")) + `	END IF;
` + indent(1, s.started(schema, "NEW")+begun) + `ELSIF became IS NOT NULL AND (was IS NULL OR was IN ('q', 'w', 'r') OR was = 'f' AND ` + s.willRetry("OLD") + `) THEN
	IF became <> 'x' THEN
` + indent(2, progress) + `	END IF;
	CASE became
	WHEN 'c' THEN
` + indent(2, s.completed(schema, "NEW")) + `	WHEN 'f' THEN
` + indent(2, s.failed(schema, "NEW", "failed", s.willRetry("NEW"))) + `	ELSE
` + indent(2, s.canceled(schema, "NEW")) + `	END CASE;
END IF;
`
}

// count sets the deltas.
const count = `pending := coalesce((became IN ('q', 'w'))::int, 0) - coalesce((was IN ('q', 'w'))::int, 0);
running := coalesce((became = 'r')::int, 0) - coalesce((was = 'r')::int, 0);
`

// functions returns the trigger functions of the table of jobs, by the operation that they are for.
func (s *jobSource) functions(schema, capture string) map[string]*function {
	was, became := "was := "+s.class("OLD")+";\n", "became := "+s.class("NEW")+";\n"
	anew := s.id.changed("OLD", "NEW")
	update := was + became + "IF " + anew + " THEN\n" + indent(1, s.gone(schema)+s.came(schema)) + "ELSE\n" + indent(1, s.changed(schema)) + "END IF;\n" + "IF became IS DISTINCT FROM was THEN\n" + indent(1, count) + "END IF;\n"
	insert, remove := became+s.came(schema)+count, was+s.gone(schema)+count
	if s.table.relkind == "p" {
		insert, remove = s.arrival(schema), s.departure(schema)
	}
	computes := map[string]string{"insert": insert, "update": update, "delete": remove}
	out := map[string]*function{}
	for op, compute := range computes {
		row := "NEW"
		if op == "delete" {
			row = "OLD"
		}
		out[op] = &function{
			schema: schema, name: functionName(capture, "job_"+op), capture: capture, kind: "worker", subject: s.uuid(schema, row),
			declare: "was text;\nbecame text;\n", compute: compute, deltas: true,
		}
	}
	return out
}

// columns returns the columns whose change may be an event.
func (s *jobSource) columns() []*column {
	return []*column{s.id, s.status, s.progress, s.message}
}

// An UPDATE that moves a row to another partition is to triggers a DELETE and an INSERT. departure sees that the row is
// still there, tells nothing and leaves a note for arrival.
func (s *jobSource) departure(schema string) string {
	return "was := " + s.class("OLD") + ";\n" + fmt.Sprintf("IF EXISTS (SELECT FROM %s AS t WHERE %s = %s) THEN\n", s.table.sql(), s.id.of("t"), s.id.of("OLD")) +
		"\tbody := set_config('matric_events.moved', " + s.uuid(schema, "OLD") + " || coalesce(was, '-'), true);\n" +
		"ELSE\n" + indent(1, s.gone(schema)) + "END IF;\n" + count
}

func (s *jobSource) arrival(schema string) string {
	return "became := " + s.class("NEW") + ";\nbody := current_setting('matric_events.moved', true);\n" +
		"IF left(body, 36) = " + s.uuid(schema, "NEW") + " THEN\n" +
		"\twas := nullif(right(body, 1), '-');\n\tbody := set_config('matric_events.moved', '', true);\n" +
		indent(1, s.changedFrom(schema)) +
		"\twas := NULL;\nELSE\n" + indent(1, s.came(schema)) + "END IF;\n" + count
}

// changedFrom is changed without the old row, of which only what it was is known: the progress of a row that moves while
// it runs is told again.
func (s *jobSource) changedFrom(schema string) string {
	begun := "false"
	if s.progress != nil {
		begun = s.progress.of("NEW") + " IS NOT NULL"
	}
	return `IF became = was THEN
	IF became = 'r' AND ` + begun + ` THEN
` + indent(2, s.progressed(schema, "NEW")) + `	END IF;
ELSIF became IN ('q', 'w') AND was = 'r' THEN
` + indent(1, s.failed(schema, "NEW", "interrupted", "true")) + `ELSIF became IN ('q', 'w') AND was IN ('q', 'w') THEN
ELSIF became IN ('c', 'f') AND was = 'r' AND ` + begun + ` THEN
` + indent(1, s.progressed(schema, "NEW")+s.came(schema)) + `ELSIF became IN ('c', 'f', 'x') AND was IN ('c', 'x') THEN
ELSE
	IF became = 'r' AND was IN ('c', 'x', 'f') THEN
` + indent(2, s.queued(schema, "NEW")) + `	END IF;
` + indent(1, s.came(schema)) + `END IF;
`
}
