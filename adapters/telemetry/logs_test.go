package telemetry

import (
	"strings"
	"testing"
	"testing/synctest"
)

func TestLevelsAndFormats(t *testing.T) {
	for _, tc := range []struct {
		name, level string
		format      Format
		want, not   string
	}{
		{"json", "info", JSON, `"message":"told"`, "whispered"},
		{"an unknown level is info", "loud", JSON, `"message":"told"`, "whispered"},
		{"debug", "debug", JSON, "whispered", "nothing of the kind"},
		{"for people", "info", Console, " INF told\n", "\x1b"},
		{"for people in front of a terminal", "info", Colored, "\x1b[32mINF", `"message"`},
	} {
		out := &sink{}
		logs := OpenLogs(out, tc.level, tc.format)
		log := logs.Logger()
		log.Info().Msg("told")
		log.Debug().Msg("whispered")
		if err := logs.Close(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), tc.want) || strings.Contains(out.String(), tc.not) {
			t.Errorf("%s: %q; want %q and not %q", tc.name, out.String(), tc.want, tc.not)
		}
		log.Info().Msg("after the end") // to no effect
	}
}

func TestStandardLogIsDebug(t *testing.T) {
	out := &sink{}
	logs := OpenLogs(out, "debug", JSON)
	StandardLog(logs.Logger()).Print("http: TLS handshake error for https://me:secret@example.com/x")
	got := out.flushed(t, logs)
	if len(got) != 1 || got[0]["level"] != "debug" || got[0]["line"] != "http: TLS handshake error for https://…" {
		t.Errorf("got %v", got)
	}
}

// Who logs does not wait for a place that takes nothing; what is lost is counted.
func TestStuckOutputStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{stuck: make(chan struct{})}
		logs := OpenLogs(out, "info", JSON)
		log := logs.Logger()
		const more = 100
		for range 2*maxQueuedLines + more {
			log.Info().Msg("line") // on a write that waits, the bubble's clock would go nowhere and the test deadlock
		}
		close(out.stuck)
		written := len(out.flushed(t, logs))
		if lost := logs.Dropped(); lost < maxQueuedLines || int(lost)+written != 2*maxQueuedLines+more {
			t.Errorf("%d lines are lost and %d written of %d", lost, written, 2*maxQueuedLines+more)
		}
	})
}
