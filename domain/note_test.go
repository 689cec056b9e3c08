package domain_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

func TestNotePatchApply(t *testing.T) {
	before := domain.Note{ID: id(2), Title: "old", Content: "text", Tags: []string{"a"}, UserID: "ana", HasLinks: true, Revision: 7}
	for name, tt := range map[string]struct {
		patch   domain.NotePatch
		change  func(n *domain.Note)
		changed bool
	}{
		"nothing":                    {domain.NotePatch{}, func(*domain.Note) {}, false},
		"title":                      {domain.NotePatch{Title: ptr("new")}, func(n *domain.Note) { n.Title = "new" }, false},
		"title to nothing":           {domain.NotePatch{Title: ptr("")}, func(n *domain.Note) { n.Title = "" }, false},
		"user":                       {domain.NotePatch{UserID: ptr("bo")}, func(n *domain.Note) { n.UserID = "bo" }, false},
		"tags are trimmed, distinct": {domain.NotePatch{Tags: &[]string{" b ", "c", "b"}}, func(n *domain.Note) { n.Tags = []string{"b", "c"} }, false},
		"tags to nothing":            {domain.NotePatch{Tags: &[]string{}}, func(n *domain.Note) { n.Tags = []string{} }, false},
		"content":                    {domain.NotePatch{Content: ptr("more")}, func(n *domain.Note) { n.Content = "more" }, true},
		"content to nothing":         {domain.NotePatch{Content: ptr("")}, func(n *domain.Note) { n.Content = "" }, true},
		"content to what it is":      {domain.NotePatch{Content: ptr("text"), Title: ptr("new")}, func(n *domain.Note) { n.Title = "new" }, false},
		"content without a bound":    {domain.NotePatch{Content: ptr(strings.Repeat("x", 1<<20))}, func(n *domain.Note) { n.Content = strings.Repeat("x", 1<<20) }, true},
		"longest labels": {
			domain.NotePatch{Title: ptr(strings.Repeat("é", domain.MaxTitle)), UserID: ptr(strings.Repeat("é", domain.MaxUserID))},
			func(n *domain.Note) {
				n.Title, n.UserID = strings.Repeat("é", domain.MaxTitle), strings.Repeat("é", domain.MaxUserID)
			},
			false,
		},
		"repetitions do not count as tags": {
			domain.NotePatch{Tags: ptr(slices.Repeat([]string{"b"}, domain.MaxTags+1))},
			func(n *domain.Note) { n.Tags = []string{"b"} },
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := before
			tt.change(&want)
			got, changed, err := tt.patch.Apply(before)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Fatalf("Apply: %v (-want +got):\n%s", err, diff)
			}
			if changed != tt.changed {
				t.Errorf("content changed = %v, want %v", changed, tt.changed)
			}
			if before.Tags[0] != "a" {
				t.Error("Apply wrote to the tags of the note that it was given")
			}
		})
	}
}

func TestNotePatchApplyRefuses(t *testing.T) {
	manyTags := strings.Split(strings.Repeat("t,", domain.MaxTags), ",")
	for i := range manyTags {
		manyTags[i] += strings.Repeat("x", i)[:i%90] + string(rune('a'+i%26))
	}
	for name, tt := range map[string]struct {
		patch domain.NotePatch
		field string
	}{
		"NUL in title":   {domain.NotePatch{Title: ptr("a\x00")}, "title"},
		"NUL in content": {domain.NotePatch{Content: ptr("a\x00")}, "content"},
		"NUL in user":    {domain.NotePatch{UserID: ptr("\x00")}, "user_id"},
		"NUL in a tag":   {domain.NotePatch{Tags: &[]string{"a", "b\x00"}}, "tags"},
		"empty tag":      {domain.NotePatch{Tags: &[]string{"a", ""}}, "tags"},
		"blank tag":      {domain.NotePatch{Tags: &[]string{" \u00a0\n"}}, "tags"},
		"long title":     {domain.NotePatch{Title: ptr(strings.Repeat("é", domain.MaxTitle+1))}, "title"},
		"long user":      {domain.NotePatch{UserID: ptr(strings.Repeat("é", domain.MaxUserID+1))}, "user_id"},
		"long tag":       {domain.NotePatch{Tags: &[]string{strings.Repeat("é", domain.MaxTag+1)}}, "tags"},
		"many tags":      {domain.NotePatch{Tags: &manyTags}, "tags"},
	} {
		t.Run(name, func(t *testing.T) {
			_, changed, err := tt.patch.Apply(domain.Note{ID: id(2)})
			refused(t, err, tt.field)
			if changed && name != "NUL in content" {
				t.Error("an error, and yet a change of content")
			}
		})
	}
}

func TestNoteEventTellsTheNoteAsItIs(t *testing.T) {
	n := domain.Note{ID: id(2), Title: "T", Content: "never on the wire", Tags: []string{"a"}, UserID: "ana", HasAIContent: true, HasLinks: true}
	want := domain.NoteUpdated{
		NoteID: id(2), Operation: domain.Deleted, UserID: "ana", Title: "T", Tags: []string{"a"}, HasAIContent: true, HasLinks: true,
	}
	if diff := cmp.Diff(want, n.Event(domain.Deleted)); diff != "" {
		t.Errorf("Event (-want +got):\n%s", diff)
	}
}

// The work does not grow with the square of the number of tags: this would take hours.
func TestNotePatchWithVeryManyTags(t *testing.T) {
	tags := make([]string, 1_000_000)
	for i := range tags {
		tags[i] = strconv.Itoa(i)
	}
	_, _, err := domain.NotePatch{Tags: &tags}.Apply(domain.Note{})
	if fe, ok := errors.AsType[*domain.FieldError](err); !ok || fe.Field != "tags" {
		t.Errorf("%v; want a FieldError of tags", err)
	}
	for i := range tags {
		tags[i] = strconv.Itoa(i % domain.MaxTags)
	}
	if n, _, err := (domain.NotePatch{Tags: &tags}).Apply(domain.Note{}); err != nil || len(n.Tags) != domain.MaxTags {
		t.Errorf("%d tags, %v; want repetitions left out", len(n.Tags), err)
	}
}
