package domain_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

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
