package capture

import (
	"fmt"
	"strings"
)

// Bounds of texts, in characters: what is longer is cut.
const (
	maxText  = 4000
	maxTitle = 1000
	maxUser  = 200
)

// of returns the column of a row, such as NEW, as it is.
func (c *column) of(row string) string {
	ref := quote(c.name)
	if row != "" {
		ref = row + "." + ref
	}
	if len(c.keys) == 0 {
		return ref
	}
	keys := make([]string, len(c.keys))
	for i, k := range c.keys {
		keys[i] = literal(k)
	}
	return fmt.Sprintf("(%s #>> ARRAY[%s])", ref, strings.Join(keys, ", "))
}

// text returns the column as text, NULL for what there is not.
func (c *column) text(row string) string {
	switch c.kind {
	case kindText:
		return c.of(row) + "::text"
	case kindJSON, kindPlain:
		return "(" + c.of(row) + " #>> '{}')"
	case kindTexts:
		return fmt.Sprintf("%s[array_upper(%[1]s, 1)]::text", c.of(row))
	case kindJSONs: // of attempts, the last one
		last := fmt.Sprintf("%s[array_upper(%[1]s, 1)]", c.of(row))
		return fmt.Sprintf("coalesce(%s ->> 'error', %[1]s #>> '{}')", last)
	}
	return c.of(row) + "::text"
}

// comparable returns the column in a form that can be compared whatever its type.
func (c *column) comparable(row string) string {
	switch c.kind {
	case kindPlain, kindOther, kindText: // json has no equality, and that of citext may be out of reach
		return c.of(row) + "::text"
	}
	return c.of(row)
}

// changed is true when the column of two rows differs.
func (c *column) changed(a, b string) string {
	return c.comparable(a) + " IS DISTINCT FROM " + c.comparable(b)
}

// changedAny is true when one of the columns differs.
func changedAny(a, b string, columns ...*column) string {
	var terms []string
	seen := map[string]bool{}
	for _, c := range columns {
		if c == nil || seen[c.of(a)] {
			continue
		}
		seen[c.of(a)] = true
		terms = append(terms, c.changed(a, b))
	}
	return strings.Join(terms, " OR ")
}

// float returns the column as a double precision number, NULL for what is none.
func (c *column) float(row string) string {
	if c.kind == kindText { // from JSON: numbers, and texts that look like one
		return fmt.Sprintf("CASE WHEN %s ~ '^-?[0-9]{1,9}(\\.[0-9]+)?$' THEN %[1]s::float8 END", c.of(row))
	}
	return c.of(row) + "::float8"
}

// percent returns a number from 0 to 100; greatest and least bring what is not a number, or infinite, into bounds.
func (c *column) percent(row string, most int) string {
	value := c.float(row)
	if most != 100 {
		value = fmt.Sprintf("100.0 * (%s) / %d", value, most)
	}
	return fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN greatest(0, least(100, round(least(100, greatest(0, %s)))))::int END", c.of(row), value)
}

// flag is true when a boolean column is true, or another one is set.
func (c *column) flag(row string) string {
	if c.kind == kindBool {
		return "coalesce(" + c.of(row) + ", false)"
	}
	return c.of(row) + " IS NOT NULL"
}

const nilUUID = "'00000000-0000-0000-0000-000000000000'"

// uuid returns the column as the text of a UUID: itself when it is one, and else one made of it.
func (c *column) uuid(row, schema, space string) string {
	made := fmt.Sprintf("%s.capture_row_id(%s, %s)", quote(schema), literal(space), c.text(row))
	switch c.kind {
	case kindUUID:
		return fmt.Sprintf("coalesce(nullif(%s, %s::uuid)::text, %s)", c.of(row), nilUUID, made)
	case kindText:
		return fmt.Sprintf("CASE WHEN %s ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' AND %[1]s <> %[2]s THEN lower(%[1]s) ELSE %[3]s END", c.text(row), nilUUID, made)
	}
	return made
}

// class returns what a status means as one letter, NULL for a value that means nothing.
func (s *jobSource) class(row string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CASE %s", s.status.text(row))
	for _, st := range s.States.all() {
		for _, value := range st.values {
			fmt.Fprintf(&b, " WHEN %s THEN '%c'", literal(value), st.class)
		}
	}
	b.WriteString(" END")
	return b.String()
}

// willRetry is true when a failed job will be tried again.
func (s *jobSource) willRetry(row string) string {
	if s.retryCount == nil || s.maxRetries == nil {
		return "false"
	}
	return fmt.Sprintf("coalesce(%s < %s, false)", s.retryCount.float(row), s.maxRetries.float(row))
}

// optional returns the text of a JSON member, with a comma before it, or the empty text when the value is NULL. The value is
// JSON already.
func optional(name, value string) string {
	return fmt.Sprintf("coalesce(',\"%s\":' || %s, '')", name, value)
}

// jsonText returns a text as JSON, cut to a number of characters.
func jsonText(value string, limit int) string {
	return fmt.Sprintf("to_json(left(%s, %d))::text", value, limit)
}

// quoted puts a value that needs no escapes between quotes.
func quoted(value string) string { return fmt.Sprintf("'\"' || %s || '\"'", value) }
