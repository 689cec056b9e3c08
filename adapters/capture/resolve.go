package capture

import (
	"context"
	"slices"
	"strings"
)

// source is a mapping that fits the catalog, with the columns in place of their names.
type source struct {
	jobs  *jobSource
	notes *noteSource
}

type jobSource struct {
	table *table
	*Jobs

	id, typ, note, status, progress, message, error *column
	retryCount, maxRetries, priority, began, ended  *column

	noteSpace string // what note identifiers are made of: the table of notes
}

type noteSource struct {
	table *table
	*Notes

	id, title, user, deleted, archived, ai, links *column
	watch                                         []*column
	tags                                          *column // nil when they are in a table
	tagTable                                      *table
	tagNote, tagName                              *column
}

// resolve compares the mapping with the catalog. The error is Problems when the mapping does not fit.
func (m *Mapping) resolve(ctx context.Context, q querier) (*source, error) {
	var p problems
	p.merge(m.Validate())
	s := &source{}
	if m.Jobs != nil && m.Jobs.Table != "" {
		t, err := lookUp(ctx, q, parseTable(m.Jobs.Table))
		if err != nil {
			return nil, err
		}
		s.jobs = resolveJobs(&p, m, t)
	}
	if m.Notes != nil && m.Notes.Table != "" {
		t, err := lookUp(ctx, q, parseTable(m.Notes.Table))
		if err != nil {
			return nil, err
		}
		var tags *table
		if m.Notes.Tags.Table != "" {
			if tags, err = lookUp(ctx, q, parseTable(m.Notes.Tags.Table)); err != nil {
				return nil, err
			}
		}
		s.notes = resolveNotes(&p, m.Notes, t, tags)
	}
	return s, p.err()
}

var (
	idKinds     = []kind{kindUUID, kindInt, kindNumber, kindText, kindEnum}
	textKinds   = []kind{kindText, kindEnum, kindJSON, kindPlain, kindInt, kindUUID}
	numberKinds = []kind{kindInt, kindNumber}
	flagKinds   = []kind{kindBool, kindTime}
)

func resolveJobs(p *problems, m *Mapping, t *table) *jobSource {
	j := m.Jobs
	usable(p, "jobs.table", t, j.Table)
	s := &jobSource{table: t, Jobs: j, noteSpace: "public.note"}
	if m.Notes != nil && m.Notes.Table != "" {
		s.noteSpace = parseTable(m.Notes.Table).String()
	}
	s.id = t.find(p, "jobs.id", j.ID, idKinds...)
	unique(p, "jobs.id", t, s.id)
	s.typ = t.find(p, "jobs.type", j.Type, textKinds...)
	s.note = t.find(p, "jobs.note_id", j.NoteID, idKinds...)
	s.status = t.find(p, "jobs.status", j.Status, kindText, kindEnum, kindInt, kindBool)
	checkStates(p, t, s.status, &j.States)
	s.progress = t.find(p, "jobs.progress", j.Progress, numberKinds...)
	s.message = t.find(p, "jobs.message", j.Message, textKinds...)
	s.error = t.find(p, "jobs.error", j.Error, append([]kind{kindJSONs, kindTexts}, textKinds...)...)
	s.retryCount = t.find(p, "jobs.retry_count", j.RetryCount, numberKinds...)
	s.maxRetries = t.find(p, "jobs.max_retries", j.MaxRetries, numberKinds...)
	s.priority = t.find(p, "jobs.priority", j.Priority, numberKinds...)
	s.began = t.find(p, "jobs.started_at", j.StartedAt, kindTime)
	s.ended = t.find(p, "jobs.completed_at", j.CompletedAt, kindTime)
	readable(p, "jobs.status", "to count the jobs", t, s.status)
	return s
}

func checkStates(p *problems, t *table, status *column, states *States) {
	if status == nil || status.kind != kindEnum {
		return
	}
	for _, s := range states.all() {
		for _, value := range s.values {
			if !slices.Contains(status.labels, value) {
				p.add("jobs.states."+s.name, "column %s of %s has no value %q; it has %s", status.name, t, value, strings.Join(status.labels, ", "))
			}
		}
	}
}

