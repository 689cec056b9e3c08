package capture

import (
	"fmt"
	"strings"
)

func (s *noteSource) uuid(schema, row string) string {
	return s.id.uuid(row, schema, s.table.String())
}

// gone is true for a row whose note is in the bin.
func (s *noteSource) gone(row string) string {
	if s.deleted == nil {
		return "false"
	}
	return s.deleted.flag(row)
}

// body is what an event about the note in a row says, all but its identifier, its time and the brace at the end. Operation
// is an expression.
func (s *noteSource) body(schema, row, operation string) string {
	b := `',"operation":"' || ` + operation + ` || '","note_id":"' || ` + s.uuid(schema, row) + ` || '"'`
	if s.user != nil {
		b += " || " + optional("user_id", jsonText("nullif("+s.user.text(row)+", '')", maxUser))
	}
	if s.title != nil {
		b += " || " + optional("title", jsonText("nullif("+s.title.text(row)+", '')", maxTitle))
	}
	if tags := s.tagList(row); tags != "" {
		b += ` || ',"tags":' || ` + fmt.Sprintf("%s.capture_tags(%s)", quote(schema), tags)
	}
	if s.ai != nil {
		b += " || CASE WHEN " + s.ai.flag(row) + ` THEN ',"has_ai_content":true' ELSE '' END`
	}
	if s.links != nil {
		b += " || CASE WHEN " + s.links.flag(row) + ` THEN ',"has_links":true' ELSE '' END`
	}
	return b
}

// tagList returns the tags as an array of text, or the empty string.
func (s *noteSource) tagList(row string) string {
	if s.tagTable != nil {
		return fmt.Sprintf("ARRAY (SELECT %s FROM %s AS tag WHERE %s = %s ORDER BY 1 LIMIT 100)",
			s.tagName.text("tag"), s.tagTable.sql(), s.tagNote.of("tag"), s.id.of(row))
	}
	if s.tags == nil {
		return ""
	}
	value := s.tags.of(row)
	switch s.tags.kind {
	case kindTexts:
		return value + "::text[]"
	case kindJSON:
		return fmt.Sprintf("ARRAY (SELECT jsonb_array_elements_text(CASE jsonb_typeof(%s) WHEN 'array' THEN %[1]s ELSE '[]' END))", value)
	}
	return fmt.Sprintf("string_to_array(%s, ',')", s.tags.text(row))
}

func (s *noteSource) tell(schema, row, operation string) string {
	return push(head("") + " || " + s.body(schema, row, literal(operation)))
}

// functions returns the trigger functions of the table of notes, by operation. A note that is in the bin has been deleted,
// for clients; one that comes out of it is created.
func (s *noteSource) functions(schema, capture string) map[string]*function {
	created, deleted := s.tell(schema, "NEW", "created"), s.tell(schema, "OLD", "deleted")
	insert := "IF NOT " + s.gone("NEW") + " THEN\n" + indent(1, created) + "END IF;\n"
	remove := "IF NOT " + s.gone("OLD") + " THEN\n" + indent(1, deleted) + "END IF;\n"
	update := "IF " + s.id.changed("OLD", "NEW") + " THEN\n" + indent(1, remove+insert) +
		"ELSIF " + s.gone("NEW") + " THEN\n" + indent(1, "IF NOT "+s.gone("OLD")+" THEN\n"+indent(1, s.tell(schema, "NEW", "deleted"))+"END IF;\n") +
		"ELSIF " + s.gone("OLD") + " THEN\n" + indent(1, created) +
		"ELSE\n" + indent(1, s.tell(schema, "NEW", "updated")) + "END IF;\n"
	if s.table.relkind == "p" {
		insert, remove = s.arrival(schema, insert), s.departure(schema, remove)
	}
	out := map[string]*function{}
	for op, compute := range map[string]string{"insert": insert, "update": update, "delete": remove} {
		row := "NEW"
		if op == "delete" {
			row = "OLD"
		}
		out[op] = &function{
			schema: schema, name: functionName(capture, "note_"+op), capture: capture, kind: "note", subject: s.uuid(schema, row),
			compute: compute, recall: s.tagTable != nil,
		}
	}
	return out
}

