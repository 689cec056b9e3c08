package capture

import "fmt"

// maxTruncated is how many events a TRUNCATE gives at most.
const maxTruncated = 10_000

// truncateFunction returns the function that runs before a table is emptied: what was not over is over. body is what each
// of its rows t tells, where which ones do. The jobs are then counted anew, which a fault without a fault's code asks for.
func truncateFunction(schema, capture, name, kind, id, body, where string) string {
	query := fmt.Sprintf("SELECT %s FROM (SELECT 'JobFailed'::text AS type) AS e, (SELECT NULL::text AS was, NULL::text AS became) AS c, ONLY TABLE_HERE AS t WHERE %s LIMIT %d", body, where, maxTruncated)
	write := &told{schema: schema, kind: kind, subject: "body::json ->> '" + id + "'"}
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION %s.%s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $matric$
DECLARE
	body text;
BEGIN
	BEGIN
		FOR body IN EXECUTE replace(%s, 'TABLE_HERE', quote_ident(TG_TABLE_SCHEMA) || '.' || quote_ident(TG_TABLE_NAME)) LOOP
%s		END LOOP;
		INSERT INTO %[1]s.capture_fault (capture, source, code, message) VALUES (%[5]s, %[6]s, %[7]s, 'the table was truncated');
	EXCEPTION WHEN OTHERS THEN
%[8]s	END;
	RETURN NULL;
END
$matric$`, quote(schema), quote(name), literal(query), indent(3, write.insertOne()), literal(capture), literal(name), literal(codeTruncated), indent(2, fault(schema, capture, name)))
}

// codeTruncated stands in place of an SQLSTATE for what is none.
const codeTruncated = "00000"

func (s *jobSource) truncate(schema, capture, name string) string {
	return truncateFunction(schema, capture, name, "worker", "job_id", s.body(schema, "t"), s.class("t")+" IN ('q', 'w', 'r')")
}

func (s *noteSource) truncate(schema, capture, name string) string {
	return truncateFunction(schema, capture, name, "note", "note_id", s.body(schema, "t", "'deleted'"), "NOT "+s.gone("t"))
}
