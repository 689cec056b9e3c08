package main

import (
	"bytes"
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

// settingNames are those that outside tests rely on.
const settingNames = `listen database-url standby no-host bus-capacity bus-bytes max-connections max-connections-per-ip
	max-handshakes-per-second heartbeat idle-timeout write-timeout sse-keepalive allowed-origins require-auth
	auth-tokens-file webhook-allow-http webhook-allow-cidr webhook-timeout webhook-retry-initial webhook-retry-max
	webhook-max-in-flight webhook-per-endpoint queue-status-interval shutdown-timeout log-level log-format`

func TestConfigHasEverySettingWithItsVariable(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"config"}, &out, &errs); code != 0 {
		t.Fatalf("config = %d %s", code, errs.String())
	}
	for name := range strings.FieldsSeq(settingNames) {
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
