package domain

import (
	"iter"
	"math/bits"
	"strings"
)

// Type is the kind of an event. The set is closed: there are seven and no more.
type Type uint8

// The seven types, in the order of the wire contract.
const (
	TypeJobQueued Type = 1 + iota
	TypeJobStarted
	TypeJobProgress
	TypeJobCompleted
	TypeJobFailed
	TypeNoteUpdated
	TypeQueueStatus

	typeEnd
)

var (
	typeNames  = [typeEnd]string{"", "JobQueued", "JobStarted", "JobProgress", "JobCompleted", "JobFailed", "NoteUpdated", "QueueStatus"}
	typeDotted = [typeEnd]string{"", "job.queued", "job.started", "job.progress", "job.completed", "job.failed", "note.updated", "queue.status"}
)

// String returns the name on the wire, such as JobCompleted; the empty string for a value outside the set.
func (t Type) String() string {
	if t >= typeEnd {
		return ""
	}
	return typeNames[t]
}

// Dotted returns the alternative name, such as job.completed.
func (t Type) Dotted() string {
	if t >= typeEnd {
		return ""
	}
	return typeDotted[t]
}

// ParseType accepts exactly the name on the wire.
func ParseType(s string) (Type, bool) {
	for t := TypeJobQueued; t < typeEnd; t++ {
		if typeNames[t] == s {
			return t, true
		}
	}
	return 0, false
}

// TypeSet is a set of types, one bit each. The zero set, in a Filter, stands for all types.
type TypeSet uint8

// AllTypes holds all seven.
const AllTypes TypeSet = 1<<typeEnd - 1<<TypeJobQueued

// Set returns the set of the types given.
func Set(types ...Type) (s TypeSet) {
	for _, t := range types {
		s |= 1 << t
	}
	return s
}

// Has reports whether the set holds t.
func (s TypeSet) Has(t Type) bool { return s>>t&1 == 1 }

// Len returns the number of types in the set.
func (s TypeSet) Len() int { return bits.OnesCount8(uint8(s)) }

// All yields the types in contract order.
func (s TypeSet) All() iter.Seq[Type] {
	return func(yield func(Type) bool) {
		for t := TypeJobQueued; t < typeEnd; t++ {
			if s.Has(t) && !yield(t) {
				return
			}
		}
	}
}

// Names returns the names on the wire in contract order.
func (s TypeSet) Names() []string {
	names := make([]string, 0, s.Len())
	for t := range s.All() {
		names = append(names, t.String())
	}
	return names
}

// families name several types at once.
var families = map[string]TypeSet{
	"job":   Set(TypeJobQueued, TypeJobStarted, TypeJobProgress, TypeJobCompleted, TypeJobFailed),
	"note":  Set(TypeNoteUpdated),
	"queue": Set(TypeQueueStatus),
}

// ParseTypes reads filter names: JobCompleted, job_completed, job.completed or a family (job, note, queue), in any case
// and also several in one string with commas between. Unknown names are ignored beside a known one, because newer
// clients may ask for more than there is; none known is a FieldError that lists the valid names. No name at all is the
// zero set.
func ParseTypes(field string, names []string) (TypeSet, error) {
	var set TypeSet
	var unknown string
	for _, list := range names {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.TrimSpace(name)
			if name == "" {
				continue
			}
			if s := lookupType(name); s != 0 {
				set |= s
			} else {
				unknown = name
			}
		}
	}
	if set == 0 && unknown != "" {
		return 0, Invalid(field, "%q is no event type; valid are %s, and the families job, note, queue",
			clip(unknown, 64), strings.Join(AllTypes.Names(), ", "))
	}
	return set, nil
}

var separators = strings.NewReplacer("_", "", ".", "", "-", "")

func lookupType(name string) TypeSet {
	if s, ok := families[strings.ToLower(name)]; ok {
		return s
	}
	plain := separators.Replace(name)
	for t := TypeJobQueued; t < typeEnd; t++ {
		if strings.EqualFold(typeNames[t], plain) {
			return Set(t)
		}
	}
	return 0
}

// clip shortens s to at most n bytes for use in a message, without cutting a character in two.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
