package capture

import "fmt"

// maxTruncated is how many events a TRUNCATE gives at most.
const maxTruncated = 10_000

// truncateFunction returns the function that runs before a table is emptied: what was not over is over. Body is an
// expression on the row t, and where says which rows tell something. The jobs are then counted anew, which a fault without
// a fault's code asks for.
func truncateFunction(schema, capture, what, kind, subject, body, where string) *function {
	query := fmt.Sprintf("SELECT %s || '}' FROM (SELECT $1 AS stamp, $2 AS since) AS v, ONLY TABLE_HERE AS t WHERE %s LIMIT %d", body, where, maxTruncated)
	return &function{
		schema: schema, name: functionName(capture, what), capture: capture, kind: kind, subject: subject,
		compute: fmt.Sprintf(`FOR body IN EXECUTE replace(%s, 'TABLE_HERE', quote_ident(TG_TABLE_SCHEMA) || '.' || quote_ident(TG_TABLE_NAME)) USING stamp, since LOOP
	bodies := array_append(bodies, body);
END LOOP;
INSERT INTO %s.capture_fault (capture, source, code, message) VALUES (%s, %s, %s, 'the table was truncated');
`, literal(query), quote(schema), literal(capture), literal(functionName(capture, what)), literal(codeTruncated)),
	}
}

// codeTruncated stands in place of an SQLSTATE for what is none.
const codeTruncated = "00000"

func (s *jobSource) truncate(schema, capture string) *function {
	body := s.jobHead(schema, "t", "JobFailed") + ` || ',"error":"canceled","will_retry":false'`
	return truncateFunction(schema, capture, "job_truncate", "worker", "body::json ->> 'job_id'", body, s.class("t")+" IN ('q', 'w', 'r')")
}

func (s *noteSource) truncate(schema, capture string) *function {
	body := head("") + " || " + s.body(schema, "t", "'deleted'")
	return truncateFunction(schema, capture, "note_truncate", "note", "body::json ->> 'note_id'", body, "NOT "+s.gone("t"))
}
