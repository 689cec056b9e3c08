package docs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/matric/matric-events/tests/harness"
)

const operations = "../../docs/operations/"

func file(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(operations + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var metricName = regexp.MustCompile(`\bmatric_[a-z_]+\b`)

// inTable returns the metrics that metrics.md documents, which the registry's own test holds to the registry, and their
// types.
func inTable(t *testing.T) map[string]string {
	t.Helper()
	table := map[string]string{}
	for line := range strings.Lines(file(t, "metrics.md")) {
		if columns := strings.Split(line, "|"); strings.HasPrefix(line, "| `matric_") {
			table[strings.Trim(columns[1], " `")] = strings.TrimSpace(columns[2])
		}
	}
	return table
}

// TestOperationsNameMetricsThatExist: a rule or a panel on a metric that is not there says nothing for ever.
func TestOperationsNameMetricsThatExist(t *testing.T) {
	table := inTable(t)
	for _, name := range []string{"alerts.yml", "dashboard.json", "metrics.md"} {
		for _, metric := range metricName.FindAllString(file(t, name), -1) {
			family := metric
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if base, ok := strings.CutSuffix(metric, suffix); ok && table[base] == "histogram" {
					family = base
				}
			}
			if table[family] == "" {
				t.Errorf("%s names %s, which is no metric", name, metric)
			}
		}
	}
}

// scraped is what a real program serves after some of everything has happened: one series a line, without comments.
func scraped(t *testing.T) (text string, series map[string]string) {
	t.Helper()
	s := harness.Serve(t, webhooksOnLoopback...)
	receiver := harness.NewReceiver(t, nil)
	s.Call(201, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"url":%q,"events":["note"]}`, receiver.URL))
	stream := s.Events("?types=job.completed", "")
	s.Call(201, "POST", "/api/v1/notes", `{"title":"t","content":"See [[World]]"}`)
	stream.Until(harness.Named("JobCompleted"))
	s.Call(202, "POST", "/api/v1/worker-events", `{"type":"JobStarted","job_id":"0198f3a0-0000-7000-8000-000000000001","job_type":"Embedding"}`)
	receiver.Await(t, "two deliveries", func(ds []harness.Delivery) bool { return len(ds) >= 2 })
	s.Call(200, "GET", "/readyz", "")
	status, body := s.Do("GET", "/metrics", "")
	if status != 200 {
		t.Fatalf("GET /metrics = %d", status)
	}
	series = map[string]string{}
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			i := strings.LastIndexByte(line, ' ')
			series[line[:i]] = line[i+1:]
		}
	}
	return string(body), series
}

// TestScrapeIsDocumented: what the real program serves is what the table says.
func TestScrapeIsDocumented(t *testing.T) {
	text, _ := scraped(t)
	types := map[string]string{}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "# TYPE matric_"); ok {
			name, kind, _ := strings.Cut(strings.TrimSpace(rest), " ")
			types["matric_"+name] = kind
		}
	}
	table := inTable(t)
	for name, kind := range types {
		if table[name] != kind {
			t.Errorf("%s is a %s; the table says %q", name, kind, table[name])
		}
	}
	for name := range table {
		if types[name] == "" {
			t.Errorf("the table has %s, the program does not", name)
		}
	}
}

// promtool returns the path of Prometheus' tool; without it the test is skipped, or fails where everything must be there.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is not installed; Debian's package is prometheus")
		}
		t.Skip("promtool is not installed: alert rules are not tried")
	}
	return path
}

func mustRun(t *testing.T, stdin string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(name), args, err, out)
	}
}

// trouble is one change to the data of a healthy run, and the alert that must follow.
type trouble struct{ alert, series, values string }

const steady = "x60" // for an hour, a sample each minute

var troubles = []trouble{
	{"", "", ""}, // none
	{"MatricDown", `up`, "0+0" + steady},
	{"MatricUnhealthy", `matric_healthy{part="store"}`, "0+0" + steady},
	{"MatricStoreFails", `matric_store_errors_total{operation="notes_write"}`, "0+3" + steady},
	{"MatricStoreSlow", `matric_store_duration_seconds_bucket{operation="notes_write",le="+Inf"}`, "100+100" + steady},
	{"MatricPublishSlow", `matric_publish_duration_seconds_bucket{call="worker_events",result="accepted",le="+Inf"}`, "100+100" + steady},
	{"MatricStreamsSlow", `matric_stream_latency_seconds_bucket{transport="sse",le="+Inf"}`, "100+100" + steady},
	{"MatricClientsOvertaken", `matric_stream_lapped_total{transport="websocket"}`, "0+2" + steady},
	{"MatricConnectionsRefused", `matric_connections_refused_total{reason="connections_per_ip",transport="sse"}`, "0+9" + steady},
	{"MatricRecorderBehind", `matric_reader_lag_events{reader="webhooks"}`, "2000+0" + steady},
	{"MatricWebhooksFailing", `matric_webhook_attempts_total{class="timeout",outcome="failure"}`, "0+9" + steady},
	{"MatricDeliveriesDead", `matric_webhook_dead_total`, "0+1" + steady},
	{"MatricWebhookBacklog", `matric_webhook_backlog_deliveries{state="pending"}`, "20000+100" + steady},
	{"MatricOutboxStuck", `matric_outbox_oldest_age_seconds`, "100+60" + steady},
	{"MatricAnomalies", `matric_anomalies_total{kind="outbox"}`, "0+1" + steady},
	{"MatricLogLost", `matric_logger_dropped_lines_total`, "0+5" + steady},
	{"MatricLogLost", `matric_reader_missed_events_total{reader="mirror"}`, "0+5" + steady},
}

// TestAlerts has promtool check the rules, and try each on what a real program serves: none fires as long as all is well,
// and of each trouble the one that is meant for it does.
func TestAlerts(t *testing.T) {
	tool := promtool(t)
	text, series := scraped(t)
	mustRun(t, text, tool, "check", "metrics")
	rules, err := filepath.Abs(operations + "alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, "", tool, "check", "rules", rules)
	series["up"] = "1"
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(file(t, "alerts.yml"), -1) {
		if !slices.ContainsFunc(troubles, func(tr trouble) bool { return tr.alert == alert[1] }) {
			t.Errorf("nothing shows that %s fires", alert[1])
		}
	}
	path := filepath.Join(t.TempDir(), "test.yml")
	if err := os.WriteFile(path, trials(t, rules, series), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "", tool, "test", "rules", path)
}

// trials writes what promtool is to try.
func trials(t *testing.T, rules string, series map[string]string) []byte {
	t.Helper()
	var y bytes.Buffer
	fmt.Fprintf(&y, "rule_files: [%q]\nevaluation_interval: 1m\ntests:\n", rules)
	named := map[string]bool{"up": true} // by the rules: the others make no difference
	for _, metric := range metricName.FindAllString(file(t, "alerts.yml"), -1) {
		named[metric] = true
	}
	for _, tr := range troubles {
		if _, ok := series[tr.series]; tr.series != "" && !ok {
			t.Errorf("%s: the program serves no %s", tr.alert, tr.series)
		}
		fmt.Fprintf(&y, "  - interval: 1m\n    input_series:\n")
		for name, value := range series {
			if family, _, _ := strings.Cut(name, "{"); !named[family] {
				continue
			}
			values := value + "+0" + steady
			if name == tr.series {
				values = tr.values
			}
			fmt.Fprintf(&y, "      - {series: '%s', values: '%s'}\n", target(name), values)
		}
		fmt.Fprintf(&y, "    promql_expr_test:\n      - expr: max by (alertname) (ALERTS{alertstate=\"firing\"})\n        eval_time: 50m\n        exp_samples:")
		if tr.alert == "" {
			fmt.Fprintf(&y, " []\n")
			continue
		}
		fmt.Fprintf(&y, "\n          - {labels: '{alertname=\"%s\"}', value: 1}\n", tr.alert)
	}
	return y.Bytes()
}

// target adds the labels that Prometheus does.
func target(series string) string {
	name, labels, ok := strings.Cut(series, "{")
	if !ok {
		labels = "}"
	} else {
		labels = "," + labels
	}
	return name + `{job="matric-events",instance="hub:8080"` + labels
}

// TestDashboard has promtool parse every query of the dashboard, as rules that record them.
func TestDashboard(t *testing.T) {
	tool := promtool(t)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(file(t, "dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*")
	var rules bytes.Buffer
	fmt.Fprint(&rules, "groups:\n  - name: dashboard\n    rules:\n")
	queries := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			fmt.Fprintf(&rules, "      - {record: 'q%d', expr: '%s'}\n", queries, strings.ReplaceAll(variables.Replace(target.Expr), "'", "''"))
			queries++
		}
	}
	if queries < 30 {
		t.Errorf("%d queries in the dashboard", queries)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, rules.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "", tool, "check", "rules", path)
}
