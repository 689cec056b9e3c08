package capture

import (
	"fmt"
	"strings"
)

const (
	// protectedRows is after how many rows of one transaction the triggers stop to guard each insertion by a
	// subtransaction of its own. A session remembers 64 of these; beyond that, every other session has to look them up on
	// disk. By then the transaction has inserted so often that nothing can be wrong with our tables, and has a lock that
	// keeps anybody from changing them. What is computed from the application's data stays guarded.
	protectedRows = 48

	// burstRows is after how many rows of one transaction its records stand behind those of others.
	burstRows = 512

	// burstPosition is what is added to the position of such records. No sequence gets that far.
	burstPosition = 1 << 62
)

// function is a trigger function in the making. Its parts are PL/pgSQL.
type function struct {
	schema  string // ours
	name    string
	capture string // the capture's name
	kind    string // of the records
	subject string // an expression for the identifier of what the records are about
	declare string // of more variables
	compute string // appends to the variable bodies
	deltas  bool   // it counts jobs, in the variables pending and running
	recall  bool   // it remembers the last note, for the trigger on tags
}

// sql returns the statement that creates the function. Everything that may fail for what the application's row holds, or
// for what somebody did to our tables, is within the inner block.
func (f *function) sql() string {
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $matric$
DECLARE
	bodies text[] := '{}';
	body   text;
	rows   int;
	moment timestamptz := clock_timestamp();
	stamp  text;
	since  text;
%sBEGIN
	BEGIN
		rows := coalesce(nullif(current_setting('matric_events.rows', true), ''), '0')::int;
		stamp := lpad(to_hex((date_part('epoch', moment) * 1000)::bigint), 12, '0');
		since := to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
%s		IF rows < %d THEN
%s			RETURN NULL;
		END IF;
	EXCEPTION WHEN OTHERS THEN
%s		RETURN NULL;
	END;
%s	RETURN NULL;
END
$matric$`, f.qualified(), f.variables(), indent(2, f.compute), protectedRows, indent(3, f.store()), indent(2, fault(f.schema, f.capture, f.name)), indent(1, f.store()))
}

func (f *function) qualified() string { return quote(f.schema) + "." + quote(f.name) }

func (f *function) variables() string {
	s := indent(1, f.declare)
	if f.deltas {
		s += "\tpending int := 0;\n\trunning int := 0;\n"
	}
	if f.recall {
		s += "\tplace  bigint;\n"
	}
	return s
}

// store inserts the bodies.
func (f *function) store() string {
	q := quote(f.schema)
	returning, recall := "", ""
	if f.recall {
		returning = " RETURNING outbox.position INTO place"
		recall = fmt.Sprintf("\tbody := set_config('matric_events.note', (%s) || ' ' || place, true);\n", f.subject)
	}
	s := fmt.Sprintf(`FOREACH body IN ARRAY bodies LOOP
	rows := rows + 1;
	IF rows <= %d THEN
		INSERT INTO %s.outbox (kind, body) VALUES ('%s', body)%s;
	ELSE
		INSERT INTO %[2]s.outbox (position, kind, body, subject) OVERRIDING SYSTEM VALUE
		VALUES (nextval('%[2]s.outbox_position_seq') + %[5]d, '%[3]s', body, (%[6]s)::uuid)%[4]s;
	END IF;
%[7]sEND LOOP;
`, burstRows, q, f.kind, returning, int64(burstPosition), f.subject, recall)
	if f.deltas {
		s += fmt.Sprintf("IF pending <> 0 OR running <> 0 THEN\n\tINSERT INTO %s.capture_delta VALUES (%s, pending, running);\nEND IF;\n", q, literal(f.capture))
	}
	return s + "body := set_config('matric_events.rows', rows::text, true);\n"
}

// fault records what went wrong, if that is possible.
func fault(schema, capture, function string) string {
	return fmt.Sprintf(`BEGIN
	INSERT INTO %s.capture_fault (capture, source, code, message) VALUES (%s, %s, SQLSTATE, left(SQLERRM, 500));
EXCEPTION WHEN OTHERS THEN
	RAISE LOG 'matric-events: %%: %% (%%)', %[3]s, SQLERRM, SQLSTATE;
END;
`, quote(schema), literal(capture), literal(function))
}

// indent puts tabs before every line.
func indent(n int, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			b.WriteString(strings.Repeat("\t", n))
		}
		b.WriteString(line)
	}
	return b.String()
}
