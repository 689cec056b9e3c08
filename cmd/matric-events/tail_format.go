package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/matric/matric-events/domain"
)

// lineFormat writes events as lines for people: time, type, id, kind of job or operation, and what matters of the rest.
type lineFormat struct {
	zone  *time.Location
	color bool
}

// The widths of the columns that are padded. Longer text shifts the rest of its line.
const (
	typeWidth  = len("JobCompleted")
	idWidth    = 8
	labelWidth = 16
	barWidth   = 10
)

// style is a terminal's escape sequence, without its frame.
type style string

const (
	plain   style = ""
	dim     style = "2"
	red     style = "31"
	green   style = "32"
	yellow  style = "33"
	blue    style = "34"
	magenta style = "35"
	cyan    style = "36"
)

func styleOf(t domain.Type) style {
	switch t {
	case domain.TypeJobQueued:
		return yellow
	case domain.TypeJobStarted:
		return blue
	case domain.TypeJobProgress:
		return cyan
	case domain.TypeJobCompleted:
		return green
	case domain.TypeJobFailed:
		return red
	case domain.TypeNoteUpdated:
		return magenta
	default:
		return dim
	}
}

func (f lineFormat) paint(s style, text string) string {
	if !f.color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// append appends the event's line without an ending.
func (f lineFormat) append(dst []byte, e domain.Event) []byte {
	id, label := subject(e.Payload)
	line := f.paint(dim, e.OccurredAt.In(f.zone).Format("15:04:05.000")) + "  " +
		f.paint(styleOf(e.Type()), pad(e.Type().String(), typeWidth)) + "  " +
		f.paint(dim, pad(shortID(id), idWidth)) + "  " +
		pad(label, labelWidth) + "  " +
		strings.Join(f.details(e.Payload), " ")
	return append(dst, strings.TrimRight(line, " ")...)
}

// subject returns what an event is about, and what kind of thing that is.
func subject(p domain.Payload) (id domain.UUID, label string) {
	switch p := p.(type) {
	case domain.JobQueued:
		return p.JobID, oneLine(string(p.JobType), maxText)
	case domain.JobStarted:
		return p.JobID, oneLine(string(p.JobType), maxText)
	case domain.JobProgress:
		return p.JobID, oneLine(string(p.JobType), maxText)
	case domain.JobCompleted:
		return p.JobID, oneLine(string(p.JobType), maxText)
	case domain.JobFailed:
		return p.JobID, oneLine(string(p.JobType), maxText)
	case domain.NoteUpdated:
		return p.NoteID, string(p.Operation)
	}
	return domain.UUID{}, ""
}

// details returns what is particular to the event's type, and the note that a job is about.
func (f lineFormat) details(payload domain.Payload) (out []string) {
	add := func(s style, format string, args ...any) { out = append(out, f.paint(s, fmt.Sprintf(format, args...))) }
	switch p := payload.(type) {
	case domain.JobQueued:
		if p.Priority != nil {
			add(plain, "priority %d", *p.Priority)
		}
	case domain.JobProgress:
		add(cyan, "%s %3d%%", bar(float64(p.Percent)/100, barWidth), p.Percent)
		if p.Message != "" {
			add(plain, "%s", oneLine(p.Message, maxText))
		}
	case domain.JobCompleted:
		if p.DurationMS != nil {
			add(plain, "in %s", time.Duration(*p.DurationMS)*time.Millisecond)
		}
	case domain.JobFailed:
		add(red, "%s", oneLine(p.Error, maxText))
		if p.WillRetry {
			add(dim, "(will be retried)")
		}
	case domain.NoteUpdated:
		if p.Title != "" {
			add(plain, "“%s”", oneLine(p.Title, maxText))
		}
		for _, tag := range p.Tags {
			add(cyan, "#%s", oneLine(tag, maxText))
		}
	case domain.QueueStatus:
		add(dim, "%d running, %d pending", p.Running, p.Pending)
	}
	if job, note := payload.Subject(); !job.IsZero() && !note.IsZero() {
		add(dim, "note %s", shortID(note))
	}
	return out
}

// shortID returns the last digits. The first ones of a UUIDv7 are its time, which identifiers of one minute share.
func shortID(id domain.UUID) string {
	if id.IsZero() {
		return ""
	}
	s := id.String()
	return s[len(s)-idWidth:]
}

// pad fills text with spaces to a width in characters.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// bar draws a part of one, from 0 to 1.
func bar(part float64, width int) string {
	full := int(min(max(part, 0), 1)*float64(width) + 0.5)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}
