package capture

import "cmp"

// riverKinds are the types in River's table of jobs that are not the usual ones.
var riverKinds = map[string]kind{
	"id": kindInt, "args": kindJSON, "metadata": kindJSON, "errors": kindJSONs, "state": kindEnum, "priority": kindInt,
}

// assume makes a source of the mapping without a catalog.
func (m *Mapping) assume() *source {
	s := &source{}
	if j := m.Jobs; j != nil {
		t := assumed(j.Table)
		one := func(name string, usual kind) *column { return t.assume(name, usual) }
		s.jobs = &jobSource{
			table: t, Jobs: j, noteSpace: "public.note",
			id: one(j.ID, kindUUID), typ: one(j.Type, kindText), note: one(j.NoteID, kindUUID), status: one(j.Status, kindText),
			progress: one(j.Progress, kindInt), message: one(j.Message, kindText), error: one(j.Error, kindText),
			retryCount: one(j.RetryCount, kindInt), maxRetries: one(j.MaxRetries, kindInt), priority: one(j.Priority, kindInt),
			began: one(j.StartedAt, kindTime), ended: one(j.CompletedAt, kindTime),
		}
		if m.Notes != nil {
			s.jobs.noteSpace = parseTable(m.Notes.Table).String()
		}
	}
	if n := m.Notes; n != nil {
		t := assumed(n.Table)
		s.notes = &noteSource{
			table: t, Notes: n,
			id: t.assume(n.ID, kindUUID), title: t.assume(n.Title, kindText), user: t.assume(n.User, kindUUID),
			deleted: t.assume(n.Deleted, kindTime), archived: t.assume(n.Archived, kindBool), ai: t.assume(n.HasAIContent, kindBool),
			links: t.assume(n.HasLinks, kindBool), tags: t.assume(n.Tags.Column, kindTexts),
		}
		for _, name := range n.Watch {
			s.notes.watch = append(s.notes.watch, t.assume(name, kindText))
		}
		if n.Tags.Table != "" {
			tags := assumed(n.Tags.Table)
			s.notes.tagTable, s.notes.tagNote, s.notes.tagName = tags, tags.assume(n.Tags.Note, kindUUID), tags.assume(n.Tags.Tag, kindText)
		}
	}
	return s
}

func assumed(name string) *table {
	t := &table{tableName: parseTable(name), relkind: "r"}
	t.leaves = []tableName{t.tableName}
	return t
}

// assume returns a column, nil when it has no name.
func (t *table) assume(name string, usual kind) *column {
	if name == "" {
		return nil
	}
	s := parseSpec(name)
	c := &column{name: s.column, keys: s.keys, kind: usual}
	if t.name == "river_job" {
		c.kind = cmp.Or(riverKinds[s.column], usual)
	}
	if len(s.keys) > 0 {
		c.kind = kindText
	}
	return c
}
