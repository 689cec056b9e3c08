package capture

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// proven is true once a transaction has written 30 times to the table that the setting counts for: from then on its
	// triggers do not guard each insertion by a subtransaction of its own. A session remembers 64 of these; beyond that,
	// every other session has to look them up on disk. By then the transaction has inserted so often that nothing can be
	// wrong with our table, and has a lock that keeps anybody from changing it. What is computed from the application's data
	// stays guarded. A pattern, because no text that somebody puts into the setting can make it fail.
	proven = `coalesce(current_setting('matric_events.%s', true) ~ '^([3-9][0-9]|[0-9]{3,9})$', false)`

	// burstRows is after how many changes of one transaction their records stand behind those of others.
	burstRows = 512

	// burstPosition is what is added to the position of such records. No sequence gets that far.
	burstPosition = 1 << 62

	// next counts in a setting of the transaction, which knows of savepoints.
	next = `set_config('matric_events.%[1]s', (coalesce(nullif(current_setting('matric_events.%[1]s', true), ''), '0')::int + 1)::text, true)`
)

var (
	nextRow = fmt.Sprintf(next, "rows") + "::int"
	oneRow  = fmt.Sprintf("(SELECT %s AS rows OFFSET 0) AS n", nextRow)
)

// told is what one change tells: records of a kind. What can be told from a record, the event's identifier and time, is
// left to who reads it. Everything is in one statement, for in PL/pgSQL it is the number of expressions that costs.
type told struct {
	schema, kind string
	from         string // rows; empty when the body is that of one event
	body         string // an expression on them: JSON
	subject      string // an expression for the identifier of what they are about
	recall       bool   // the trigger on tags wants to know the last note
}

// insert is the statement that writes the first records of a transaction.
func (t *told) insert() string {
	switch {
	case t.from != "":
		return t.put(t.body, fmt.Sprintf("%s, LATERAL (SELECT %s AS rows, c OFFSET 0) AS n", t.from, nextRow))
	case t.recall:
		return t.put(t.body, oneRow)
	default: // what happens most often; the row is counted by the way, and far from a burst's
		return fmt.Sprintf("INSERT INTO %s.outbox (kind, body) VALUES (CASE WHEN %s <> '' THEN '%s' END, %s);\n",
			quote(t.schema), fmt.Sprintf(next, "rows"), t.kind, t.body)
	}
}

// collect is the statement that computes the bodies.
func (t *told) collect() string {
	if t.from == "" {
		return fmt.Sprintf("bodies := ARRAY[%s];\n", t.body)
	}
	return fmt.Sprintf("bodies := bodies || ARRAY (SELECT %s FROM %s);\n", t.body, t.from)
}

// insertOne is the statement that writes the variable body.
func (t *told) insertOne() string {
	return t.put("body", oneRow)
}

func (t *told) put(body, from string) string {
	returning := ""
	if t.recall {
		returning = fmt.Sprintf("\nRETURNING set_config('matric_events.note', (%s) || ' ' || outbox.position, true) INTO told", t.subject)
	}
	return fmt.Sprintf(`INSERT INTO %s.outbox (position, kind, body, subject) OVERRIDING SYSTEM VALUE
SELECT nextval('%[1]s.outbox_position_seq') + CASE WHEN n.rows > %[2]d THEN %[3]d ELSE 0 END, '%[4]s', %[5]s, CASE WHEN n.rows > %[2]d THEN (%[6]s)::uuid END
FROM %[7]s%[8]s;
`, quote(t.schema), burstRows, int64(burstPosition), t.kind, body, t.subject, from, returning)
}

// branch is a condition in PL/pgSQL, and what is told when it is the first that holds. The empty condition always does.
type branch struct {
	when   string
	tells  []*told
	deltas string // a query for pending and running, if the counts may change
	after  string // more statements
}

// function is a trigger function in the making.
type function struct {
	schema, name, capture string
	branches              []branch
}

// sql returns the statement that creates the function. Everything that may fail, for what the application's row holds or
// for what somebody did to our tables, is in a block that catches it.
func (f *function) sql() string {
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION %s.%s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $matric$
DECLARE
	bodies text[] := '{}';
	body   text;
	told   text;
	pending int := 0;
	running int := 0;
BEGIN
	BEGIN
		IF NOT %s THEN
%s			RETURN NULL;
		END IF;
%s	EXCEPTION WHEN OTHERS THEN
%s		RETURN NULL;
	END;
	FOREACH body IN ARRAY bodies LOOP
		CONTINUE WHEN body IS NULL; -- a row without a key
%s	END LOOP;
%s	RETURN NULL;
END
$matric$`, quote(f.schema), quote(f.name), fmt.Sprintf(proven, "rows"), indent(3, f.direct()), indent(2, f.collected()), indent(2, fault(f.schema, f.capture, f.name)),
		indent(2, f.insertOne()), indent(1, f.delta()))
}

// direct writes the records as they are computed.
func (f *function) direct() string {
	return f.chain(func(b *branch) (s string) {
		for _, t := range b.tells {
			s += t.insert()
		}
		if b.deltas != "" {
			s += fmt.Sprintf("INSERT INTO %s.capture_delta SELECT %s, d.waiting, d.working FROM (%s) AS d WHERE d.waiting <> 0 OR d.working <> 0;\n", quote(f.schema), literal(f.capture), b.deltas)
		}
		return s + b.after
	})
}

// collected computes the records only.
func (f *function) collected() string {
	return f.chain(func(b *branch) (s string) {
		for _, t := range b.tells {
			s += t.collect()
		}
		if b.deltas != "" {
			s += strings.Replace(b.deltas, " FROM ", " INTO pending, running FROM ", 1) + ";\n"
		}
		return s + b.after
	})
}

func (f *function) chain(each func(b *branch) string) string {
	var s strings.Builder
	for i := range f.branches {
		b := &f.branches[i]
		switch {
		case b.when == "" && i == 0:
			return each(b)
		case b.when == "":
			s.WriteString("ELSE\n")
		case i == 0:
			s.WriteString("IF (" + b.when + ") THEN\n") // the first THEN outside parentheses would end the condition
		default:
			s.WriteString("ELSIF (" + b.when + ") THEN\n")
		}
		s.WriteString(indent(1, each(b)))
	}
	return s.String() + "END IF;\n"
}

// insertOne is the statement that writes the variable body; all branches tell of the same kind.
func (f *function) insertOne() string {
	for _, b := range f.branches {
		if len(b.tells) > 0 {
			return b.tells[0].insertOne()
		}
	}
	return ""
}

// delta writes what collected has counted.
func (f *function) delta() string {
	if !slices.ContainsFunc(f.branches, func(b branch) bool { return b.deltas != "" }) {
		return ""
	}
	insert := fmt.Sprintf("INSERT INTO %s.capture_delta VALUES (%s, pending, running);\n", quote(f.schema), literal(f.capture))
	return fmt.Sprintf(`IF pending <> 0 OR running <> 0 THEN
	IF %s THEN
%s	ELSE
		BEGIN
%[3]s			told := %[4]s;
		EXCEPTION WHEN OTHERS THEN
%[5]s		END;
	END IF;
END IF;
`, fmt.Sprintf(proven, "deltas"), indent(2, insert), indent(3, insert), fmt.Sprintf(next, "deltas"), indent(3, fault(f.schema, f.capture, f.name)))
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
