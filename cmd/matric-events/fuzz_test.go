package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
)

// mustFitTerminal fails when a text holds what a terminal could take for a command.
func mustFitTerminal(t *testing.T, line string) {
	t.Helper()
	if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) }) {
		t.Fatalf("not fit for a terminal: %q", line)
	}
}

// A size that is read is what its digits say times its unit, and reads the same as it is printed.
func FuzzByteSize(f *testing.F) {
	for _, seed := range []string{"0", "17B", "64KiB", "16MiB", "2GiB", "", "B", "-1", "+1", "1.5MiB", "16mib", "1 KiB", "9223372036854775807", "4294967296GiB", "4294967295GiB", "0x10", "1_000", "00KiB", "1KiBB"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var size, again ByteSize
		if err := size.UnmarshalText([]byte(text)); err != nil {
			if !strings.Contains(err.Error(), "is no size") || size != 0 {
				t.Fatalf("%q: %d, %v", text, size, err)
			}
			return
		}
		if err := again.UnmarshalText([]byte(size.String())); err != nil || again != size || size < 0 {
			t.Fatalf("%q is %d, printed as %s, which is %d, %v", text, size, size, again, err)
		}
	})
}

// Whatever the settings are given: they are refused in one line that names the flag, or in effect as config prints them, which is
// the same again when given so.
func FuzzSettings(f *testing.F) {
	for i, seed := range []string{
		"30s", "0", "-1s", "1h1m1.5s", "9223372036854775807ns", "300y", "", "auto", "off", "16MiB", "a,b", `a\,b`, "--", "-", "=", "info", "1e3", "0x10", "+5", "\n", "trace", "postgres://u:hunter2@h/d", "1",
	} {
		f.Add(uint8(i), seed)
		f.Add(uint8(i+20), seed)
	}
	var model struct{ ConfigCmd }
	parser, err := kong.New(&model)
	if err != nil {
		f.Fatal(err)
	}
	var flags []*kong.Flag
	for _, flag := range parser.Model.Flags {
		if len(flag.Envs) > 0 {
			flags = append(flags, flag)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, value string) {
		flag := flags[int(which)%len(flags)]
		in := effect(t, flag.Name, value)
		if in == nil {
			return
		}
		if flag.IsSlice() || flag.IsBool() || flag.Name == "database-url" || flag.Name == "otlp-endpoint" { // of which commas and secrets are not printed as given
			return
		}
		again := effect(t, flag.Name, in["--"+flag.Name])
		if again == nil {
			t.Fatalf("--%s=%q is %q, which is refused", flag.Name, value, in["--"+flag.Name])
		}
		for name, v := range in {
			if again[name] != v {
				t.Fatalf("--%s=%q: %s is %q, and given so %q", flag.Name, value, name, v, again[name])
			}
		}
	})
}

// effect returns what config prints, by flag; nil when it refuses.
func effect(t *testing.T, flag, value string) map[string]string {
	t.Helper()
	var out, errs bytes.Buffer
	switch code := run(t.Context(), []string{"config", "--json", "--" + flag + "=" + value}, &out, &errs); {
	case code == 0:
	case code != 1 || out.Len() > 0 || !strings.HasPrefix(errs.String(), "matric-events: ") || !strings.Contains(errs.String(), "--"+flag):
		t.Fatalf("--%s=%q: %d %s%s", flag, value, code, out.String(), errs.String())
	default:
		return nil
	}
	values := map[string]string{}
	for dec := json.NewDecoder(&out); dec.More(); {
		var s setting
		if err := dec.Decode(&s); err != nil {
			t.Fatal(err)
		}
		values[s.Flag] = s.Value
	}
	return values
}

