package domain_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain"
)

func TestDecodeNoteEventRefuses(t *testing.T) {
	const created = `"operation":"created","note_id":"` + uuidText + `"`
	tags := func(n int) string { return `,"tags":["t"` + strings.Repeat(`,"t"`, n-1) + `]` }
	text := func(n int) string { return `"` + strings.Repeat("é", n) + `"` }
	refuse(t, map[string]badInput{
		"no members":          {``, "operation", "required"},
		"null operation":      {`"operation":null`, "operation", "required"},
		"unknown operation":   {`"operation":"renamed","note_id":"` + uuidText + `"`, "operation", `not "renamed"`},
		"very long operation": {`"operation":` + text(5000), "operation", "…"},
		"no note_id":          {`"operation":"created"`, "note_id", "required"},
		"null note_id":        {`"operation":"created","note_id":null`, "note_id", "required"},
		"empty note_id":       {`"operation":"created","note_id":""`, "note_id", "UUID"},
		"bad note_id":         {`"operation":"created","note_id":"7"`, "note_id", "UUID"},
		"bad event_id":        {created + `,"event_id":"7"`, "event_id", "UUID"},
		"bad occurred_at":     {created + `,"occurred_at":"now"`, "occurred_at", "RFC 3339"},
		"operation as number": {`"operation":1`, "operation", "a string, not a number"},
		"note_id as a number": {`"operation":"created","note_id":7`, "note_id", "a string, not a number"},
		"user_id as a number": {created + `,"user_id":7`, "user_id", "a string, not a number"},
		"title as an array":   {created + `,"title":[]`, "title", "a string, not an array"},
		"tags as text":        {created + `,"tags":"a,b"`, "tags", "an array, not a string"},
		"tags as an object":   {created + `,"tags":{}`, "tags", "an array, not an object"},
		"a tag as a number":   {created + `,"tags":["a",7]`, "tags", "a string, not a number"},
		"flag as text":        {created + `,"has_ai_content":"no"`, "has_ai_content", "true or false, not a string"},
		"flag as a number":    {created + `,"has_links":0`, "has_links", "true or false, not a number"},
		"unknown field":       {created + `,"content":"x"`, "content", "unknown field"},
		"NUL in user_id":      {created + `,"user_id":"\u0000"`, "user_id", "NUL"},
		"NUL in title":        {created + `,"title":"\u0000"`, "title", "NUL"},
		"NUL in a tag":        {created + `,"tags":["a\u0000"]`, "tags", "NUL"},
		"empty tag":           {created + `,"tags":["a",""]`, "tags", "empty tag"},
		"null tag":            {created + `,"tags":[null]`, "tags", "empty tag"},
		"blank tag":           {created + `,"tags":[" \t"]`, "tags", "empty tag"},
		"long user_id":        {created + `,"user_id":` + text(domain.MaxUserID+1), "user_id", "200"},
		"long title":          {created + `,"title":` + text(domain.MaxTitle+1), "title", "1000"},
		"long tag":            {created + `,"tags":[` + text(domain.MaxTag+1) + `]`, "tags", "100 characters"},
		"many tags":           {created + tags(domain.MaxTags+1), "tags", "100 entries"},
		"trailing object":     {created + `}{`, "", "after the JSON value"},
	}, func(data []byte) error {
		_, err := domain.DecodeNoteEvent(data)
		return err
	})

	longest := created + tags(domain.MaxTags) + `,"user_id":` + text(domain.MaxUserID) + `,"title":` + text(domain.MaxTitle)
	if _, err := domain.DecodeNoteEvent([]byte("{" + longest + "}")); err != nil {
		t.Errorf("the longest members that are allowed: %v", err)
	}
}

func TestNoteEventSurvivesEncoding(t *testing.T) {
	label := rapid.Map(genStorable, func(s string) string { return clipped("x"+s, domain.MaxTag) })
	rapid.Check(t, func(t *rapid.T) {
		n := domain.NoteEvent{Note: drawNote(t, label)}
		if rapid.Bool().Draw(t, "bare") {
			n.Note.UserID, n.Note.Title, n.Note.Tags = "", "", nil
		} else {
			n.EventID, n.OccurredAt = genUUID.Draw(t, "event"), genTime.Draw(t, "at")
		}
		data, err := n.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		checkWireBytes(t, data)
		got, err := domain.DecodeNoteEvent(data)
		if err != nil {
			t.Fatalf("DecodeNoteEvent(%s): %v", data, err)
		}
		n.Note = withReplaced(n.Note).(domain.NoteUpdated)
		if diff := cmp.Diff(n, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s changed on the way (-sent +received):\n%s", data, diff)
		}
	})
}

// clipped returns the first n characters.
func clipped(s string, n int) string {
	r := []rune(s)
	return string(r[:min(n, len(r))])
}
