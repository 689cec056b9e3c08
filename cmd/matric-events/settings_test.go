package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestByteSize(t *testing.T) {
	for in, want := range map[string]ByteSize{
		"0": 0, "17": 17, "17B": 17, "64KiB": 64 << 10, "16MiB": 16 << 20, "2GiB": 2 << 30,
	} {
		var got ByteSize
		if err := got.UnmarshalText([]byte(in)); err != nil || got != want {
			t.Errorf("UnmarshalText(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "MiB", "-1", "1.5MiB", "16mib", "99999999999999999999", "9223372036854775807GiB"} {
		var got ByteSize
		if err := got.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("UnmarshalText(%q) = %d; want an error", in, got)
		}
	}
	for in, want := range map[ByteSize]string{0: "0", 17: "17", 1 << 10: "1KiB", 3 << 20: "3MiB", 1<<20 + 1: "1048577", 4 << 30: "4GiB"} {
		if got := in.String(); got != want {
			t.Errorf("ByteSize(%d) = %s; want %s", int64(in), got, want)
		}
	}
}

// defaults are the settings that others rely on, each with its default as config prints it.
var defaults = map[string]string{
	"listen": "127.0.0.1:8080", "database-url": "sqlite:matric-events.db", "standby": "", "no-host": "",
	"bus-capacity": "8192", "bus-bytes": "16MiB",
	"max-connections": "50000", "max-connections-per-ip": "1024", "max-handshakes-per-second": "1000",
	"heartbeat": "30s", "idle-timeout": "90s", "write-timeout": "10s", "sse-keepalive": "15s",
	"allowed-origins": "", "require-auth": "", "auth-tokens-file": "", "webhook-allow-http": "", "webhook-allow-cidr": "",
	"webhook-timeout": "15s", "webhook-retry-initial": "5s", "webhook-retry-max": "8h", "webhook-max-in-flight": "512", "webhook-per-endpoint": "16",
	"queue-status-interval": "1s", "shutdown-timeout": "30s", "log-level": "info", "log-format": "auto",
}

func TestDefaultsAreTheContracts(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"config", "--json"}, &out, &errs); code != 0 {
		t.Fatalf("config = %d %s", code, errs.String())
	}
	seen := map[string]bool{}
	for dec := json.NewDecoder(&out); dec.More(); {
		var s setting
		if err := dec.Decode(&s); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(s.Flag, "--")
		if want, known := defaults[name]; known && s.Default != want {
			t.Errorf("--%s has the default %q, want %q", name, s.Default, want)
		}
		if env := "MATRIC_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")); !strings.HasPrefix(s.Env+",", env+",") {
			t.Errorf("--%s is set by %q, want %s", name, s.Env, env)
		}
		seen[name] = true
	}
	for name := range defaults {
		if !seen[name] {
			t.Errorf("there is no --%s", name)
		}
	}
}

func TestConfigHasEverySettingWithItsVariable(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"config"}, &out, &errs); code != 0 {
		t.Fatalf("config = %d %s", code, errs.String())
	}
	for name := range defaults {
		env := "MATRIC_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		found := false
		for line := range strings.Lines(out.String()) {
			found = found || strings.HasPrefix(line, "--"+name+" ") && strings.Contains(line, env)
		}
		if !found {
			t.Errorf("no line for --%s with %s", name, env)
		}
	}
}

func TestEnvironmentSetsAndFlagsWin(t *testing.T) {
	t.Setenv("MATRIC_HEARTBEAT", "7s")
	t.Setenv("MATRIC_IDLE_TIMEOUT", "8s")
	var out bytes.Buffer
	run(t.Context(), []string{"config", "--idle-timeout", "9s"}, &out, &out)
	for _, want := range []string{"--heartbeat 7s", "--idle-timeout 9s"} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestDatabaseURLIsReadUnlessOursIsSet(t *testing.T) {
	for _, tt := range []struct{ ours, common, want string }{
		{"", "sqlite:common.db", "--database-url sqlite:common.db"},
		{"sqlite:ours.db", "sqlite:common.db", "--database-url sqlite:ours.db"},
	} {
		for name, value := range map[string]string{"MATRIC_DATABASE_URL": tt.ours, "DATABASE_URL": tt.common} {
			t.Setenv(name, value)
			if value == "" {
				_ = os.Unsetenv(name) // what Setenv puts back later
			}
		}
		var out bytes.Buffer
		run(t.Context(), []string{"config"}, &out, &out)
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), tt.want) {
			t.Errorf("no %q in\n%s", tt.want, out.String())
		}
	}
}
