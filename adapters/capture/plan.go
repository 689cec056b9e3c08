package capture

import (
	"fmt"
	"strings"
)

// Schema is where our tables are unless told otherwise.
const Schema = "matric_events"

// version counts the changes of how triggers are written: what another version has attached is attached anew.
const version = 2

// A Plan is what attaching comes down to.
type Plan struct {
	Statements []string // in order, for one transaction

	functions map[string]string // bodies by name
	triggers  []trigger
}

// trigger is one trigger of a plan.
type trigger struct {
	name, function string
	table          tableName
}

// functionName returns the name of a function of ours.
func functionName(capture, what string) string { return "capture_" + capture + "_" + what }

// triggerName begins with digits because triggers fire in the order of their names: a trigger of the application that
// changes the row once more must come after ours, lest events be the wrong way round.
func triggerName(what string) string { return "00_matric_events_" + what }

// plan writes the SQL that attaches a source to our schema.
func (s *source) plan(schema, capture string) *Plan {
	p := &Plan{functions: map[string]string{}}
	if j := s.jobs; j != nil {
		fns := j.functions(schema, capture)
		p.row(schema, fns, "job", j.table, changedAny("OLD", "NEW", j.columns()...))
		p.truncate(schema, capture, "job", j.table, j.truncate)
	}
	if n := s.notes; n != nil {
		fns := n.functions(schema, capture)
		p.row(schema, fns, "note", n.table, changedAny("OLD", "NEW", n.columns()...))
		p.truncate(schema, capture, "note", n.table, n.truncate)
		if n.tagTable != nil {
			p.tags(schema, capture, n)
		}
	}
	return p
}

// row adds the triggers that run for each row.
func (p *Plan) row(schema string, fns map[string]*function, what string, t *table, changed string) {
	for _, op := range []string{"insert", "update", "delete"} {
		f := fns[op]
		p.function(schema, f.name, f.sql())
		when := ""
		if op == "update" {
			when = "\nWHEN (" + changed + ")"
		}
		p.trigger(what+"_"+op, f.name, t.tableName, fmt.Sprintf("AFTER %s ON %s FOR EACH ROW%s", strings.ToUpper(op), t.sql(), when), schema)
	}
}

// truncate adds the triggers for TRUNCATE, which fires those of every partition.
func (p *Plan) truncate(schema, capture, what string, t *table, write func(schema, capture, name string) string) {
	name := functionName(capture, what+"_truncate")
	p.function(schema, name, write(schema, capture, name))
	for _, leaf := range t.leaves {
		p.trigger(what+"_truncate", name, leaf, "BEFORE TRUNCATE ON "+leaf.sql()+" FOR EACH STATEMENT", schema)
	}
}

func (p *Plan) tags(schema, capture string, n *noteSource) {
	queries := n.tagQueries()
	for _, op := range []string{"insert", "update", "delete"} {
		name := functionName(capture, "tag_"+op)
		p.function(schema, name, n.tagFunction(schema, capture, op, queries[op]))
		rows := map[string]string{"insert": "NEW TABLE AS new_rows", "delete": "OLD TABLE AS old_rows", "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows"}[op]
		p.trigger("tag_"+op, name, n.tagTable.tableName, fmt.Sprintf("AFTER %s ON %s REFERENCING %s FOR EACH STATEMENT", strings.ToUpper(op), n.tagTable.sql(), rows), schema)
	}
}

// bodyQuote is around the body of a function.
const bodyQuote = "$matric$"

func (p *Plan) function(schema, name, create string) {
	_, body, _ := strings.Cut(create, bodyQuote)
	p.functions[name] = strings.TrimSuffix(body, bodyQuote)
	p.Statements = append(p.Statements, create, "REVOKE ALL ON FUNCTION "+quote(schema)+"."+quote(name)+"() FROM PUBLIC")
}

func (p *Plan) trigger(what, function string, t tableName, on, schema string) {
	name := triggerName(what)
	p.triggers = append(p.triggers, trigger{name, function, t})
	p.Statements = append(p.Statements, fmt.Sprintf("CREATE TRIGGER %s %s\nEXECUTE FUNCTION %s.%s()", quote(name), on, quote(schema), quote(function)))
}

// SQL returns the plan as a script.
func (p *Plan) SQL() string {
	return "BEGIN;\n\n" + strings.Join(p.Statements, ";\n\n") + ";\n\nCOMMIT;\n"
}

// Plan writes the SQL that attaches the mapping, for tables that fit it, in the types that such columns usually have:
// without a database there is nothing to look them up in.
func (m *Mapping) Plan(name string) (*Plan, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return m.assume().plan(Schema, name), nil
}

func checkName(name string) error {
	ok := len(name) > 0 && len(name) <= 30
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_')
	}
	if !ok {
		return Problems{fmt.Sprintf("name: %q is not 1 to 30 small letters, digits and underscores", name)}
	}
	return nil
}
