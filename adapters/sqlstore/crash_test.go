package sqlstore_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

func pid(n int) string { return "process " + strconv.Itoa(n) }

// Where a child of TestKill kills itself, besides where its parent does.
const (
	beforeRow     = "in change"
	beforeJob     = "before the job"
	afterJob      = "after the job"
	inCommit      = "in commit"
	byParent      = "at any moment"
	crashPathVar  = "SQLSTORE_TEST_PATH"
	crashPointVar = "SQLSTORE_TEST_POINT"
	crashCountVar = "SQLSTORE_TEST_COUNT"
)

// TestKill kills processes that write notes at every place between two statements and anywhere else, and looks at what
// they leave: of each write all or nothing, and all of every write that was reported done.
func TestKill(t *testing.T) {
	if os.Getenv(crashPathVar) != "" {
		t.Skip("this is a child")
	}
	path := temp(t)
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	next := 0
	for round := range 25 {
		point := []string{beforeRow, beforeJob, afterJob, inCommit, byParent}[round%5]
		done := killedAfter(t, path, point, next, 1+rand.IntN(12)) // the children number their notes from next on
		next = consistent(t, path, done)
		if t.Failed() {
			t.Fatalf("round %d: killed %s", round, point)
		}
	}
}

// killedAfter runs a child until it is killed during or after some writes, and returns the numbers that it reported.
func killedAfter(t *testing.T, path, point string, next, count int) (done []int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), crashPathVar+"="+path, crashPointVar+"="+point,
		crashCountVar+"="+strconv.Itoa(next)+" "+strconv.Itoa(count))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "done %d", &n); err != nil {
			t.Errorf("the child says %q", lines.Text())
			continue
		}
		done = append(done, n)
		if point == byParent && len(done) == count {
			_ = cmd.Process.Kill() // wherever it has got to by now
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the child ended with %v; want it killed", err)
	}
	return done
}

// consistent checks what is in the database and returns a number that no note in it has.
func consistent(t *testing.T, path string, done []int) int {
	t.Helper()
	db := open(t, path) // which also shows that the lock went away with the process
	defer closeDB(t, db)
	rows, events, enqueued := map[domain.UUID]bool{}, map[domain.UUID]bool{}, map[domain.UUID]bool{}
	notes, _, err := db.Notes(enqueue).Notes(t.Context(), domain.NoteQuery{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notes {
		rows[n.ID] = true
	}
	records, err := db.Outbox().Pending(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	deleted := map[domain.UUID]bool{}
	for _, r := range records {
		if r.Bad != nil {
			t.Error(r.Bad)
		} else if r.Note.Note.Operation == domain.Deleted {
			deleted[r.Note.Note.NoteID] = true
		} else {
			events[r.Note.Note.NoteID] = true
		}
	}
	for _, spec := range jobs(t, db) {
		enqueued[spec.NoteID] = true
	}
	next := 0
	for n := range 1 << 12 {
		id := noteID(n)
		if events[id] != enqueued[id] || rows[id] != (events[id] && !deleted[id]) {
			t.Errorf("note %d: row %t, event %t, job %t, deleted %t", n, rows[id], events[id], enqueued[id], deleted[id])
		}
		if events[id] {
			next = n + 1
		}
	}
	for _, n := range done {
		if !events[noteID(n)] {
			t.Errorf("note %d was reported written and is gone", n)
		}
	}
	return next
}

// TestKillChild is the process that TestKill kills.
func TestKillChild(t *testing.T) {
	path := os.Getenv(crashPathVar)
	if path == "" {
		t.Skip("only useful as a child of TestKill")
	}
	var next, count int
	if _, err := fmt.Sscan(os.Getenv(crashCountVar), &next, &count); err != nil {
		t.Fatal(err)
	}
	point := os.Getenv(crashPointVar)
	db := open(t, path)
	steps := 0
	reach := func(here string) {
		if here != point {
			return
		}
		if steps++; steps == count {
			kill()
		}
	}
	db.OnCommit("outbox", func() { reach(inCommit) })
	notes := db.Notes(func(ctx context.Context, tx *sql.Tx, spec domain.JobSpec) error {
		reach(beforeJob)
		err := enqueue(ctx, tx, spec)
		reach(afterJob)
		return err
	})
	for n := next; ; n++ {
		childWrite(t, notes, n, domain.Created, func() { reach(beforeRow) })
		if _, err := fmt.Printf("done %d\n", n); err != nil {
			t.Fatal(err)
		}
		if n%3 == 2 {
			childWrite(t, notes, n-1, domain.Deleted, func() { reach(beforeRow) })
		}
	}
}

func childWrite(t *testing.T, notes *sqlstore.Notes, n int, op domain.Operation, reach func()) {
	id, change := write(n, op)
	err := notes.Write(t.Context(), id, func(current *domain.Note) (ports.NoteWrite, error) {
		reach()
		w, err := change(current)
		if op == domain.Deleted {
			w.Job = nil
		}
		return w, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// kill ends this process as kill -9 does.
func kill() {
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // until the signal arrives
}
