package domain_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

// mustBeFieldError fails unless err is one that a client may see, of bounded length.
func mustBeFieldError(t *testing.T, err error) {
	t.Helper()
	var fe *domain.FieldError
	if !errors.As(err, &fe) || !errors.Is(err, domain.ErrInvalid) {
		t.Fatalf("error %v (%T), want a FieldError", err, err)
	}
	if len(fe.Error()) > 1000 {
		t.Fatalf("error of %d bytes", len(fe.Error()))
	}
}

// What DecodeEvent accepts is encoded to bytes fit for every transport, which decode to the same.
func FuzzDecodeEvent(f *testing.F) {
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"type":"QueueStatus","occurred_at":"9999-12-31T23:59:59-01:00"}`))
	f.Add([]byte(`{"type":"QueueStatus","occurred_at":"0000-01-01T00:00:00+01:00"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := domain.DecodeEvent(data)
		if err != nil {
			mustBeFieldError(t, err)
			return
		}
		encoded := first.AppendJSON(nil)
		checkWireBytes(t, encoded)
		second, err := domain.DecodeEvent(encoded)
		if err != nil {
			t.Fatalf("DecodeEvent(%s): %v", encoded, err)
		}
		if again := second.AppendJSON(nil); !bytes.Equal(again, encoded) {
			t.Fatalf("%s became %s", encoded, again)
		}
	})
}

// What DecodeWorkerEvent accepts survives the outbox, and becomes an event that clients can read.
func FuzzDecodeWorkerEvent(f *testing.F) {
	f.Add([]byte(`{"type":"JobProgress","job_id":"` + uuidText + `","percent":65,"progress":65,"message":"é"}`))
	f.Add([]byte(`{"type":"job_failed","job_id":"` + uuidText + `","error":"e","will_retry":true,"occurred_at":"2026-11-23T12:41:48Z"}`))
	f.Add([]byte(`{"type":"JobCompleted","job_id":"` + uuidText + `","job_type":"AI_REVISION","duration_ms":12,"event_id":"` + uuidText + `"}`))
	f.Add([]byte(`{"type":"WorkerStarted"} x`))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := domain.DecodeWorkerEvent(data)
		if err != nil {
			mustBeFieldError(t, err)
			return
		}
		encoded, err := w.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		checkWireBytes(t, encoded)
		back, err := domain.DecodeWorkerEvent(encoded)
		if err != nil {
			t.Fatalf("DecodeWorkerEvent(%s): %v", encoded, err)
		}
		if again, err := back.MarshalJSON(); err != nil || !bytes.Equal(again, encoded) {
			t.Fatalf("%s became %s, %v", encoded, again, err)
		}
		payload, _, err := domain.Translate(w, domain.JobMemory{}, noon)
		if err != nil {
			t.Fatal(err)
		}
		if payload == nil {
			return
		}
		event := domain.Event{OccurredAt: noon, Payload: payload}.AppendJSON(nil)
		checkWireBytes(t, event)
		if _, err := domain.DecodeEvent(event); err != nil {
			t.Fatalf("DecodeEvent(%s): %v", event, err)
		}
	})
}

