package soak_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// unwatched is a queue that nobody counts.
type unwatched struct{}

func (unwatched) Changed() {}
func (unwatched) Demand()  {}

// TestClockGoesBack publishes at the present time, and then in a bubble of synctest, whose clock begins in the year 2000.
// Identifiers still rise, and whoever resumes gets what follows, in the order in which it was published.
func TestClockGoesBack(t *testing.T) {
	log := eventlog.New(newID(), eventlog.Options{})
	bridge := app.NewBridge(log, newID, unwatched{}, app.BridgeOptions{})
	publish := func(t *testing.T) {
		for range 3 {
			n := domain.NoteEvent{Note: domain.NoteUpdated{NoteID: newID(), Operation: domain.Created}}
			if _, err := bridge.PublishNoteEvents(t.Context(), []domain.NoteEvent{n}); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(t)
	before := time.Now()
	synctest.Test(t, func(t *testing.T) {
		if !time.Now().Before(before) {
			t.Fatal("the clock has not gone back")
		}
		publish(t)
	})
	publish(t)
	all, _, _ := log.Read(0, &domain.Filter{}, make([]domain.Entry, 0, 16))
	if len(all) != 9 {
		t.Fatalf("%d events; want 9", len(all))
	}
	for i, e := range all {
		if i > 0 && bytes.Compare(all[i-1].ID[:], e.ID[:]) >= 0 {
			t.Errorf("%s follows %s", e.ID, all[i-1].ID)
		}
		a := app.Poll(log, app.PollQuery{After: e.ID, Limit: 16})
		if len(a.Entries) != len(all)-i-1 || a.Truncated || len(a.Entries) > 0 && a.Entries[0].ID != all[i+1].ID {
			t.Errorf("after event %d: %d events, truncated %v", i, len(a.Entries), a.Truncated)
		}
	}
}