func resolveNotes(p *problems, n *Notes, t, tags *table) *noteSource {
	usable(p, "notes.table", t, n.Table)
	s := &noteSource{table: t, Notes: n, tagTable: tags}
	s.id = t.find(p, "notes.id", n.ID, idKinds...)
	unique(p, "notes.id", t, s.id)
	s.title = t.find(p, "notes.title", n.Title, textKinds...)
	s.user = t.find(p, "notes.user", n.User)
	s.deleted = t.find(p, "notes.deleted", n.Deleted, flagKinds...)
	s.archived = t.find(p, "notes.archived", n.Archived, flagKinds...)
	s.ai = t.find(p, "notes.has_ai_content", n.HasAIContent, kindBool)
	s.links = t.find(p, "notes.has_links", n.HasLinks, kindBool)
	for _, name := range n.Watch {
		if c := t.find(p, "notes.watch", name); c != nil {
			s.watch = append(s.watch, c)
		}
	}
	s.tags = t.find(p, "notes.tags.column", n.Tags.Column, kindTexts, kindJSON, kindText)
	if n.Tags.Table == "" {
		return s
	}
	usable(p, "notes.tags.table", tags, n.Tags.Table)
	s.tagNote = tags.find(p, "notes.tags.note", n.Tags.Note, idKinds...)
	s.tagName = tags.find(p, "notes.tags.tag", n.Tags.Tag, textKinds...)
	if s.tagNote != nil && s.id != nil && s.tagNote.kind != s.id.kind {
		p.add("notes.tags.note", "column %s of %s is %s, and the notes have %s", s.tagNote.name, tags, s.tagNote.typeName, s.id.typeName)
	}
	readable(p, "notes.tags", "to tell a note's tags", tags, s.tagNote, s.tagName)
	readable(p, "notes.tags", "to tell a note whose tags change", t, s.columns()...)
	return s
}

// columns returns the columns that are looked at.
func (n *noteSource) columns() (list []*column) {
	for _, c := range append([]*column{n.id, n.title, n.user, n.deleted, n.archived, n.ai, n.links, n.tags}, n.watch...) {
		if c != nil {
			list = append(list, c)
		}
	}
	return list
}

// usable checks that triggers can be put on the table. Name is how the mapping calls it.
func usable(p *problems, key string, t *table, name string) {
	switch {
	case name == "": // has been complained about
	case t == nil:
		p.add(key, "there is no table %s", parseTable(name))
	case t.relkind != "r" && t.relkind != "p":
		p.add(key, "%s is no table: triggers capture tables only", t)
	case !t.reachable:
		p.add(key, "no right to the schema of %s: GRANT USAGE ON SCHEMA %s TO the hub's role", t, quote(t.schema))
	case !t.trigger:
		p.add(key, "no right to create triggers: GRANT TRIGGER ON %s TO the hub's role", t.sql())
	}
}

func unique(p *problems, key string, t *table, c *column) {
	if c != nil && t.relkind == "r" && !t.unique[c.name] { // the key of a partitioned table has more columns
		p.add(key, "column %s of %s is not unique: no primary key or unique index is on it alone", c.name, t)
	}
}

// readable checks that we may read columns, for the purpose given.
func readable(p *problems, key, purpose string, t *table, columns ...*column) {
	if t == nil {
		return
	}
	var closed []string
	for _, c := range columns {
		if c != nil && !t.readable[c.name] && !slices.Contains(closed, quote(c.name)) {
			closed = append(closed, quote(c.name))
		}
	}
	if len(closed) > 0 {
		p.add(key, "no right to read, %s: GRANT SELECT (%s) ON %s TO the hub's role", purpose, strings.Join(closed, ", "), t.sql())
	}
	if t.rowSecurity {
		p.add(key, "row security of %s hides rows from the hub's role, which needs them %s", t, purpose)
	}
}