// What tail is to show and to wait for is refused by the name of the flag; what ends the wait is always asked for.
func FuzzTailFlags(f *testing.F) {
	const id = "019ab3f2-0000-7000-8000-0000000000aa"
	f.Add("", "", "", "")
	f.Add("job", "job.completed", id, id)
	f.Add("queue", "job_failed,note", "x", "")
	f.Add("nope", "nope", "", "zero")
	f.Add("note", "queue,nope", id+","+id, "00000000-0000-0000-0000-000000000000")
	f.Fuzz(func(t *testing.T, types, until, jobs, after string) {
		c, wait := TailCmd{Types: []string{types}, Until: []string{until}, JobID: []string{jobs}, After: after}, &tailing{}
		s, err := c.subscription(wait)
		if err != nil {
			if fe, ok := errors.AsType[*domain.FieldError](err); !ok || !strings.HasPrefix(fe.Field, "--") {
				t.Fatalf("%+v: %v", c, err)
			}
			return
		}
		if s.Filter.Types != 0 && s.Filter.Types&wait.until != wait.until || wait.show == 0 || s.Filter.Types != 0 && wait.show&^s.Filter.Types != 0 {
			t.Fatalf("%+v asks for %v, shows %v, waits for %v", c, s.Filter.Types.Names(), wait.show.Names(), wait.until.Names())
		}
	})
}

