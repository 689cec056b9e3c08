package sqlstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/matric/matric-events/adapters/sqlstore"
)

// silent reports whether nothing rings. Wait with a context that has ended is all the looking there is to it.
func silent(t *testing.T, o *sqlstore.Outbox) bool {
	t.Helper()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // with both at hand it would choose either
		if o.Wait(over) == nil {
			return false
		}
	}
	return true
}

func TestNothingWakesTheReaderForNothing(t *testing.T) {
	db := open(t, temp(t))
	o := db.Outbox()
	look := func() {
		t.Helper()
		if _, err := o.Pending(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
	}
	if silent(t, o) {
		t.Error("a new process must look at what an old one left")
	}
	look()
	if !silent(t, o) {
		t.Error("it rings though all was seen")
	}
	mustExec(t, db, `INSERT INTO test_job (spec) VALUES ('x')`)
	if !silent(t, o) {
		t.Error("a commit elsewhere woke the reader")
	}
	tx, err := db.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.AppendOutbox(t.Context(), tx, "worker", "{}"), tx.Rollback()); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, `INSERT INTO test_job (spec) VALUES ('y')`) // its commit must not be taken for that of the rolled back one
	if !silent(t, o) {
		t.Error("a rollback woke the reader")
	}
	if err := o.WriteCanary(t.Context(), noteID(1)); err != nil {
		t.Fatal(err)
	}
	look()
	if err := o.Remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if !silent(t, o) {
		t.Error("a removal woke the reader")
	}
}

func TestTriggersWakeTheReader(t *testing.T) {
	db := open(t, temp(t))
	mustExec(t, db, `CREATE TRIGGER test AFTER INSERT ON test_job BEGIN
		INSERT INTO outbox (kind, body) VALUES ('canary', json_object('event_id', NEW.spec)); END`)
	if _, err := db.Outbox().Pending(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, `INSERT INTO test_job (spec) VALUES (?)`, noteID(1).String())
	if err := db.Outbox().Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := db.Outbox().Pending(t.Context(), 100)
	if err != nil || len(got) != 1 || got[0].Canary != noteID(1) {
		t.Errorf("Pending = %+v, %v", got, err)
	}
}

func TestOnCommit(t *testing.T) {
	db := open(t, temp(t))
	var calls int
	db.OnCommit("test_job", func() { calls++ })
	mustExec(t, db, `INSERT INTO test_job (spec) VALUES ('a'), ('b')`)
	mustExec(t, db, `UPDATE test_job SET spec = 'c'`)
	mustExec(t, db, `DELETE FROM test_job WHERE spec = 'c'`)
	mustExec(t, db, `INSERT INTO outbox (kind, body) VALUES ('canary', '')`)
	if calls != 2 {
		t.Errorf("called %d times, want once for the insert and once for the update", calls)
	}
}
