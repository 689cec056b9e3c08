package sqlstore

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/pgtest"
)

// openDeaf opens a database that looks for nothing that it was not told of.
func openDeaf(t testing.TB) *DB {
	db := openKind(t, pgtest.Database(t))
	e, ok := db.engine.(postgresEngine)
	if !ok {
		t.Fatalf("engine %T", db.engine)
	}
	e.pulse = time.Hour
	db.engine = e
	return db
}

// hearing has the database listen until the test ends.
func hearing(t *testing.T, db *DB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done, listens := make(chan error, 1), make(chan struct{})
	db.OnCommit("any table", sync.OnceFunc(func() { close(listens) }))
	go func() { done <- db.Listen(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Listen = %v", err)
		}
	})
	<-listens
}

// rouse makes records until the reader stays awake.
func rouse(t *testing.T, db *DB, w *watchman) {
	t.Helper()
	for n := 1000; w.state != awake; n++ {
		commit(t, begin(t, db, n))
		if err := db.Outbox().Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		drained(t, db)
	}
}

// A transaction that met an awake reader, and therefore did not ring, commits when the reader is on its way to sleep.
func TestPostgresReaderDoesNotSleepTooEarly(t *testing.T) {
	t.Parallel()
	db := openDeaf(t)
	hearing(t, db)
	w := &db.reader.(*postgresReader).watchman
	rouse(t, db, w)
	late := begin(t, db, 1)
	for w.state != settling {
		drained(t, db)
		if err := db.Outbox().Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 { // however often it looks meanwhile
		drained(t, db)
		if err := db.Outbox().Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.state == asleep {
			t.Fatal("it sleeps while a transaction is open that did not ring")
		}
	}
	commit(t, late)
	for got := drained(t, db); len(got) == 0 || got[0] != testID(1); got = drained(t, db) {
		if err := db.Outbox().Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for w.state != asleep {
		drained(t, db)
		if err := db.Outbox().Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	drained(t, db)
	commit(t, begin(t, db, 2)) // rings
	if err := db.Outbox().Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := drained(t, db); len(got) != 1 || got[0] != testID(2) {
		t.Errorf("read %v; want what was written while it slept", got)
	}
}

// Writers come in bursts and take breaks; transactions stay open for a while. Nothing waits for the pulse, which is away.
func TestPostgresReaderIsToldOfEverything(t *testing.T) {
	t.Parallel()
	db := openDeaf(t)
	hearing(t, db)
	const writers, each = 4, 150
	var wg sync.WaitGroup
	for wr := range writers {
		wg.Go(func() {
			for i := range each {
				tx := begin(t, db, wr*each+i)
				if rand.IntN(10) == 0 {
					time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) // longer than the reader stays awake
				}
				if err := tx.Commit(); err != nil {
					t.Error(err)
				}
				if rand.IntN(30) == 0 {
					time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
				}
			}
		})
	}
	seen := map[domain.UUID]bool{}
	for len(seen) < writers*each {
		if err := db.Outbox().Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, id := range drained(t, db) {
			if seen[id] {
				t.Errorf("%s was read twice", id)
			}
			seen[id] = true
		}
	}
	wg.Wait()
}

// Nobody rings while the reader is awake, so that transactions commit side by side.
func TestPostgresAwakeReaderIsNotRung(t *testing.T) {
	t.Parallel()
	db := openDeaf(t)
	hearing(t, db)
	w := &db.reader.(*postgresReader).watchman
	rouse(t, db, w)
	drained(t, db)
	rung := make(chan struct{}, 100)
	db.OnCommit("outbox", func() { rung <- struct{}{} })
	for n := range 20 {
		commit(t, begin(t, db, n))
	}
	exec(t, db.SQL(), `SELECT pg_notify('matric_outbox', '')`) // comes after what was there before
	<-rung
	if len(rung) > 0 {
		t.Errorf("rung %d times more", len(rung))
	}
	if got := drained(t, db); len(got) != 20 {
		t.Errorf("read %d records; want 20", len(got))
	}
}

// A busy application always has transactions open that have rung. They do not keep the reader from staying awake.
func TestPostgresReaderStaysAwakeWhileOthersHaveRung(t *testing.T) {
	t.Parallel()
	db := openDeaf(t)
	hearing(t, db)
	open := begin(t, db, 1)
	defer open.Rollback()
	rouse(t, db, &db.reader.(*postgresReader).watchman)
}
