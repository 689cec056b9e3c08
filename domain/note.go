package domain

import (
	"slices"
	"strings"
	"time"
)

// Bounds of a note's members, in characters.
const (
	MaxTitle  = 1000
	MaxUserID = 200
	MaxTag    = 100
	MaxTags   = 100
)

// Note is a note of the built-in host.
type Note struct {
	ID            UUID
	Title         string
	Content       string
	Tags          []string
	UserID        string
	HasAIContent  bool
	HasLinks      bool     // the content has [[title]] or URL links, as found by the last analysis
	SuggestedTags []string // by term frequency, as found by the last analysis
	Revision      int64    // rises with each change of the content; never leaves on the wire
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// NotePatch changes some members of a note; nil leaves one as it is.
type NotePatch struct {
	Title   *string
	Content *string
	Tags    *[]string
	UserID  *string
}

// Apply returns the note with the patch applied, and whether the content changed, which calls for a new analysis.
func (p NotePatch) Apply(n Note) (out Note, contentChanged bool, err error) {
	if p.Title != nil {
		n.Title = *p.Title
	}
	if p.UserID != nil {
		n.UserID = *p.UserID
	}
	if p.Tags != nil {
		n.Tags = distinct(*p.Tags)
	}
	if p.Content != nil {
		contentChanged = *p.Content != n.Content
		n.Content = *p.Content
	}
	if err := checkLabels(n.UserID, n.Title, n.Tags); err != nil {
		return Note{}, false, err
	}
	return n, contentChanged, text("content", n.Content, 0)
}

// Event returns what clients are told of the note.
func (n *Note) Event(op Operation) NoteUpdated {
	return NoteUpdated{
		NoteID: n.ID, Operation: op, UserID: n.UserID, Title: n.Title, Tags: n.Tags,
		HasAIContent: n.HasAIContent, HasLinks: n.HasLinks,
	}
}

// NoteQuery selects notes for a list, newest first.
type NoteQuery struct {
	Search string // words that must all occur in title, content or tags; empty for a plain list
	Tag    string
	Links  UUID // notes whose content links to this one by its title, as found by their last analysis; zero for any
	Before UUID // notes created before this one; zero for the newest
	Limit  int
}

func checkLabels(user, title string, tags []string) error {
	if err := text("user_id", user, MaxUserID); err != nil {
		return err
	}
	if err := text("title", title, MaxTitle); err != nil {
		return err
	}
	if len(tags) > MaxTags {
		return Invalid("tags", "must have at most %d entries", MaxTags)
	}
	for _, tag := range tags {
		if strings.TrimSpace(tag) == "" {
			return Invalid("tags", "must not hold an empty tag")
		}
		if err := text("tags", tag, MaxTag); err != nil {
			return err
		}
	}
	return nil
}

// distinct returns the tags without surrounding space and repetitions, in their order; of too many, one more than there may
// be, lest the work grow with the square of what a client sends.
func distinct(tags []string) []string {
	out := make([]string, 0, min(len(tags), MaxTags+1))
	for _, tag := range tags {
		if len(out) > MaxTags {
			break
		}
		if tag = strings.TrimSpace(tag); !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	return out
}
