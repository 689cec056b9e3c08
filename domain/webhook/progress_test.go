package webhook_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

var (
	noon    = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	success = webhook.Outcome{StartedAt: noon, StatusCode: 200}
	failure = webhook.Outcome{StartedAt: noon, StatusCode: 500}
)

const middle = 0.5 // the random number at which jitter adds nothing

func plan(t testing.TB, retries int) webhook.Plan {
	t.Helper()
	n, err := webhook.NewRetries(retries)
	if err != nil {
		t.Fatal(err)
	}
	return webhook.Plan{Retries: n}
}

// step applies one transition and fails the test when it is refused.
func step(t *testing.T, p webhook.Progress, err error) webhook.Progress {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSettle(t *testing.T) {
	for _, tt := range []struct {
		reason  string
		from    webhook.Record
		outcome webhook.Outcome
		retries int
		want    webhook.Record
	}{
		{
			"success",
			webhook.Record{Status: webhook.InFlight, Attempts: 1},
			success, 11,
			webhook.Record{Status: webhook.Delivered, Attempts: 1, DeliveredAt: noon},
		},
		{
			"first failure waits the first interval",
			webhook.Record{Status: webhook.InFlight, Attempts: 1},
			failure, 11,
			webhook.Record{Attempts: 1, DueAt: noon.Add(5 * time.Second)},
		},
		{
			"third failure waits the third interval",
			webhook.Record{Status: webhook.InFlight, Attempts: 3},
			failure, 11,
			webhook.Record{Attempts: 3, DueAt: noon.Add(80 * time.Second)},
		},
		{
			"intervals start over with a fresh budget",
			webhook.Record{Status: webhook.InFlight, Attempts: 13, Forgiven: 12},
			failure, 11,
			webhook.Record{Attempts: 13, Forgiven: 12, DueAt: noon.Add(5 * time.Second)},
		},
		{
			"the last retry is used",
			webhook.Record{Status: webhook.InFlight, Attempts: 11},
			failure, 11,
			webhook.Record{Attempts: 11, DueAt: noon.Add(8 * time.Hour)},
		},
		{
			"no retry is left",
			webhook.Record{Status: webhook.InFlight, Attempts: 12},
			failure, 11,
			webhook.Record{Status: webhook.Dead, Attempts: 12},
		},
		{
			"no retry is wanted",
			webhook.Record{Status: webhook.InFlight, Attempts: 1},
			failure, 0,
			webhook.Record{Status: webhook.Dead, Attempts: 1},
		},
		{
			"retries lowered while it was under way",
			webhook.Record{Status: webhook.InFlight, Attempts: 5},
			failure, 2,
			webhook.Record{Status: webhook.Dead, Attempts: 5},
		},
		{
			"Retry-After is honoured",
			webhook.Record{Status: webhook.InFlight, Attempts: 1},
			webhook.Outcome{StatusCode: 429, RetryAfter: time.Hour},
			11,
			webhook.Record{Attempts: 1, DueAt: noon.Add(time.Hour)},
		},
		{
			"Retry-After adds no retry",
			webhook.Record{Status: webhook.InFlight, Attempts: 1},
			webhook.Outcome{StatusCode: 503, RetryAfter: time.Hour},
			0,
			webhook.Record{Status: webhook.Dead, Attempts: 1},
		},
		{
			"410 is final",
			webhook.Record{Status: webhook.InFlight, Attempts: 1},
			webhook.Outcome{StatusCode: 410, RetryAfter: time.Hour},
			11,
			webhook.Record{Status: webhook.Dead, Attempts: 1},
		},
		{
			"redirects are tried again",
			webhook.Record{Status: webhook.InFlight, Attempts: 1},
			webhook.Outcome{StatusCode: 302},
			11,
			webhook.Record{Attempts: 1, DueAt: noon.Add(5 * time.Second)},
		},
		{
			"blocked addresses are tried again: the name may be repaired",
			webhook.Record{Status: webhook.InFlight, Attempts: 1},
			webhook.Outcome{Fault: webhook.ClassBlockedAddress},
			11,
			webhook.Record{Attempts: 1, DueAt: noon.Add(5 * time.Second)},
		},
		{
			"interrupted is not charged, not even on the last retry",
			webhook.Record{Status: webhook.InFlight, Attempts: 12},
			webhook.Outcome{Fault: webhook.ClassInterrupted},
			11,
			webhook.Record{Attempts: 11, DueAt: noon},
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			p, err := webhook.Restore(tt.from)
			p = step(t, p, err)
			p, err = p.Settle(tt.outcome, plan(t, tt.retries), noon, middle)
			p = step(t, p, err)
			if diff := cmp.Diff(tt.want, p.Record()); diff != "" {
				t.Errorf("Settle (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultLifeOfADeliveryThatNeverSucceeds(t *testing.T) {
	p, now := webhook.NewProgress(noon), noon
	for p.Status() == webhook.Pending {
		now = p.Record().DueAt
		next, err := p.Begin()
		next = step(t, next, err)
		next, err = next.Settle(failure, plan(t, 11), now, middle)
		p = step(t, next, err)
	}
	if hours := now.Sub(noon).Hours(); p.Status() != webhook.Dead || p.Attempts() != 12 || hours < 39 || hours > 41 {
		t.Errorf("%s after %d attempts and %.1f hours; want dead after 12 and about 40", p.Status(), p.Attempts(), hours)
	}
}

func TestRedeliver(t *testing.T) {
	later := noon.Add(time.Hour)
	for _, tt := range []struct {
		from    webhook.Record
		refused bool
	}{
		{from: webhook.Record{Status: webhook.Dead, Attempts: 12}},
		{from: webhook.Record{Status: webhook.Delivered, Attempts: 2, DeliveredAt: noon}},
		{from: webhook.Record{Status: webhook.Canceled}},
		{from: webhook.Record{Status: webhook.Pending, Attempts: 3, DueAt: noon.Add(8 * time.Hour)}},
		{from: webhook.Record{Status: webhook.InFlight, Attempts: 3}, refused: true},
	} {
		p, err := webhook.Restore(tt.from)
		p = step(t, p, err)
		got, err := p.Redeliver(later)
		if tt.refused {
			if !errors.Is(err, domain.ErrConflict) || got != p {
				t.Errorf("%s: %v", tt.from.Status, err)
			}
			continue
		}
		want := webhook.Record{Attempts: tt.from.Attempts, Forgiven: tt.from.Attempts, DueAt: later}
		if diff := cmp.Diff(want, got.Record()); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.from.Status, err, diff)
		}
	}
}

func TestTransitionsThatAStatusDoesNotHave(t *testing.T) {
	records := map[webhook.Status]webhook.Record{
		webhook.Pending:   {DueAt: noon},
		webhook.InFlight:  {Status: webhook.InFlight, Attempts: 1},
		webhook.Delivered: {Status: webhook.Delivered, Attempts: 1, DeliveredAt: noon},
		webhook.Dead:      {Status: webhook.Dead, Attempts: 1},
		webhook.Canceled:  {Status: webhook.Canceled},
	}
	transitions := map[string]struct {
		do   func(webhook.Progress) (webhook.Progress, error)
		from []webhook.Status
	}{
		"Begin": {webhook.Progress.Begin, []webhook.Status{webhook.Pending}},
		"Settle": {func(p webhook.Progress) (webhook.Progress, error) {
			return p.Settle(success, plan(t, 1), noon, middle)
		}, []webhook.Status{webhook.InFlight}},
		"Release": {func(p webhook.Progress) (webhook.Progress, error) { return p.Release(noon) }, []webhook.Status{webhook.InFlight}},
		"Cancel":  {webhook.Progress.Cancel, []webhook.Status{webhook.Pending, webhook.InFlight}},
	}
	for name, tr := range transitions {
		for status, record := range records {
			p, err := webhook.Restore(record)
			p = step(t, p, err)
			want := false
			for _, s := range tr.from {
				want = want || s == status
			}
			got, err := tr.do(p)
			if (err == nil) != want {
				t.Errorf("%s of %s: %v", name, status, err)
			}
			if err != nil && (!errors.Is(err, domain.ErrConflict) || got != p || !strings.Contains(err.Error(), status.String())) {
				t.Errorf("%s of %s: no conflict that names the status, or a change: %v", name, status, err)
			}
		}
	}
}

func TestRestoreRefusesWhatNoLifeLeadsTo(t *testing.T) {
	for _, tt := range []struct {
		reason string
		record webhook.Record
	}{
		{"unknown status", webhook.Record{Status: 99, Attempts: 1}},
		{"fewer than no attempts", webhook.Record{Attempts: -1}},
		{"fewer than none forgiven", webhook.Record{Forgiven: -1}},
		{"more forgiven than made", webhook.Record{Attempts: 1, Forgiven: 2}},
		{"in flight without an attempt", webhook.Record{Status: webhook.InFlight}},
		{"in flight without an attempt in this budget", webhook.Record{Status: webhook.InFlight, Attempts: 3, Forgiven: 3}},
		{"in flight and due", webhook.Record{Status: webhook.InFlight, Attempts: 1, DueAt: noon}},
		{"delivered at no time", webhook.Record{Status: webhook.Delivered, Attempts: 1}},
		{"delivered without an attempt", webhook.Record{Status: webhook.Delivered, DeliveredAt: noon}},
		{"pending and delivered", webhook.Record{DeliveredAt: noon}},
		{"dead without an attempt", webhook.Record{Status: webhook.Dead}},
		{"dead and due", webhook.Record{Status: webhook.Dead, Attempts: 1, DueAt: noon}},
		{"canceled and due", webhook.Record{Status: webhook.Canceled, DueAt: noon}},
	} {
		if _, err := webhook.Restore(tt.record); err == nil {
			t.Errorf("%s: %+v is restored", tt.reason, tt.record)
		}
	}
}

// Whatever happens to a delivery, in whatever order: it can be stored and restored, attempt numbers never fall but by
// giving one back, and one budget never makes more attempts than it has retries, and the first one.
func TestAnyLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		retries := rapid.IntRange(0, 4).Draw(t, "retries")
		n, err := webhook.NewRetries(retries)
		if err != nil {
			t.Fatal(err)
		}
		p, now, inBudget := webhook.NewProgress(noon), noon, 0
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Minute)
			before := p
			action := rapid.SampledFrom([]string{"begin", "succeed", "fail", "gone", "interrupt", "release", "redeliver", "cancel"}).Draw(t, "action")
			p, err = act(p, action, webhook.Plan{Retries: n}, now)
			if err != nil {
				if p != before {
					t.Fatalf("refused %s changed %+v to %+v", action, before, p)
				}
				continue
			}
			switch action {
			case "begin":
				inBudget++
			case "release", "interrupt":
				inBudget--
			case "redeliver":
				inBudget = 0
			}
			if inBudget > retries+1 || p.Attempts() < before.Attempts()-1 {
				t.Fatalf("%s: %d attempts in one budget of %d retries: %+v", action, inBudget, retries, p)
			}
			if restored, err := webhook.Restore(p.Record()); err != nil || restored != p {
				t.Fatalf("after %s: %v", action, err)
			}
		}
	})
}

func act(p webhook.Progress, action string, plan webhook.Plan, now time.Time) (webhook.Progress, error) {
	settle := func(o webhook.Outcome) (webhook.Progress, error) { return p.Settle(o, plan, now, middle) }
	switch action {
	case "begin":
		return p.Begin()
	case "succeed":
		return settle(success)
	case "fail":
		return settle(failure)
	case "gone":
		return settle(webhook.Outcome{StatusCode: webhook.StatusGone})
	case "interrupt":
		return settle(webhook.Outcome{Fault: webhook.ClassInterrupted})
	case "release":
		return p.Release(now)
	case "redeliver":
		return p.Redeliver(now)
	case "cancel":
		return p.Cancel()
	}
	panic(fmt.Sprintf("no action %q", action))
}

func TestNewRetries(t *testing.T) {
	for n, ok := range map[int]bool{-1: false, 0: true, 20: true, 21: false, 256: false} {
		r, err := webhook.NewRetries(n)
		if (err == nil) != ok || ok && r.Int() != n {
			t.Errorf("NewRetries(%d) = %d, %v", n, r.Int(), err)
		}
	}
}
