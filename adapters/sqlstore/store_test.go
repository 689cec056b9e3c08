package sqlstore_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
	"github.com/matric/matric-events/tests/contract"
	"github.com/matric/matric-events/tests/pgtest"
)

// open returns a migrated database with a table for the jobs that tests enqueue.
func open(t testing.TB, path string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), "sqlite:"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // again, for most
	if _, err := db.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, `CREATE TABLE IF NOT EXISTS test_job (place INTEGER PRIMARY KEY, spec TEXT NOT NULL)`)
	return db
}

func closeDB(t testing.TB, db *sqlstore.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func temp(t testing.TB) string { return filepath.Join(t.TempDir(), "test.db") }

func mustExec(t testing.TB, db *sqlstore.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.SQL().ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func enqueue(ctx context.Context, tx *sql.Tx, spec domain.JobSpec) error {
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO test_job (spec) VALUES ($1)`, string(b))
	return err
}

func jobs(t *testing.T, db *sqlstore.DB) (specs []domain.JobSpec) {
	t.Helper()
	rows, err := db.ReadSQL().QueryContext(t.Context(), `SELECT spec FROM test_job ORDER BY place`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() // it was only read
	for rows.Next() {
		var spec domain.JobSpec
		var b []byte
		if err := errors.Join(rows.Scan(&b), json.Unmarshal(b, &spec)); err != nil {
			t.Fatal(err)
		}
		specs = append(specs, spec)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return specs
}

// inTx runs fn in a transaction of the writer.
func inTx(t *testing.T, db *sqlstore.DB, fn func(tx *sql.Tx) error) {
	t.Helper()
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() // after a commit it has nothing to do
	if err := errors.Join(fn(tx), tx.Commit()); err != nil {
		t.Fatal(err)
	}
}

func TestNotesContract(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		contract.Notes(t, func(t *testing.T) contract.NotesFixture { return notesFixture(open(t, temp(t))) })
	})
	t.Run("postgres", func(t *testing.T) {
		url, key := pgtest.Database(t), temp(t)
		contract.Notes(t, func(t *testing.T) contract.NotesFixture {
			db := openURL(t, url, key)
			mustExec(t, db, `DROP TABLE IF EXISTS test_job`)
			mustExec(t, db, `CREATE TABLE test_job (place bigint GENERATED ALWAYS AS IDENTITY, spec text NOT NULL)`)
			mustExec(t, db, `TRUNCATE note, note_index, note_link, outbox`)
			return notesFixture(db)
		})
	})
}

func notesFixture(db *sqlstore.DB) contract.NotesFixture {
	var refusal atomic.Pointer[error]
	notes := db.Notes(func(ctx context.Context, tx *sql.Tx, spec domain.JobSpec) error {
		if err := refusal.Load(); err != nil && *err != nil {
			return *err
		}
		return enqueue(ctx, tx, spec)
	})
	return contract.NotesFixture{
		Notes: notes, Outbox: db.Outbox(),
		Jobs:       func(t *testing.T) []domain.JobSpec { return jobs(t, db) },
		RefuseJobs: func(err error) { refusal.Store(&err) },
		Analyze: func(t *testing.T, a domain.Analysis) (changed *domain.Note) {
			inTx(t, db, func(tx *sql.Tx) (err error) {
				changed, err = db.ApplyAnalysis(t.Context(), tx, a)
				return err
			})
			return changed
		},
	}
}

func TestOutboxContract(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		contract.Outbox(t, func(t *testing.T) contract.OutboxFixture {
			path := temp(t)
			return outboxFixture(t, openURL(t, "sqlite:"+path, path+".key"), "sqlite:"+path, path+".key")
		})
	})
	t.Run("postgres", func(t *testing.T) {
		url, key := pgtest.Database(t), temp(t)
		contract.Outbox(t, func(t *testing.T) contract.OutboxFixture {
			db := openURL(t, url, key)
			mustExec(t, db, `TRUNCATE outbox`)
			return outboxFixture(t, db, url, key)
		})
	})
}

func outboxFixture(t *testing.T, db *sqlstore.DB, url, key string) contract.OutboxFixture {
	return contract.OutboxFixture{
		Outbox: db.Outbox(), Keeper: db.Outbox(), Probe: db.Outbox(),
		Append: func(t *testing.T, kind, body string) {
			inTx(t, db, func(tx *sql.Tx) error { return db.AppendOutbox(t.Context(), tx, kind, body) })
		},
		Reopen: func(t *testing.T) contract.OutboxFixture {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return outboxFixture(t, openURL(t, url, key), url, key)
		},
	}
}

func noteID(n int) domain.UUID {
	return domain.UUID{15: byte(n), 14: byte(n >> 8), 13: byte(n >> 16), 6: 0x70, 8: 0x80}
}

var birth = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// write returns a write of the note n with the given operation, event and job.
func write(n int, op domain.Operation) (domain.UUID, func(*domain.Note) (ports.NoteWrite, error)) {
	note := domain.Note{
		ID: noteID(n), Title: fmt.Sprintf("Title %d", n), Content: "Some content of a note.", Tags: []string{"tag"},
		Revision: 1, CreatedAt: birth, UpdatedAt: birth,
	}
	return note.ID, func(*domain.Note) (ports.NoteWrite, error) {
		return ports.NoteWrite{
			Note:  note,
			Event: domain.NoteEvent{EventID: noteID(n + 1<<20), OccurredAt: birth, Note: note.Event(op)},
			Job:   &domain.JobSpec{ID: noteID(n + 1<<21), Type: domain.JobNoteAnalysis, NoteID: note.ID},
		}, nil
	}
}

func TestWriterSurvivesCanceledCalls(t *testing.T) {
	db := open(t, temp(t))
	notes := db.Notes(enqueue)
	for n := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		id, change := write(n, domain.Created)
		err := notes.Write(ctx, id, func(current *domain.Note) (ports.NoteWrite, error) {
			cancel() // in the middle of the transaction
			return change(current)
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("Write = %v; want it canceled", err)
		}
		if err := notes.Write(t.Context(), id, change); err != nil {
			t.Fatalf("the next write: %v", err)
		}
	}
	if got, err := db.Outbox().Pending(t.Context(), 100); err != nil || len(got) != 20 {
		t.Errorf("%d events, %v; want 20", len(got), err)
	}
}

func TestWriterSurvivesPanics(t *testing.T) {
	db := open(t, temp(t))
	notes := db.Notes(enqueue)
	func() {
		defer func() { _ = recover() }()
		_ = notes.Write(t.Context(), noteID(1), func(*domain.Note) (ports.NoteWrite, error) { panic("in change") })
	}()
	id, change := write(1, domain.Created)
	if err := notes.Write(t.Context(), id, change); err != nil {
		t.Error(err)
	}
}

// The file is also open to the sqlite3 command, and readers go on while somebody writes.
func TestReadersAndWritersDoNotMeet(t *testing.T) {
	db := open(t, temp(t))
	notes := db.Notes(enqueue)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 20 {
				id, change := write(w*100+n, domain.Created)
				if err := notes.Write(t.Context(), id, change); err != nil {
					t.Error(err)
				}
				if _, err := notes.Note(t.Context(), id); err != nil {
					t.Errorf("what was written cannot be read: %v", err)
				}
				if _, _, err := notes.Notes(t.Context(), domain.NoteQuery{Search: "title", Limit: 3}); err != nil {
					t.Error(err)
				}
				inTx(t, db, func(tx *sql.Tx) error {
					_, err := db.ApplyAnalysis(t.Context(), tx, domain.Analysis{NoteID: id, Revision: 1, Index: true})
					return err
				})
			}
		})
	}
	wg.Wait()
}

func TestDeletedNoteLeavesNothing(t *testing.T) {
	db := open(t, temp(t))
	id, create := write(1, domain.Created)
	_, remove := write(1, domain.Deleted)
	if err := db.Notes(enqueue).Write(t.Context(), id, create); err != nil {
		t.Fatal(err)
	}
	inTx(t, db, func(tx *sql.Tx) error {
		_, err := db.ApplyAnalysis(t.Context(), tx, domain.Analysis{NoteID: id, Revision: 1, Index: true, Links: &[]domain.Link{{Title: "A"}}})
		return err
	})
	count := func(want int) {
		t.Helper()
		for _, table := range []string{"note", "note_link", "note_index_docsize"} {
			var rows int
			if err := db.ReadSQL().QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&rows); err != nil || rows != want {
				t.Errorf("%d rows in %s, %v; want %d", rows, table, err, want)
			}
		}
	}
	count(1)
	if err := db.Notes(enqueue).Write(t.Context(), id, remove); err != nil {
		t.Fatal(err)
	}
	count(0)
}

func BenchmarkWrite(b *testing.B) {
	notes := open(b, temp(b)).Notes(enqueue)
	n := 0
	for b.Loop() {
		n++
		id, change := write(n, domain.Created)
		if err := notes.Write(b.Context(), id, change); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}
