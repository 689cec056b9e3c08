package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/matric/matric-events/adapters/capture"
	"github.com/matric/matric-events/adapters/sqlstore"
)

// CaptureStatusCmd shows what is attached. It fails when that is not as it should be.
type CaptureStatusCmd struct {
	DatabaseURL string `required:"" env:"MATRIC_DATABASE_URL,DATABASE_URL" placeholder:"postgres://…" help:"The application's database."`
	JSON        bool   `help:"As one JSON object."`
}

// Run implements the command.
func (c *CaptureStatusCmd) Run(ctx context.Context, io console) error {
	db, err := sqlstore.Connect(c.DatabaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	r, err := capture.Status(ctx, db)
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(io.out).Encode(captureReport(r))
	} else {
		printReport(io, r)
	}
	for _, a := range r.Captures {
		if len(a.Faults) > 0 {
			return errors.Join(err, fmt.Errorf("%s is not as it should be", a.Name))
		}
	}
	return err
}

func printReport(io console, r *capture.Report) {
	for _, a := range r.Captures {
		fmt.Fprintf(io.out, "%s: attached %s\n", a.Name, a.AttachedAt.UTC().Format(time.RFC3339))
		if len(a.Faults) == 0 {
			fmt.Fprintln(io.out, "  triggers: all there and enabled, as the mapping asks for")
		}
		for _, f := range a.Faults {
			fmt.Fprintf(io.out, "  PROBLEM: %s\n", oneLine(f, maxText))
		}
		if a.Counted {
			fmt.Fprintf(io.out, "  jobs: %d waiting, %d running\n", a.Pending, a.Running)
		}
		fmt.Fprintf(io.out, "  changes whose events were lost: %d\n", a.Missed)
		if a.Missed > 0 {
			fmt.Fprintf(io.out, "  the last of them: %s\n", oneLine(a.LastMissed, maxText))
		}
		fmt.Fprintln(io.out, "  mapping:")
		for line := range strings.Lines(a.Mapping) {
			fmt.Fprintf(io.out, "    %s\n", strings.TrimRight(line, "\n"))
		}
	}
	if len(r.Captures) == 0 {
		fmt.Fprintln(io.out, "nothing is attached")
	}
	fmt.Fprintf(io.out, "outbox: %d records", r.Records)
	if r.Records > 0 {
		fmt.Fprintf(io.out, ", the oldest %s old", r.Oldest.Round(time.Millisecond))
	}
	fmt.Fprintln(io.out)
}

// captureReport is the report as JSON.
func captureReport(r *capture.Report) any {
	type item struct {
		Name       string    `json:"name"`
		AttachedAt time.Time `json:"attached_at"`
		Problems   []string  `json:"problems"`
		Lost       int       `json:"lost"`
		LastLost   string    `json:"last_lost,omitempty"`
		Pending    int       `json:"pending"`
		Running    int       `json:"running"`
		Counted    bool      `json:"counted"`
		Mapping    string    `json:"mapping"`
	}
	out := struct {
		Captures []item  `json:"captures"`
		Records  int     `json:"outbox_records"`
		Oldest   float64 `json:"outbox_oldest_seconds"`
	}{Captures: []item{}, Records: r.Records, Oldest: r.Oldest.Seconds()}
	for _, a := range r.Captures {
		out.Captures = append(out.Captures, item{a.Name, a.AttachedAt.UTC(), append([]string{}, a.Faults...), a.Missed, a.LastMissed, a.Pending, a.Running, a.Counted, a.Mapping})
	}
	return out
}
