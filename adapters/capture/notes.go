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

// body is the JSON of an event about the note in a row. Operation is an expression.
func (s *noteSource) body(schema, row, operation string) string {
	b := `'{"operation":"' || ` + operation + ` || '","note_id":"' || ` + s.uuid(schema, row) + ` || '"'`
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
	return b + " || '}'"
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

// tells makes an event of the note in a row, if operation is not NULL.
func (s *noteSource) tells(schema, row, operation string) *told {
	return &told{
		schema: schema, kind: "note", subject: s.uuid(schema, row), recall: s.tagTable != nil,
		body: s.body(schema, row, "c.operation"),
		from: fmt.Sprintf("(SELECT c.* FROM (SELECT %s AS operation OFFSET 0) AS c WHERE c.operation IS NOT NULL) AS c", operation),
	}
}

// functions returns the trigger functions of the table of notes, by operation. A note that is in the bin has been deleted,
// for clients; one that comes out of it is created.
func (s *noteSource) functions(schema, capture string) map[string]*function {
	created := "CASE WHEN NOT " + s.gone("NEW") + " THEN 'created' END"
	deleted := "CASE WHEN NOT " + s.gone("OLD") + " THEN 'deleted' END"
	changed := fmt.Sprintf("CASE WHEN %s THEN CASE WHEN NOT %s THEN 'deleted' END WHEN %[2]s THEN 'created' ELSE 'updated' END", s.gone("NEW"), s.gone("OLD"))
	came, left := s.tells(schema, "NEW", created), s.tells(schema, "OLD", deleted)
	computes := map[string][]branch{
		"insert": {{tells: []*told{came}}},
		"delete": {{tells: []*told{left}}},
		"update": {
			{when: "NOT (" + s.id.changed("OLD", "NEW") + ")", tells: []*told{s.tells(schema, "NEW", changed)}},
			{tells: []*told{left, came}},
		},
	}
	if s.table.relkind == "p" {
		computes["insert"], computes["delete"] = s.arrival(schema, came), s.departure(schema, left)
	}
	out := map[string]*function{}
	for op, branches := range computes {
		out[op] = &function{schema: schema, name: functionName(capture, "note_"+op), capture: capture, branches: branches}
	}
	return out
}

// departure and arrival are the two halves of a move to another partition; see those of jobs.
func (s *noteSource) departure(schema string, left *told) []branch {
	return []branch{
		{tells: []*told{left}, when: fmt.Sprintf("NOT EXISTS (SELECT FROM %s AS t WHERE %s = %s)", s.table.sql(), s.id.of("t"), s.id.of("OLD"))},
		{after: "told := set_config('matric_events.moved', " + s.uuid(schema, "OLD") + " || CASE WHEN " + s.gone("OLD") + " THEN 'd' ELSE 'v' END, true);\n"},
	}
}

func (s *noteSource) arrival(schema string, came *told) []branch {
	word := "current_setting('matric_events.moved', true)"
	operation := fmt.Sprintf("CASE WHEN %s THEN CASE right(%s, 1) WHEN 'v' THEN 'deleted' END WHEN right(%[2]s, 1) = 'd' THEN 'created' ELSE 'updated' END", s.gone("NEW"), word)
	return []branch{
		{
			when:  "left(" + word + ", 36) = " + s.uuid(schema, "NEW"),
			tells: []*told{s.tells(schema, "NEW", operation)}, after: "told := set_config('matric_events.moved', '', true);\n",
		},
		{tells: []*told{came}},
	}
}

// tagFunction returns the function for changes of the table of tags; changed is a query for the notes that are concerned.
// It runs once for a statement. When the last that this transaction told was of the same note, it replaces that: so notes
// that are changed one at a time are told once, however many statements it takes.
func (s *noteSource) tagFunction(schema, capture, op, changed string) string {
	name := functionName(capture, "tag_"+op)
	body := `replace(note.text, '"operation":"updated"', '"operation":"' || coalesce(doing, 'updated') || '"')`
	write := &told{schema: schema, kind: "note", body: body, subject: "note.id", recall: true}
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION %[1]s.%[2]s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $matric$
DECLARE
	note   record;
	known  text[];
	doing  text;
	told   text;
BEGIN
	BEGIN
		FOR note IN SELECT %[3]s AS id, %[4]s AS text FROM %[5]s AS n WHERE %[6]s IN (%[7]s) AND NOT %[8]s LOOP
			known := string_to_array(coalesce(current_setting('matric_events.note', true), ''), ' ');
			doing := NULL;
			IF known[1] = note.id THEN
				DELETE FROM %[1]s.outbox AS o WHERE o.position = known[2]::bigint AND o.kind = 'note' AND o.body::json ->> 'note_id' = note.id
				RETURNING o.body::json ->> 'operation' INTO doing;
			END IF;
%[9]s		END LOOP;
	EXCEPTION WHEN OTHERS THEN
%[10]s	END;
	RETURN NULL;
END
$matric$`, quote(schema), quote(name), s.uuid(schema, "n"), s.body(schema, "n", "'updated'"), s.table.sql(), s.id.of("n"), changed, s.gone("n"),
		indent(3, write.insert()), indent(2, fault(schema, capture, name)))
}

// tagQueries are the notes that a statement on the table of tags concerns, by operation; new and old are its rows.
func (s *noteSource) tagQueries() map[string]string {
	from := func(rows string) string { return "SELECT " + s.tagNote.of("t") + " FROM " + rows + " AS t" }
	return map[string]string{
		"insert": from("new_rows"), "delete": from("old_rows"),
		"update": strings.Join([]string{from("new_rows"), from("old_rows")}, " UNION "),
	}
}
