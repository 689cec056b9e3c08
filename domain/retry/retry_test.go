package retry_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain/retry"
)

const middle = 0.5 // the random number at which jitter adds nothing

func TestScheduleIsTheContracts(t *testing.T) {
	var got []time.Duration
	var total time.Duration
	for attempt := 1; attempt <= retry.DefaultRetries; attempt++ {
		d := retry.Policy{}.Next(attempt, middle)
		got, total = append(got, d), total+d
	}
	want := []time.Duration{
		5 * time.Second, 20 * time.Second, 80 * time.Second, 320 * time.Second, 1280 * time.Second, 5120 * time.Second,
		20480 * time.Second, 8 * time.Hour, 8 * time.Hour, 8 * time.Hour, 8 * time.Hour,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("intervals (-want +got):\n%s", diff)
	}
	if hours := total.Hours(); math.Round(hours) != 40 {
		t.Errorf("the default retries take %.1f hours in all, want about 40", hours)
	}
}

func TestNext(t *testing.T) {
	for _, tt := range []struct {
		reason  string
		policy  retry.Policy
		attempt int
		u       float64
		want    time.Duration
	}{
		{"lowest jitter is a fifth less", retry.Policy{}, 1, 0, 4 * time.Second},
		{"highest jitter is a fifth more", retry.Policy{}, 1, 0.999, 5998 * time.Millisecond},
		{"jitter spreads at the cap too", retry.Policy{}, 20, 0, 8 * time.Hour * 4 / 5},
		{"own initial", retry.Policy{Initial: 100 * time.Millisecond}, 2, middle, 400 * time.Millisecond},
		{"own cap", retry.Policy{Max: time.Minute}, 3, middle, time.Minute},
		{"cap holds the first interval too", retry.Policy{Initial: time.Hour, Max: time.Minute}, 1, middle, time.Minute},
		{"an attempt before the first counts as the first", retry.Policy{}, 0, middle, 5 * time.Second},
		{"a tiny start reaches the cap all the same", retry.Policy{Initial: 1}, math.MaxInt, middle, 8 * time.Hour},
	} {
		if got := tt.policy.Next(tt.attempt, tt.u); got != tt.want {
			t.Errorf("%s: %+v.Next(%d, %v) = %s; want %s", tt.reason, tt.policy, tt.attempt, tt.u, got, tt.want)
		}
	}
}

func TestNextStaysInItsBandAndIsRepeatable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		initial := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "initial"))
		p := retry.Policy{Initial: initial, Max: initial + time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "more"))}
		attempt := rapid.IntRange(1, retry.MaxRetries+1).Draw(t, "attempt")
		u := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "u")
		got := p.Next(attempt, u)
		if ceiling := p.Max + p.Max/5 + 1; got < initial*4/5-1 || got > ceiling {
			t.Fatalf("%s is outside %s to %s", got, initial*4/5, ceiling)
		}
		if again := p.Next(attempt, u); again != got {
			t.Fatalf("second call gives %s, first gave %s", again, got)
		}
		if later := p.Next(attempt+1, u); later < got {
			t.Fatalf("attempt %d waits %s, the one before it %s", attempt+1, later, got)
		}
	})
}

func TestNextAfter(t *testing.T) {
	for _, tt := range []struct {
		reason     string
		retryAfter time.Duration
		want       time.Duration
	}{
		{"nothing asked for", 0, 5 * time.Second},
		{"a longer wait is honoured", time.Hour, time.Hour},
		{"a shorter one does not hurry the schedule", time.Second, 5 * time.Second},
		{"a day at most", 48 * time.Hour, 24 * time.Hour},
	} {
		if got := (retry.Policy{}).NextAfter(1, middle, tt.retryAfter); got != tt.want {
			t.Errorf("%s: NextAfter(1, %v, %s) = %s; want %s", tt.reason, middle, tt.retryAfter, got, tt.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		reason string
		policy retry.Policy
		ok     bool
	}{
		{"defaults", retry.Policy{}, true},
		{"equal bounds", retry.Policy{Initial: time.Minute, Max: time.Minute}, true},
		{"first longer than longest", retry.Policy{Initial: time.Hour, Max: time.Minute}, false},
		{"negative first", retry.Policy{Initial: -1}, false},
		{"negative longest", retry.Policy{Max: -1}, false},
		{"longer than jitter can be computed for", retry.Policy{Max: math.MaxInt64}, false},
	} {
		if err := tt.policy.Validate(); (err == nil) != tt.ok {
			t.Errorf("%s: Validate(%+v) = %v", tt.reason, tt.policy, err)
		}
	}
}

func TestAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		reason, header string
		want           time.Duration
		ok             bool
	}{
		{"seconds", "120", 2 * time.Minute, true},
		{"surrounding space", " 120\t", 2 * time.Minute, true},
		{"zero", "0", 0, true},
		{"exactly a day", "86400", 24 * time.Hour, true},
		{"more than a day", "86401", 24 * time.Hour, true},
		{"more than fits", "99999999999999999999999", 24 * time.Hour, true},
		{"IMF-fixdate", "Mon, 23 Nov 2026 12:05:00 GMT", 5 * time.Minute, true},
		{"RFC 850 date", "Monday, 23-Nov-26 12:05:00 GMT", 5 * time.Minute, true},
		{"asctime date", "Mon Nov 23 12:05:00 2026", 5 * time.Minute, true},
		{"past date", "Mon, 23 Nov 2026 11:00:00 GMT", 0, true},
		{"far date", "Wed, 23 Nov 2033 12:00:00 GMT", 24 * time.Hour, true},
		{"absent", "", 0, false},
		{"negative", "-1", 0, false},
		{"fraction", "1.5", 0, false},
		{"words", "soon", 0, false},
		{"other zone", "Mon, 23 Nov 2026 12:05:00 PST", 0, false},
	} {
		if got, ok := retry.After(tt.header, now); got != tt.want || ok != tt.ok {
			t.Errorf("%s: After(%q) = %s, %v; want %s, %v", tt.reason, tt.header, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzAfter(f *testing.F) {
	for _, seed := range []string{"120", "", "Mon, 23 Nov 2026 12:05:00 GMT", "Mon, 23 Nov 0000 12:05:00 GMT", "99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		d, ok := retry.After(header, time.Unix(1_800_000_000, 0))
		if d < 0 || d > retry.MaxAfter || !ok && d != 0 {
			t.Errorf("After(%q) = %s, %v", header, d, ok)
		}
	})
}