// What DecodeNoteEvent accepts survives the outbox, and becomes an event that clients can read.
func FuzzDecodeNoteEvent(f *testing.F) {
	f.Add([]byte(`{"operation":"created","note_id":"` + uuidText + `","user_id":"ana","title":"T","tags":["a","\u2028"],"has_links":true}`))
	f.Add([]byte(`{"operation":"deleted","note_id":"` + uuidText + `","event_id":"` + uuidText + `","occurred_at":"2026-11-23T12:41:48Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := domain.DecodeNoteEvent(data)
		if err != nil {
			mustBeFieldError(t, err)
			return
		}
		encoded, err := n.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		checkWireBytes(t, encoded)
		back, err := domain.DecodeNoteEvent(encoded)
		if err != nil {
			t.Fatalf("DecodeNoteEvent(%s): %v", encoded, err)
		}
		if again, err := back.MarshalJSON(); err != nil || !bytes.Equal(again, encoded) {
			t.Fatalf("%s became %s, %v", encoded, again, err)
		}
		event := domain.Event{OccurredAt: noon, Payload: n.Note}.AppendJSON(nil)
		checkWireBytes(t, event)
		if _, err := domain.DecodeEvent(event); err != nil {
			t.Fatalf("DecodeEvent(%s): %v", event, err)
		}
	})
}

func FuzzParseUUID(f *testing.F) {
	f.Add(uuidText)
	f.Add(strings.ToUpper(uuidText))
	f.Add("00000000-0000-0000-0000-000000000000")
	f.Add(strings.Repeat("-", 36))
	f.Fuzz(func(t *testing.T, s string) {
		u, err := domain.ParseUUID(s)
		if (err == nil) == u.IsZero() {
			t.Fatalf("ParseUUID(%q) = %v, %v", s, u, err)
		}
		if err == nil && u.String() != strings.ToLower(s) {
			t.Fatalf("ParseUUID(%q) = %v", s, u)
		}
	})
}

// What ParseTime accepts can be sent in turn, and is the same instant to a plain reader of RFC 3339.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{
		"2026-11-23T12:41:48Z", "2026-11-23T12:41:48.123456789+14:00", "2026-02-29T00:00:00Z", "2024-02-29T23:59:59.999Z", "2016-12-31T23:59:60Z",
		"9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00", "2026-11-23t12:41:48z", "2026-11-23 12:41:48Z", "2026-11-23T12:41:48", "2026-11-23T24:00:00Z",
		"2026-11-23T12:41:48,5Z", "12026-11-23T12:41:48Z", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := domain.ParseTime(s)
		if err != nil {
			return
		}
		sent := at.UTC().Format(domain.TimeLayout)
		if again, err := time.Parse(time.RFC3339, sent); err != nil || at.Sub(again) < 0 || at.Sub(again) >= time.Millisecond {
			t.Fatalf("ParseTime(%q) is sent as %s, which is %v later, %v", s, sent, at.Sub(again), err)
		}
	})
}

// What ParseFilter accepts is in bounds, without repetition, and is read again from its own names. Errors name one of the
// lists.
func FuzzParseFilter(f *testing.F) {
	f.Add("job,NoteUpdated", uuidText+", "+strings.ToUpper(uuidText), "")
	f.Add("", ",", uuidText)
	f.Add("nope", "", "")
	f.Add("nope,queue", "x", "")
	f.Add("", "", "00000000-0000-0000-0000-000000000000")
	f.Fuzz(func(t *testing.T, types, jobs, notes string) {
		lists := [3]domain.FilterList{{Field: "types", Values: []string{types}}, {Field: "job_id", Values: []string{jobs}}, {Field: "note_id", Values: []string{notes}}}
		filter, err := domain.ParseFilter(lists[0], lists[1], lists[2])
		if err != nil {
			mustBeFieldError(t, err)
			if fe, _ := errors.AsType[*domain.FieldError](err); !slices.Contains([]string{"types", "job_id", "note_id"}, fe.Field) {
				t.Fatalf("error of %q: %v", fe.Field, err)
			}
			return
		}
		lists[0].Values = filter.Types.Names()
		for i, ids := range [][]domain.UUID{filter.Jobs, filter.Notes} {
			names := make([]string, len(ids))
			for n, id := range ids {
				if names[n] = id.String(); id.IsZero() || slices.Index(ids, id) != n || n >= domain.MaxFilterIDs {
					t.Fatalf("identifier %d is %s of %v", n, id, ids)
				}
			}
			lists[1+i].Values = names
		}
		if again, err := domain.ParseFilter(lists[0], lists[1], lists[2]); err != nil || !cmp.Equal(again, filter) {
			t.Fatalf("%+v reads again as %+v, %v", filter, again, err)
		}
	})
}

// What ParseTypes accepts is a set of the seven, whose own names parse to the same set.
func FuzzParseTypes(f *testing.F) {
	for _, seed := range []string{"", "job", "JobCompleted,note.updated", "job_failed, nope", "queue-status", "nope", ",,", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, err := domain.ParseTypes("types", []string{s})
		if err != nil {
			mustBeFieldError(t, err)
			if set != 0 {
				t.Fatalf("%v beside an error", set.Names())
			}
			return
		}
		if set&^domain.AllTypes != 0 {
			t.Fatalf("ParseTypes(%q) = %#x, more than the seven", s, set)
		}
		if set == 0 && strings.TrimFunc(s, isSpaceOrComma) != "" {
			t.Fatalf("ParseTypes(%q) selects everything", s)
		}
		if again, err := domain.ParseTypes("types", set.Names()); err != nil || again != set {
			t.Fatalf("%v parses to %v, %v", set.Names(), again.Names(), err)
		}
	})
}

// What ParseJobType accepts is PascalCase letters and digits, and a fixed point.
func FuzzParseJobType(f *testing.F) {
	for _, seed := range []string{"AiRevision", "ai_revision", "AI-REVISION", "a_1_b", "A_", "_", "2step", "é", "a__b", "OCR"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		typ, err := domain.ParseJobType("job_type", s)
		if err != nil {
			mustBeFieldError(t, err)
			return
		}
		for i, c := range []byte(typ) {
			upper, lower, digit := c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9'
			if !upper && (i == 0 || !lower && !digit) {
				t.Fatalf("ParseJobType(%q) = %q is not PascalCase", s, typ)
			}
		}
		if again, err := domain.ParseJobType("job_type", string(typ)); err != nil || again != typ || typ == "" {
			t.Fatalf("ParseJobType(%q) = %q, which parses to %q, %v", s, typ, again, err)
		}
		if plain := strings.NewReplacer("_", "", "-", "").Replace(s); !strings.EqualFold(plain, string(typ)) {
			t.Fatalf("ParseJobType(%q) = %q", s, typ)
		}
	})
}

func isSpaceOrComma(r rune) bool { return r == ',' || unicode.IsSpace(r) }

// Of an object that encoding/json reads, those are refused that have a member whose name cannot be one of ours, wherever in the
// object it stands and however it is written; and null.
func FuzzDecodeStrict(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, ` {"a":1} `, `{"A":1}`, `{"a":{"A":[{"B":1}]}}`, `{"a":"\",\"B\":1"}`, `{"\u0061":1}`, `{"\u0041":1}`, `{"a":[1,"B",{"C":"}"}],"D":2}`, `{"a_1":"B","":0}`,
		`{"a\\":1}`, `{"ſ":1}`, `{"a":1,"a":2}`, `[]`, `{"a":1}{"b":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want, got map[string]json.RawMessage
		bad := json.Unmarshal(body, &want) != nil || want == nil
		for name := range want {
			bad = bad || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_", r) })
		}
		err := domain.DecodeStrict(body, &got)
		if bad != (err != nil) {
			t.Fatalf("%s: %v", body, err)
		}
		if err != nil {
			mustBeFieldError(t, err)
		}
	})
}
