package sqlstore_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// crashBatch is how many deliveries the child records and settles at once.
const crashBatch = 8

// TestKillDeliveries kills processes that record and settle deliveries, in the middle of commits and anywhere else, and
// looks at what they leave: each batch whole or not at all, and all of every batch that was reported stored.
func TestKillDeliveries(t *testing.T) {
	if os.Getenv(crashPathVar) != "" {
		t.Skip("this is a child")
	}
	path := temp(t)
	db := open(t, path)
	saveHook(t, db, noteID(0))
	closeDB(t, db)
	next := 0
	for round := range 16 {
		point := []string{inCommit, byParent}[round%2]
		next = deliveriesConsistent(t, path, killDeliveries(t, path, point, next, 1+rand.IntN(20)))
		if t.Failed() {
			t.Fatalf("round %d: killed %s", round, point)
		}
	}
}

// killDeliveries runs a child until it is killed, and returns what it reported of each batch: recorded or settled.
func killDeliveries(t *testing.T, path, point string, next, count int) (reported map[int]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillDeliveriesChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), crashPathVar+"="+path, crashPointVar+"="+point, crashCountVar+"="+strconv.Itoa(next)+" "+strconv.Itoa(count))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reported = map[int]string{}
	lines := 0
	for scan := bufio.NewScanner(out); scan.Scan(); {
		var what string
		var n int
		if _, err := fmt.Sscanf(scan.Text(), "%s %d", &what, &n); err != nil {
			t.Errorf("the child says %q", scan.Text())
		}
		reported[n] = what
		if lines++; point == byParent && lines == count {
			_ = cmd.Process.Kill() // wherever it has got to by now
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the child ended with %v; want it killed", err)
	}
	return reported
}

// deliveriesConsistent checks what is in the database and returns the number of a batch that is not in it.
func deliveriesConsistent(t *testing.T, path string, reported map[int]string) (next int) {
	t.Helper()
	db := open(t, path)
	defer closeDB(t, db)
	var settled int
	for ; ; next++ {
		found := map[webhook.Status]int{}
		for i := range crashBatch {
			if d, attempts, err := db.Deliveries().Delivery(t.Context(), deliveryID(next, i)); err == nil {
				found[d.Progress.Status()]++
				if d.Progress.Status() == webhook.Delivered && len(attempts) != 1 {
					t.Errorf("batch %d: a delivery with %d attempts", next, len(attempts))
				}
			}
		}
		if found[webhook.Delivered] == crashBatch {
			settled = next
		}
		if whole := found[webhook.Delivered] == crashBatch || found[webhook.InFlight] == crashBatch; len(found) > 0 && !whole {
			t.Errorf("batch %d is there in part: %v", next, found)
		}
		if reported[next] != "" && len(found) == 0 || reported[next] == "settled" && found[webhook.Delivered] == 0 {
			t.Errorf("batch %d was reported %s; found %v", next, reported[next], found)
		}
		if len(found) == 0 {
			break
		}
	}
	hooks, err := db.Webhooks().Webhooks(t.Context())
	if err != nil || len(hooks) != 1 {
		t.Fatalf("webhooks: %d, %v", len(hooks), err)
	}
	if hooks[0].Health.FailureCount != settled {
		t.Errorf("the webhook was stored with batch %d, the deliveries up to batch %d", hooks[0].Health.FailureCount, settled)
	}
	return next
}

func deliveryID(batch, i int) domain.UUID { return noteID(1<<20 + batch*crashBatch + i) }

// TestKillDeliveriesChild is the process that TestKillDeliveries kills.
func TestKillDeliveriesChild(t *testing.T) {
	path := os.Getenv(crashPathVar)
	if path == "" {
		t.Skip("only useful as a child of TestKillDeliveries")
	}
	var next, count int
	if _, err := fmt.Sscan(os.Getenv(crashCountVar), &next, &count); err != nil {
		t.Fatal(err)
	}
	db := open(t, path)
	if os.Getenv(crashPointVar) == inCommit {
		commits := 0
		db.OnCommit("delivery", func() {
			if commits++; commits == count {
				kill()
			}
		})
	}
	for batch := next; ; batch++ {
		childDeliver(t, db, batch)
	}
}

// childDeliver records a batch and settles it.
func childDeliver(t *testing.T, db *sqlstore.DB, batch int) {
	lease := noteID(1 << 19)
	var ds []webhook.Delivery
	var done []webhook.Settled
	for i := range crashBatch {
		d := webhook.Delivery{
			ID: deliveryID(batch, i), Webhook: noteID(0), Event: deliveryID(batch, i), Type: domain.TypeJobQueued,
			Payload: []byte(strings.Repeat("x", rand.IntN(3000))), CreatedAt: birth,
		}
		var err error
		if d.Progress, err = webhook.NewProgress(birth).Begin(); err != nil {
			t.Fatal(err)
		}
		o := webhook.Outcome{StartedAt: birth, StatusCode: 200}
		p, err := d.Progress.Settle(o, webhook.Plan{}, birth, 0)
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, d)
		done = append(done, webhook.Settled{Delivery: d.ID, Webhook: d.Webhook, Progress: p, Attempt: webhook.Attempt{Number: 1, Outcome: o}})
	}
	if left, err := db.Deliveries().Record(t.Context(), lease, ds); err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	fmt.Println("recorded", batch)
	state := webhook.State{Webhook: noteID(0), Health: webhook.Health{FailureCount: batch}}
	if fenced, err := db.Deliveries().Settle(t.Context(), lease, done, []webhook.State{state}); err != nil || len(fenced) > 0 {
		t.Fatal(fenced, err)
	}
	fmt.Println("settled", batch)
}
