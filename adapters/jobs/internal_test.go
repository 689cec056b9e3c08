package jobs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
)

func TestPlans(t *testing.T) {
	q, _ := openBare(t, t.TempDir())
	for _, c := range []struct{ why, query, want string }{
		{"one job by its ID", `SELECT * FROM river_job WHERE (` + sqliteJobID + ` = 'x') ORDER BY id LIMIT 1`, "SEARCH river_job USING INDEX matric_job_id (<expr>=?)"},
		{"a note's jobs", `SELECT * FROM river_job WHERE (` + sqliteNoteID + ` = 'x') ORDER BY id DESC LIMIT 9`, "SEARCH river_job USING INDEX matric_job_note (<expr>=?)"},
		{"a page of a note's jobs", `SELECT * FROM river_job WHERE (id < 7) AND (` + sqliteNoteID + ` = 'x') ORDER BY id DESC LIMIT 9`, "SEARCH river_job USING INDEX matric_job_note (<expr>=? AND id<?)"},
		{"the newest jobs", `SELECT * FROM river_job WHERE (id < 7) ORDER BY id DESC LIMIT 9`, "SEARCH river_job USING INTEGER PRIMARY KEY (rowid<?)"},
		{"the count", sqliteDialect.countJobs, "SEARCH river_job USING COVERING INDEX river_job_prioritized_fetching_index (state=?)"},
	} {
		var n int
		var step string
		if err := q.write.QueryRowContext(t.Context(), "EXPLAIN QUERY PLAN "+c.query).Scan(&n, &n, &n, &step); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, step); d != "" {
			t.Errorf("%s: first step of the plan (-want +got):\n%s", c.why, d)
		}
	}
}

func TestRetryPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose clock stands still
		p := retryPolicy{time.Second, 5 * time.Minute}
		for attempt, want := range map[int]time.Duration{
			0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 25: 5 * time.Minute, 1 << 30: 5 * time.Minute,
		} {
			if got := time.Until(p.NextRetry(&rivertype.JobRow{Attempt: attempt})); got != want {
				t.Errorf("after attempt %d: %s; want %s", attempt, got, want)
			}
		}
		if got := time.Until((retryPolicy{time.Hour, time.Minute}).NextRetry(&rivertype.JobRow{Attempt: 1})); got != time.Minute {
			t.Errorf("the longest interval is a minute, got %s", got)
		}
	})
}

func TestPublicText(t *testing.T) {
	for _, c := range []struct{ why, in, want string }{
		{"plain", "it's \"fine\"\n", "it's \"fine\"\n"},
		{"NUL", "a\x00b", "ab"},
		{"not UTF-8", "a\xffb", "a\ufffdb"},
		{"long", strings.Repeat("a", maxText+1), strings.Repeat("a", maxText) + "…"},
		{"a letter at the end", strings.Repeat("a", maxText-1) + "éé", strings.Repeat("a", maxText-1) + "…"},
	} {
		if got := publicText(c.in); got != c.want || !utf8.ValidString(got) {
			t.Errorf("%s: publicText(%.20q) = %.20q (%d bytes); want %.20q (%d bytes)", c.why, c.in, got, len(got), c.want, len(c.want))
		}
	}
	if got := publicText(strings.Repeat("\x80", 2*maxText)); !utf8.ValidString(got) {
		t.Errorf("not UTF-8 at all: %.20q", got)
	}
}

func TestListener(t *testing.T) {
	board := newSwitchboard()
	l := board.listener("schema")
	if l.Schema() != "schema" {
		t.Errorf("Schema = %q", l.Schema())
	}
	board.inserted() // nobody listens
	if err := errors.Join(l.Connect(t.Context()), l.Ping(t.Context()), l.Listen(t.Context(), topicControl)); err != nil {
		t.Fatal(err)
	}
	if l.Connect(t.Context()) == nil {
		t.Error("connected twice")
	}
	board.inserted() // not listened for
	for range 3 {
		board.canceled(7)
	}
	board.canceled(8)
	if err := l.Listen(t.Context(), topicInsert); err != nil { // which is told of an insertion at once
		t.Fatal(err)
	}
	want := []riverdriver.Notification{
		{Topic: "river_control", Payload: `{"action":"cancel","job_id":7,"queue":"default"}`},
		{Topic: "river_control", Payload: `{"action":"cancel","job_id":8,"queue":"default"}`},
		{Topic: "river_insert", Payload: `{"queue":"default"}`},
	}
	var got []riverdriver.Notification
	for range want {
		n, err := l.WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, *n)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("notifications (-want +got):\n%s", d)
	}
	board.inserted()
	if n, err := l.WaitForNotification(t.Context()); err != nil || n.Topic != topicInsert {
		t.Errorf("WaitForNotification = %v, %v; want an insertion", n, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Unlisten(t.Context(), topicInsert); err != nil {
		t.Fatal(err)
	}
	board.inserted()
	if n, err := l.WaitForNotification(over); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitForNotification = %v, %v; want the error of its context", n, err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Connect(t.Context()); err != nil {
		t.Errorf("Connect after Close = %v", err)
	}
}
