package domain

import (
	"slices"
	"strings"
	"time"
)

// Seq orders events within one process. It rises by one and never repeats; it means nothing to another process, so it
// never leaves on the wire (the event's ID does). Zero is the place before the first event.
type Seq uint64

// Entry is an event as the log keeps it: encoded once, with what filters look at beside it.
type Entry struct {
	Seq        Seq
	ID         UUID
	Type       Type
	Job, Note  UUID
	OccurredAt time.Time
	JSON       []byte // shared by all readers; never written to
	Trace      *Trace // in which it happened; nil when nobody said so
}

// Filter selects events. Kinds of condition combine with AND, values within one with OR; an empty kind selects
// everything. The zero Filter selects every event.
type Filter struct {
	Types TypeSet
	Jobs  []UUID
	Notes []UUID
}

// Match reports whether the filter selects e.
func (f *Filter) Match(e *Entry) bool {
	return (f.Types == 0 || f.Types.Has(e.Type)) &&
		(len(f.Jobs) == 0 || slices.Contains(f.Jobs, e.Job)) &&
		(len(f.Notes) == 0 || slices.Contains(f.Notes, e.Note))
}

// ByTypeOnly reports whether the filter looks at nothing but the type, so that readers with equal Types see the same.
func (f *Filter) ByTypeOnly() bool { return len(f.Jobs) == 0 && len(f.Notes) == 0 }

// MaxFilterIDs bounds the identifiers of one kind in one filter.
const MaxFilterIDs = 1000

// ParseFilter reads the three lists of names and identifiers as clients send them: repeated, or with commas between.
// Errors are FieldErrors under the names given.
func ParseFilter(types, jobs, notes FilterList) (Filter, error) {
	var f Filter
	var err error
	if f.Types, err = ParseTypes(types.Field, types.Values); err != nil {
		return Filter{}, err
	}
	if f.Jobs, err = jobs.uuids(); err != nil {
		return Filter{}, err
	}
	f.Notes, err = notes.uuids()
	return f, err
}

// FilterList is one kind of condition under the name that its client knows it by.
type FilterList struct {
	Field  string
	Values []string
}

func (l FilterList) uuids() (ids []UUID, err error) {
	for _, list := range l.Values {
		for s := range strings.SplitSeq(list, ",") {
			if s = strings.TrimSpace(s); s == "" {
				continue
			}
			id, err := ParseUUID(s)
			if err != nil {
				return nil, Invalid(l.Field, "%q is not a UUID", clip(s, 64))
			}
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
			if len(ids) > MaxFilterIDs {
				return nil, Invalid(l.Field, "more than %d identifiers", MaxFilterIDs)
			}
		}
	}
	return ids, nil
}
