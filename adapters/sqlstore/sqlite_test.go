package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/contract"
)

func FuzzSearch(f *testing.F) {
	for _, s := range contract.HostileSearches {
		f.Add(s)
	}
	db, err := Open(f.Context(), "sqlite:"+filepath.Join(f.TempDir(), "fuzz.db"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	if _, err := db.MigrateUp(f.Context()); err != nil {
		f.Fatal(err)
	}
	notes := db.Notes(nil)
	f.Fuzz(func(t *testing.T, s string) {
		if _, _, err := notes.Notes(t.Context(), domain.NoteQuery{Search: s, Limit: 1}); err != nil {
			t.Errorf("search %q: %v", s, err)
		}
	})
}

func TestSearchTerm(t *testing.T) {
	for _, c := range []struct{ why, in, want string }{
		{"nothing", "", ""},
		{"nothing but space and NUL", " \x00\t\u00a0", ""},
		{"the last word is a prefix", "big cat", `"big" "cat"*`},
		{"quotes are doubled", `say "hi"`, `"say" """hi"""*`},
		{"operators are words", "a NOT b*", `"a" "NOT" "b*"*`},
	} {
		if got := searchTerm(c.in); got != c.want {
			t.Errorf("%s: searchTerm(%q) = %s; want %s", c.why, c.in, got, c.want)
		}
	}
}

func TestTranslate(t *testing.T) {
	db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "test.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	write := func(q string) error { _, err := db.SQL().ExecContext(t.Context(), q); return err }
	read := func(q string) error { _, err := db.ReadSQL().ExecContext(t.Context(), q); return err }
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, errCanceled := db.SQL().ExecContext(canceled, `SELECT 1`)
	const insert = `INSERT INTO outbox (position, kind, body) VALUES (1, 'note', '')`
	for _, c := range []struct {
		why  string
		err  error
		want error
	}{
		{"success", write(insert), nil},
		{"no row", sql.ErrNoRows, domain.ErrNotFound},
		{"a constraint", write(insert), domain.ErrConflict},
		{"no space left", errors.Join(write(`PRAGMA max_page_count = 1`), write(`INSERT INTO outbox (kind, body) VALUES ('note', hex(zeroblob(1000000)))`)), domain.ErrUnavailable},
		{"a write where only reading is allowed", read(`DELETE FROM outbox`), domain.ErrUnavailable},
		{"the caller gave up", errCanceled, context.Canceled},
	} {
		if got := translate(c.err); !errors.Is(got, c.want) {
			t.Errorf("%s: translate(%v) = %v; want %v", c.why, c.err, got, c.want)
		}
	}
	mistake := write(`SELEKT 1`)
	if got := translate(mistake); got != mistake { //nolint:errorlint // it must be the very error
		t.Errorf("a mistake of ours is not the fault of the world: %v", got)
	}
	if err := write(insert); err == nil || !strings.Contains(translate(err).Error(), "UNIQUE") {
		t.Errorf("the text for logs is lost: %v", translate(err))
	}
}

func TestClosed(t *testing.T) {
	db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "test.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	notes, outbox, ctx := db.Notes(nil), db.Outbox(), t.Context()
	for call, fn := range map[string]func() error{
		"Write":           func() error { return notes.Write(ctx, domain.UUID{1}, nil) },
		"Note":            func() error { _, err := notes.Note(ctx, domain.UUID{1}); return err },
		"Notes":           func() error { _, _, err := notes.Notes(ctx, domain.NoteQuery{Limit: 1}); return err },
		"Notes, page":     func() error { _, _, err := notes.Notes(ctx, domain.NoteQuery{Before: domain.UUID{1}}); return err },
		"Pending":         func() error { _, err := outbox.Pending(ctx, 1); return err },
		"Remove":          func() error { return outbox.Remove(ctx, 1) },
		"WriteCanary":     func() error { return outbox.WriteCanary(ctx, domain.UUID{1}) },
		"Check":           func() error { return db.Check(ctx) },
		"MigrateUp":       func() error { _, err := db.MigrateUp(ctx); return err },
		"MigrateDown":     func() error { _, err := db.MigrateDown(ctx); return err },
		"MigrationStatus": func() error { _, err := db.MigrationStatus(ctx); return err },
		"Close":           db.Close,
	} {
		if err := fn(); err == nil || !strings.HasPrefix(err.Error(), "sqlstore: ") {
			t.Errorf("%s = %v after Close; want an error that says where it comes from", call, err)
		}
	}
	if err := outbox.Wait(ctx); err != nil {
		t.Errorf("a reader must find out that it is over: %v", err)
	}
}
