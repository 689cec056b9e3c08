package capture

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Mapping says which tables and columns of an application are what. Names are as they are in the catalog, in their case
// and without quotes; a column's name may be followed by keys of the JSON that it holds, as in args->note_id. The empty
// string is for what there is not.
type Mapping struct {
	Jobs  *Jobs
	Notes *Notes
}

// Jobs describes a table of jobs.
type Jobs struct {
	Table       string // SCHEMA.TABLE; the schema public may be left out
	ID          string // uuid, or anything else that is made a UUID
	Type        string
	NoteID      string
	Status      string
	States      States
	Progress    string // a number
	ProgressMax int    // the number that means done
	Message     string
	Error       string // text, JSON, or a JSON array of attempts
	RetryCount  string // a failed job is tried again while it is below MaxRetries
	MaxRetries  string
	Priority    string
	StartedAt   string // of these two the duration is made
	CompletedAt string
}

// States lists the values of a job's status by what they mean. A value that is in none of them means nothing.
type States struct {
	Queued    []string // waits for a worker
	Retrying  []string // waits after an attempt that failed
	Running   []string
	Completed []string
	Failed    []string
	Canceled  []string
}

// Notes describes a table of notes.
type Notes struct {
	Table        string
	ID           string
	Title        string
	User         string
	Deleted      string // set, or true, for notes that are in the bin
	Archived     string
	HasAIContent string
	HasLinks     string
	Watch        []string // more columns whose change is told
	Tags         Tags
}

// Tags says where a note's tags are: in a column of text[], JSON or text with commas, or in a table with a row for each.
type Tags struct {
	Column string

	Table string
	Note  string // its column that refers to the note
	Tag   string // its column that holds the tag
}

// Validate reports what is wrong with the mapping whatever the database looks like: all of it.
func (m *Mapping) Validate() error {
	var p problems
	if m.Jobs == nil && m.Notes == nil {
		p.add("", "names neither jobs nor notes: nothing would be captured")
	}
	if m.Jobs != nil {
		m.Jobs.validate(&p)
	}
	if m.Notes != nil {
		m.Notes.validate(&p)
	}
	said := fmt.Sprint(m.Jobs, m.Notes)
	if strings.Contains(said, bodyQuote) {
		p.add("", "a name or value holds %s, which the SQL is quoted with", bodyQuote)
	}
	if strings.ContainsFunc(said, unicode.IsControl) { // the SQL is indented, and would not be the same in it
		p.add("", "a name or value holds a line break, a tab or another control character")
	}
	return p.err()
}

func (j *Jobs) validate(p *problems) {
	p.require("jobs.table", j.Table)
	p.require("jobs.id", j.ID)
	p.require("jobs.status", j.Status)
	if j.ProgressMax < 1 {
		p.add("jobs.progress_max", "must be at least 1")
	}
	if (j.RetryCount == "") != (j.MaxRetries == "") {
		p.add("jobs.retry_count", "goes with jobs.max_retries: name both or neither")
	}
	if j.Message != "" && j.Progress == "" {
		p.add("jobs.message", "is told with the progress, and jobs.progress is not named")
	}
	seen := map[string]string{}
	for _, s := range j.States.all() {
		for _, value := range s.values {
			if other, twice := seen[value]; twice {
				p.add("jobs.states."+s.name, "%q is in %s, too", value, other)
			}
			seen[value] = s.name
		}
	}
	if len(j.States.Running)+len(j.States.Completed)+len(j.States.Failed)+len(j.States.Queued) == 0 {
		p.add("jobs.states", "names no value of %s", j.Status)
	}
}

func (n *Notes) validate(p *problems) {
	p.require("notes.table", n.Table)
	p.require("notes.id", n.ID)
	t := n.Tags
	if t.Column != "" && t.Table != "" {
		p.add("notes.tags", "are in a column or in a table, not in both")
	}
	if t.Table != "" || t.Note != "" || t.Tag != "" {
		p.require("notes.tags.table", t.Table)
		p.require("notes.tags.note", t.Note)
		p.require("notes.tags.tag", t.Tag)
	}
}

// class is what a status means, as one letter in the generated SQL.
type class byte

const (
	queued    class = 'q'
	retrying  class = 'w'
	running   class = 'r'
	completed class = 'c'
	failed    class = 'f'
	canceled  class = 'x'
)

type state struct {
	name   string
	class  class
	values []string
}

// all returns the states in the order of a job's life.
func (s *States) all() []state {
	return []state{
		{"queued", queued, s.Queued},
		{"retrying", retrying, s.Retrying},
		{"running", running, s.Running},
		{"completed", completed, s.Completed},
		{"failed", failed, s.Failed},
		{"canceled", canceled, s.Canceled},
	}
}

// Problems is an error that lists everything that is wrong with a mapping.
type Problems []string

func (p Problems) Error() string {
	if len(p) == 1 {
		return "mapping: " + p[0]
	}
	return fmt.Sprintf("mapping: %d problems\n  %s", len(p), strings.Join(p, "\n  "))
}

// problems collects.
type problems struct{ list Problems }

func (p *problems) add(key, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if key != "" {
		text = key + ": " + text
	}
	p.list = append(p.list, text)
}

func (p *problems) require(key, value string) {
	if value == "" {
		p.add(key, "is required")
	}
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return p.list
}

// merge adds the problems that err lists.
func (p *problems) merge(err error) {
	if more, ok := errors.AsType[Problems](err); ok {
		p.list = append(p.list, more...)
	} else if err != nil {
		p.add("", "%v", err)
	}
}
