package main

import (
	"cmp"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/matric/matric-events/domain"
)

// topLine is what happened between two looks, on one line.
func topLine(before, now *look) string {
	var out strings.Builder
	add := func(name, format string, value any) { fmt.Fprintf(&out, " %s="+format, name, value) }
	fmt.Fprintf(&out, "time=%s", now.at.UTC().Format(time.RFC3339))
	add("healthy", "%s", yes(now.unhealthy() == ""))
	add("events_per_s", "%.1f", rate(before, now, "matric_events_published_total"))
	for t := range domain.AllTypes.All() {
		add(t.String(), "%.1f", rate(before, now, "matric_events_published_total", "type", t.String()))
	}
	add("connections", "%.0f", now.sum("matric_connections"))
	add("lag", "%.0f", now.sum("matric_reader_lag_events", "reader", "connections"))
	add("sent_per_s", "%.1f", rate(before, now, "matric_stream_events_total"))
	add("latency_p99", "%s", short(quantile(before, now, .99, "matric_stream_latency_seconds")))
	add("jobs_running", "%.0f", now.sum("matric_queue_jobs", "state", "running"))
	add("jobs_pending", "%.0f", now.sum("matric_queue_jobs", "state", "pending"))
	add("attempts_per_s", "%.1f", rate(before, now, "matric_webhook_attempts_total"))
	add("failed_per_s", "%.1f", rate(before, now, "matric_webhook_attempts_total", "outcome", "failure"))
	add("backlog", "%.0f", now.sum("matric_webhook_backlog_deliveries", "state", "pending"))
	add("dead", "%.0f", now.sum("matric_webhook_backlog_deliveries", "state", "dead"))
	return out.String()
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// unhealthy names the parts that fail.
func (l *look) unhealthy() string {
	var parts []string
	for _, m := range l.metrics["matric_healthy"].GetMetric() {
		if m.GetGauge().GetValue() == 0 {
			parts = append(parts, oneLine(label(m, "part"), 40))
		}
	}
	return strings.Join(parts, ", ")
}

// topScreen is what happened between two looks, as lines for a screen of 24.
func topScreen(address string, before, now *look) []string {
	health := "healthy"
	if parts := now.unhealthy(); parts != "" {
		health = "FAILING: " + parts
	}
	version := ""
	if v := now.values("matric_build_info", "version"); len(v) > 0 {
		version = oneLine(v[0], 40) + " "
	}
	lines := []string{
		fmt.Sprintf("matric-events %sat %s, up %s, %s   %s", version, address, short(now.at.Sub(now.started)), health, now.at.Format(time.TimeOnly)), "",
		eventsLine(before, now),
		fmt.Sprintf("log       %.0f events, %s, the oldest %s   behind: connections %.0f, webhooks %.0f, mirror %.0f",
			now.sum("matric_log_events"), size(now.sum("matric_log_bytes")), short(seconds(now.sum("matric_log_oldest_age_seconds"))),
			now.sum("matric_reader_lag_events", "reader", "connections"), now.sum("matric_reader_lag_events", "reader", "webhooks"),
			now.sum("matric_reader_lag_events", "reader", "mirror")),
		fmt.Sprintf("clients   websocket %.0f, sse %.0f, poll %.0f, mcp %.0f   %s events/s, %s/s   50 %% in %s, 99 %% in %s",
			now.sum("matric_connections", "transport", "websocket"), now.sum("matric_connections", "transport", "sse"),
			now.sum("matric_connections", "transport", "poll"), now.sum("matric_connections", "transport", "mcp"), short64(rate(before, now, "matric_stream_events_total")),
			size(rate(before, now, "matric_stream_bytes_total")), short(quantile(before, now, .5, "matric_stream_latency_seconds")),
			short(quantile(before, now, .99, "matric_stream_latency_seconds"))),
		fmt.Sprintf("jobs      running %.0f, pending %.0f", now.sum("matric_queue_jobs", "state", "running"), now.sum("matric_queue_jobs", "state", "pending")),
		fmt.Sprintf("webhooks  %s attempts/s, %s fail   in flight %.0f   backlog %.0f, the oldest %s   dead %.0f   99 %% in %s",
			short64(rate(before, now, "matric_webhook_attempts_total")), short64(rate(before, now, "matric_webhook_attempts_total", "outcome", "failure")),
			now.sum("matric_webhook_deliveries_in_flight"), now.sum("matric_webhook_backlog_deliveries", "state", "pending"),
			short(seconds(now.sum("matric_webhook_backlog_oldest_age_seconds", "state", "pending"))),
			now.sum("matric_webhook_backlog_deliveries", "state", "dead"), short(quantile(before, now, .99, "matric_webhook_attempt_duration_seconds"))),
		"",
	}
	lines = append(lines, connectionLines(before, now)...)
	return append(lines, webhookLines(now)...)
}

func eventsLine(before, now *look) string {
	line := "events/s  " + short64(rate(before, now, "matric_events_published_total"))
	for t := range domain.AllTypes.All() {
		if r := rate(before, now, "matric_events_published_total", "type", t.String()); r > 0 {
			line += fmt.Sprintf("   %s %s", t, short64(r))
		}
	}
	return line
}

// How many rows a screen of 24 lines has room for.
const (
	topConnections = 6
	topWebhooks    = 5
)

func connectionLines(before, now *look) []string {
	lines := []string{fmt.Sprintf("%-9s  %-9s  %-22s  %-12s  %8s  %10s  %8s  %6s", "slowest", "transport", "remote", "user", "since", "delivered", "each s", "behind")}
	delivered := map[string]uint64{}
	for _, c := range before.connections {
		delivered[c.ID] = c.Delivered
	}
	for _, c := range now.connections[:min(len(now.connections), topConnections)] {
		each := "-"
		if n, known := delivered[c.ID]; known && now.at.After(before.at) {
			each = short64(float64(c.Delivered-n) / now.at.Sub(before.at).Seconds())
		}
		lines = append(lines, fmt.Sprintf("%-9s  %-9s  %-22s  %-12s  %8s  %10d  %8s  %6d", lastDigits(c.ID), oneLine(c.Transport, 9), oneLine(c.Remote, 22), oneLine(c.User, 12),
			short(now.at.Sub(c.Since)), c.Delivered, each, c.Lag))
	}
	return append(lines, "")
}

// webhookLines shows those first that fail most. Of a URL only the host is shown: the rest may be a secret.
func webhookLines(now *look) []string {
	lines := []string{fmt.Sprintf("%-9s  %-40s  %-8s  %8s  %s", "webhook", "host", "state", "failures", "last attempt")}
	slices.SortStableFunc(now.webhooks, func(a, b topWebhook) int { return cmp.Compare(b.FailureCount, a.FailureCount) })
	for _, w := range now.webhooks[:min(len(now.webhooks), topWebhooks)] {
		host, state, last := "?", "active", "never"
		if u, err := url.Parse(w.URL); err == nil {
			host = u.Host
		}
		if !w.IsActive {
			state = "disabled"
		}
		if !w.LastTriggeredAt.IsZero() {
			last = short(now.at.Sub(w.LastTriggeredAt)) + " ago"
		}
		lines = append(lines, fmt.Sprintf("%-9s  %-40s  %-8s  %8d  %s", lastDigits(w.ID), oneLine(host, 40), state, w.FailureCount, last))
	}
	return lines
}

// lastDigits are those by which people tell identifiers of the same time apart.
func lastDigits(id string) string { return oneLine(id[max(0, len(id)-8):], 8) }

// short is a duration with two digits or so; "-" for a negative one, which stands for none.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "-"
	case d == math.MaxInt64:
		return "more"
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// short64 is a number with three digits or so.
func short64(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.1fM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1fk", v/1e3)
	case v >= 100 || v == 0:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

func size(bytes float64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if bytes < 1024 {
			return short64(bytes) + " " + unit
		}
		bytes /= 1024
	}
	return short64(bytes) + " GiB"
}
