package domain_test

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file of testdata, or writes the file under -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test -update rewrites it):\n%s", path, diff)
	}
}

// id returns a recognizable identifier that ends in n.
func id(n byte) domain.UUID {
	u, err := domain.ParseUUID("019ab3f2-7c01-7d4e-8a5b-0123456789ab")
	if err != nil {
		panic(err)
	}
	u[15] = n
	return u
}

var noon = time.Date(2026, 11, 23, 12, 41, 48, 123e6, time.UTC)

func ptr[T any](v T) *T { return &v }

// fieldError returns err as the FieldError about the field that it must be.
func fieldError(t *testing.T, err error, field string) *domain.FieldError {
	t.Helper()
	var fe *domain.FieldError
	if !errors.As(err, &fe) || !errors.Is(err, domain.ErrInvalid) {
		t.Fatalf("error %v (%T), want a FieldError about %q", err, err, field)
	}
	if fe.Field != field {
		t.Fatalf("error %q is about %q, want %q", fe, fe.Field, field)
	}
	if fe.Index != domain.NoIndex {
		t.Fatalf("error %q has index %d outside a batch", fe, fe.Index)
	}
	return fe
}

// refused fails unless err is a FieldError about the field.
func refused(t *testing.T, err error, field string) {
	t.Helper()
	_ = fieldError(t, err, field)
}

// Generators. Hostile strings are what breaks hand-written JSON encoders and line protocols.
var (
	genUUID = rapid.Custom(func(t *rapid.T) (u domain.UUID) {
		copy(u[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))
		if u.IsZero() {
			u[0] = 1
		}
		return u
	})
	genHostile = rapid.OneOf(
		rapid.String(),
		rapid.StringOf(rapid.SampledFrom([]rune("\"\\/\n\r\t\b\f\x00\x1f\x7f\u0085\u2028\u2029\ufeff\ufffd😀👩‍👩‍👧<>&'é"))),
		rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) }),
		rapid.SampledFrom([]string{`","type":"QueueStatus`, "data: x\n\nevent: y", "\xed\xa0\x80", "\xf0\x9f\x98", "a\xffb"}),
	)
	genTime = rapid.Custom(func(t *rapid.T) time.Time {
		first := time.Date(1, 1, 1, 0, 0, 0, 1e6, time.UTC).UnixMilli()
		last := time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC).UnixMilli()
		return time.UnixMilli(rapid.Int64Range(first, last).Draw(t, "ms")).UTC()
	})
	genJobType = rapid.Map(rapid.StringMatching(`[A-Z][A-Za-z0-9]{0,30}`), func(s string) domain.JobType { return domain.JobType(s) })
	genPayload = rapid.OneOf(
		rapid.Custom(func(t *rapid.T) domain.Payload {
			return domain.JobQueued{JobRef: drawRef(t), Priority: optional(t, rapid.Int(), "priority")}
		}),
		rapid.Custom(func(t *rapid.T) domain.Payload { return domain.JobStarted{JobRef: drawRef(t)} }),
		rapid.Custom(func(t *rapid.T) domain.Payload {
			ref := drawRef(t)
			if rapid.Bool().Draw(t, "untyped") {
				ref.JobType = ""
			}
			return domain.JobProgress{JobRef: ref, Percent: rapid.IntRange(0, 100).Draw(t, "percent"), Message: genHostile.Draw(t, "message")}
		}),
		rapid.Custom(func(t *rapid.T) domain.Payload {
			return domain.JobCompleted{JobRef: drawRef(t), DurationMS: optional(t, rapid.Int64(), "duration")}
		}),
		rapid.Custom(func(t *rapid.T) domain.Payload {
			return domain.JobFailed{JobRef: drawRef(t), Error: genHostile.Draw(t, "error"), WillRetry: rapid.Bool().Draw(t, "retry")}
		}),
		rapid.Custom(func(t *rapid.T) domain.Payload { return drawNote(t, genHostile) }),
		rapid.Custom(func(t *rapid.T) domain.Payload {
			return domain.QueueStatus{Running: rapid.IntMin(0).Draw(t, "running"), Pending: rapid.IntMin(0).Draw(t, "pending")}
		}),
	)
	genEvent = rapid.Custom(func(t *rapid.T) domain.Event {
		e := domain.Event{OccurredAt: genTime.Draw(t, "at"), Payload: genPayload.Draw(t, "payload")}
		if !rapid.Bool().Draw(t, "snapshot") {
			e.ID = genUUID.Draw(t, "id")
		}
		return e
	})
)

func drawRef(t *rapid.T) domain.JobRef {
	ref := domain.JobRef{JobID: genUUID.Draw(t, "job"), JobType: genJobType.Draw(t, "type")}
	if rapid.Bool().Draw(t, "has note") {
		ref.NoteID = genUUID.Draw(t, "note")
	}
	return ref
}

func drawNote(t *rapid.T, text *rapid.Generator[string]) domain.NoteUpdated {
	return domain.NoteUpdated{
		NoteID:       genUUID.Draw(t, "note"),
		Operation:    rapid.SampledFrom([]domain.Operation{domain.Created, domain.Updated, domain.Deleted}).Draw(t, "operation"),
		UserID:       text.Draw(t, "user"),
		Title:        text.Draw(t, "title"),
		Tags:         rapid.SliceOfN(text, 0, 4).Draw(t, "tags"),
		HasAIContent: rapid.Bool().Draw(t, "ai"),
		HasLinks:     rapid.Bool().Draw(t, "links"),
	}
}

func optional[T any](t *rapid.T, g *rapid.Generator[T], label string) *T {
	if rapid.Bool().Draw(t, "no "+label) {
		return nil
	}
	return ptr(g.Draw(t, label))
}

// replaced is what JSON text makes of a string: each byte that is not UTF-8 becomes U+FFFD.
func replaced(s string) string { return string([]rune(s)) }

// noGoWords fails when a message for people speaks of Go.
func noGoWords(t *testing.T, msg string) {
	t.Helper()
	for _, word := range []string{"Go ", "json:", "domain.", "wire", "struct", "int64", "*string", "[]string", "unmarshal", "Unmarshal"} {
		if strings.Contains(msg, word) {
			t.Errorf("message %q speaks of Go (%q)", msg, word)
		}
	}
}