// departure and arrival are the two halves of a move to another partition; see those of jobs.
func (s *noteSource) departure(schema, otherwise string) string {
	return fmt.Sprintf("IF EXISTS (SELECT FROM %s AS t WHERE %s = %s) THEN\n", s.table.sql(), s.id.of("t"), s.id.of("OLD")) +
		"\tbody := set_config('matric_events.moved', " + s.uuid(schema, "OLD") + " || CASE WHEN " + s.gone("OLD") + " THEN 'd' ELSE 'v' END, true);\n" +
		"ELSE\n" + indent(1, otherwise) + "END IF;\n"
}

func (s *noteSource) arrival(schema, otherwise string) string {
	return "body := current_setting('matric_events.moved', true);\n" +
		"IF body = " + s.uuid(schema, "NEW") + " || 'v' THEN\n" +
		"\tbody := set_config('matric_events.moved', '', true);\n" +
		"\tIF " + s.gone("NEW") + " THEN\n" + indent(2, s.tell(schema, "NEW", "deleted")) +
		"\tELSE\n" + indent(2, s.tell(schema, "NEW", "updated")) + "\tEND IF;\nELSE\n" + indent(1, otherwise) + "END IF;\n"
}

// tagFunction returns the function for changes of the table of tags; changed is a query for the notes that are concerned.
// It runs once for a statement. When the last that this transaction told was of the same note, it replaces that: so notes
// that are changed one at a time are told once, however many statements it takes.
func (s *noteSource) tagFunction(schema, capture, op, changed string) string {
	name := functionName(capture, "tag_"+op)
	q := quote(schema)
	body := `'{"event_id":"' || coalesce(born, ` + eventID + `) || '","occurred_at":"' || since || '"' ||
				replace(note.text, '"operation":"updated"', '"operation":"' || coalesce(doing, 'updated') || '"') || '}'`
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION %[1]s.%[2]s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $matric$
DECLARE
	note   record;
	told   text[];
	born   text;
	doing  text;
	place  bigint;
	rows   int;
	moment timestamptz := clock_timestamp();
	stamp  text;
	since  text;
BEGIN
	BEGIN
		rows := coalesce(nullif(current_setting('matric_events.rows', true), ''), '0')::int;
		stamp := lpad(to_hex((date_part('epoch', moment) * 1000)::bigint), 12, '0');
		since := to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
		FOR note IN SELECT %[3]s AS id, %[4]s AS text FROM %[5]s AS n WHERE %[6]s IN (%[7]s) AND NOT %[8]s LOOP
			told := string_to_array(coalesce(current_setting('matric_events.note', true), ''), ' ');
			born := NULL;
			doing := NULL;
			IF told[1] = note.id THEN
				DELETE FROM %[1]s.outbox AS o WHERE o.position = told[2]::bigint AND o.kind = 'note' AND o.body::json ->> 'note_id' = note.id
				RETURNING o.body::json ->> 'event_id', o.body::json ->> 'operation' INTO born, doing;
			END IF;
			rows := rows + 1;
			INSERT INTO %[1]s.outbox (position, kind, body, subject) OVERRIDING SYSTEM VALUE
			VALUES (nextval('%[1]s.outbox_position_seq') + CASE WHEN rows > %[9]d THEN %[10]d ELSE 0 END, 'note',
				%[11]s,
				CASE WHEN rows > %[9]d THEN note.id::uuid END)
			RETURNING outbox.position INTO place;
			told[1] := set_config('matric_events.note', note.id || ' ' || place, true);
		END LOOP;
		told[1] := set_config('matric_events.rows', rows::text, true);
	EXCEPTION WHEN OTHERS THEN
%[12]s	END;
	RETURN NULL;
END
$matric$`, q, quote(name), s.uuid(schema, "n"), s.body(schema, "n", "'updated'"), s.table.sql(), s.id.of("n"), changed, s.gone("n"),
		burstRows, int64(burstPosition), body, indent(2, fault(schema, capture, name)))
}

// tagQueries are the notes that a statement on the table of tags concerns, by operation; new and old are its rows.
func (s *noteSource) tagQueries() map[string]string {
	from := func(rows string) string { return "SELECT " + s.tagNote.of("t") + " FROM " + rows + " AS t" }
	return map[string]string{
		"insert": from("new_rows"), "delete": from("old_rows"),
		"update": strings.Join([]string{from("new_rows"), from("old_rows")}, " UNION "),
	}
}