// An event from a hub, whatever it says, is one line that no terminal takes for a command.
func FuzzTailLine(f *testing.F) {
	for _, e := range story() {
		f.Add(e.AppendJSON(nil))
	}
	f.Add([]byte(`{"type":"NoteUpdated","occurred_at":"2026-11-23T12:41:48Z","note_id":"019ab3f2-0000-7000-8000-0000000001aa","operation":"created","title":"\u001b]0;x\u0007\u009b2J\u2028\u202e","tags":["\r\n"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := domain.DecodeEvent(data)
		if err != nil {
			return
		}
		mustFitTerminal(t, string(lineFormat{zone: time.UTC}.append(nil, e)))
	})
}

// An event made of flags is refused by the name of a flag, or is one that the API takes.
func FuzzEmitFlags(f *testing.F) {
	const id = "019ab3f2-0000-7000-8000-0000000000aa"
	f.Add("job-progress", id, "chunk 4", "40", 40)
	f.Add("job.failed", id, "\x00", "", -1)
	f.Add("note-updated", id, "updated", "a", 0)
	f.Add("NOTE_UPDATED", "x", "\xff", "\x00", 0)
	f.Add("", "", "", "", 101)
	f.Fuzz(func(t *testing.T, typ, id, text, more string, number int) {
		flags := EventFlags{Type: &typ, JobID: &id, Message: &text, Percent: &number, JobType: &more}
		if strings.HasPrefix(strings.ToLower(typ), "note") {
			flags = EventFlags{Type: &typ, NoteID: &id, Operation: &text, Tags: []string{more}}
		}
		it, err := flags.item()
		if err != nil {
			if fe, ok := errors.AsType[*domain.FieldError](err); !ok || fe.Field != "type" && fe.Field != "" && !strings.HasPrefix(fe.Field, "--") {
				t.Fatalf("%+v: %v", flags, err)
			}
			return
		}
		if (it.worker == nil) == (it.note == nil) {
			t.Fatalf("%+v is %+v", flags, it)
		}
		raw, err := json.Marshal(it.worker)
		if it.note != nil {
			raw, err = json.Marshal(it.note)
		}
		if _, again := decodeItem(raw); err != nil || again != nil {
			t.Fatalf("%+v is %s, which the API refuses: %v", flags, raw, errors.Join(err, again))
		}
	})
}

// Whatever a server that may be no hub has for metrics, top shows lines that no terminal takes for a command.
func FuzzTopScreen(f *testing.F) {
	f.Add(earlierMetrics, laterMetrics, "websocket", "https://a.example/x")
	f.Add("", "matric_build_info{version=\"\x1b[2J\"} 1\n", "\x1b", "%")
	f.Add("", "# TYPE matric_healthy gauge\nmatric_healthy{part=\"a\\nb\"} 0\n", "a\nb", "//\u009b")
	f.Add("", "# TYPE matric_log_bytes gauge\nmatric_log_bytes NaN\nmatric_log_oldest_age_seconds -Inf\nmatric_connections{transport=\"sse\"} +Inf\n", "", "")
	f.Add("", "# TYPE matric_stream_latency_seconds histogram\nmatric_stream_latency_seconds_bucket{le=\"NaN\"} 7\nmatric_stream_latency_seconds_bucket{le=\"-Inf\"} 7\n", "", "")
	f.Fuzz(func(t *testing.T, earlier, later, text, address string) {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		was, err := parser.TextToMetricFamilies(strings.NewReader(earlier))
		if err != nil {
			return
		}
		is, err := parser.TextToMetricFamilies(strings.NewReader(later))
		if err != nil {
			return
		}
		before := &look{at: noon, started: noon, metrics: was, connections: []topConnection{{ID: text, Delivered: math.MaxUint64}}}
		now := &look{
			at: noon.Add(time.Second), started: noon, metrics: is, connections: []topConnection{{ID: text, Transport: text, Remote: text, User: text}},
			webhooks: []topWebhook{{ID: text, URL: address, FailureCount: -1}},
		}
		for _, line := range topScreen("http://hub.example", before, now) {
			mustFitTerminal(t, line)
		}
		mustFitTerminal(t, topLine(before, now))
	})
}

// A database URL is shown without its password, whatever characters that is made of, also those that should have been escaped.
func FuzzRedactURL(f *testing.F) {
	for _, seed := range [][2]string{{"", ""}, {"1/", ""}, {"", "?x"}, {"#", ""}, {"%zz", ""}, {"@", "@"}, {"[", "]"}, {" ", "\n"}, {":", "//"}, {"1/%40", ""}, {"\\", "\\"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, before, behind string) {
		const secret = "hunter2"
		for _, shown := range []string{
			redactURL("postgres://ann:" + before + secret + behind + "@db.example/matric"), redactURL("postgres://db.example/matric?password=" + before + secret + behind),
		} {
			if strings.Contains(shown, secret) || !strings.HasPrefix(shown, "postgres://") {
				t.Fatalf("between %q and %q: %s", before, behind, shown)
			}
		}
	})
}

// Whatever is sent to webhook listen, by whomever, is printed as two lines that no terminal takes for a command.
func FuzzReceiver(f *testing.F) {
	f.Add("JobStarted", `{"type":"JobStarted","message":"é"}`)
	f.Add("\x1b[2J", "\x1b]0;x\x07\r\n\u009b2J\xff")
	f.Fuzz(func(t *testing.T, header, body string) {
		var out bytes.Buffer
		w, req := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		for _, name := range []string{"X-Matric-Event", "X-Matric-Attempt", "X-Matric-Delivery", signing.HeaderStandard, signing.HeaderBody} {
			req.Header.Set(name, header)
		}
		secret, err := signing.ParseSecret("a secret of my own")
		if err != nil {
			t.Fatal(err)
		}
		(&receiver{out: &out, status: http.StatusOK, verifier: &signing.Verifier{Secrets: []signing.Secret{secret}}}).ServeHTTP(w, req)
		first, second, _ := strings.Cut(strings.TrimSuffix(out.String(), "\n"), "\n")
		if w.Code != http.StatusUnauthorized || !strings.Contains(first, "signature") {
			t.Fatalf("%d %s", w.Code, out.String())
		}
		mustFitTerminal(t, first)
		mustFitTerminal(t, second)
	})
}

// Whatever a server answers instead of what was asked for, the error is printed as lines that no terminal takes for a command.
func TestErrorsFitTheTerminal(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"detail":"\u001b[2Jfirst\nsecond\u009b","field":"\u0007"}`))
	}))
	defer server.Close()
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"emit", "worker-started", "--url", server.URL}, &out, &errs)
	if code != 1 || !strings.Contains(errs.String(), "[2Jfirst\nsecond") {
		t.Errorf("%d %q", code, errs.String())
	}
	for line := range strings.Lines(errs.String()) {
		mustFitTerminal(t, strings.TrimSuffix(line, "\n"))
	}
}
