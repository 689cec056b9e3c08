package webhook_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matric/matric-events/domain/webhook"
)

func TestOutcomeClass(t *testing.T) {
	for _, tt := range []struct {
		reason string
		o      webhook.Outcome
		want   webhook.Class
		gone   bool
	}{
		{"200", webhook.Outcome{StatusCode: 200}, webhook.ClassNone, false},
		{"204", webhook.Outcome{StatusCode: 204}, webhook.ClassNone, false},
		{"299", webhook.Outcome{StatusCode: 299}, webhook.ClassNone, false},
		{"2xx whose body did not end", webhook.Outcome{StatusCode: 200, Fault: webhook.ClassTimeout}, webhook.ClassTimeout, false},
		{"1xx as the final answer", webhook.Outcome{StatusCode: 101}, webhook.ClassBadStatus, false},
		{"301", webhook.Outcome{StatusCode: 301}, webhook.ClassRedirect, false},
		{"304", webhook.Outcome{StatusCode: 304}, webhook.ClassRedirect, false},
		{"400", webhook.Outcome{StatusCode: 400}, webhook.ClassBadStatus, false},
		{"429", webhook.Outcome{StatusCode: 429}, webhook.ClassBadStatus, false},
		{"500 whose body did not end", webhook.Outcome{StatusCode: 500, Fault: webhook.ClassReset}, webhook.ClassBadStatus, false},
		{"600", webhook.Outcome{StatusCode: 600}, webhook.ClassBadStatus, false},
		{"410", webhook.Outcome{StatusCode: 410}, webhook.ClassBadStatus, true},
		{"410 whose body did not end", webhook.Outcome{StatusCode: 410, Fault: webhook.ClassTimeout}, webhook.ClassBadStatus, true},
		{"interrupted in a body", webhook.Outcome{StatusCode: 410, Fault: webhook.ClassInterrupted}, webhook.ClassInterrupted, false},
		{"no connection", webhook.Outcome{Fault: webhook.ClassConnect}, webhook.ClassConnect, false},
		{"the zero outcome is no success", webhook.Outcome{}, webhook.ClassBadResponse, false},
	} {
		if got := tt.o.Class(); got != tt.want || tt.o.Success() != (tt.want == webhook.ClassNone) || tt.o.Gone() != tt.gone {
			t.Errorf("%s: Class %q, Success %v, Gone %v; want %q", tt.reason, got, tt.o.Success(), tt.o.Gone(), tt.want)
		}
	}
}

func TestNamesGoBothWays(t *testing.T) {
	for c := webhook.ClassNone; c <= webhook.ClassInterrupted; c++ {
		if got, ok := webhook.ParseClass(c.String()); !ok || got != c {
			t.Errorf("class %d is %q is %d", c, c, got)
		}
	}
	for s, name := range webhook.StatusNames() {
		if got, ok := webhook.ParseStatus(name); !ok || int(got) != s || got.String() != name {
			t.Errorf("status %q is %d", name, got)
		}
	}
	if _, ok := webhook.ParseClass("weather"); ok || webhook.Class(99).String() != "" {
		t.Error("an unknown class has a name")
	}
	if _, ok := webhook.ParseStatus("weather"); ok || webhook.Status(99).String() != "" {
		t.Error("an unknown status has a name")
	}
	for a, want := range map[webhook.Activation]string{webhook.Active: "", webhook.Paused: "", webhook.Gone: "gone"} {
		if got := a.Reason(); got != want {
			t.Errorf("activation %d has the reason %q; want %q", a, got, want)
		}
	}
}

func TestKeepBody(t *testing.T) {
	long := strings.Repeat("a", webhook.MaxKept)
	for _, tt := range []struct{ reason, in, want string }{
		{"empty", "", ""},
		{"as it is", "thanks", "thanks"},
		{"exactly as much as is kept", long, long},
		{"longer", long + "b", long},
		{"a character over the edge", long[1:] + "é", long[1:]},
		{"a long character over the edge", long[3:] + "😀", long[3:]},
		{"a character up to the edge", long[2:] + "éb", long[2:] + "é"},
		{"bytes that are no text", "a\xff\xfeb", "a\uFFFDb"},
		{"NUL, which PostgreSQL cannot store", "a\x00b", "a\uFFFDb"},
		{"a body that is cut itself", "a\xc3", "a\uFFFD"},
	} {
		if got := webhook.KeepBody([]byte(tt.in)); got != tt.want {
			t.Errorf("%s: %d bytes ending in %q; want %d ending in %q", tt.reason, len(got), got[max(0, len(got)-8):],
				len(tt.want), tt.want[max(0, len(tt.want)-8):])
		}
	}
}

func FuzzKeepBody(f *testing.F) {
	f.Add([]byte("a\xff\x00é"), 4094)
	f.Add([]byte("\xff"+"a"), 3000)
	f.Add([]byte("\xf0\x9f\x98"), 1365)
	f.Fuzz(func(t *testing.T, unit []byte, times int) {
		in := []byte(strings.Repeat(string(unit), min(max(times, 0), 1+8192/(len(unit)+1))))
		got := webhook.KeepBody(in)
		if len(got) > webhook.MaxKept || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		}
		if utf8.Valid(in) && len(in) <= webhook.MaxKept && !strings.Contains(string(in), "\x00") && got != string(in) {
			t.Error("changed a body that needed no change")
		}
	})
}
