package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain"
)

// MigrateCmd shows or changes the version of the database's schema. serve brings it up to date by itself.
type MigrateCmd struct {
	Action        string `arg:"" enum:"status,up,down" default:"status" help:"status, up (to the newest) or down (one step)."`
	DatabaseURL   string `default:"sqlite:matric-events.db" env:"MATRIC_DATABASE_URL,DATABASE_URL" help:"sqlite:PATH or postgres://…"`
	SecretKeyFile string `env:"MATRIC_SECRET_KEY_FILE" placeholder:"FILE" help:"Key of the database, as for serve."`
}

// Run implements the command.
func (c *MigrateCmd) Run(ctx context.Context, io console) error {
	db, err := sqlstore.Open(ctx, c.DatabaseURL, &sqlstore.Options{SecretKeyFile: c.SecretKeyFile})
	if err != nil {
		return err
	}
	defer db.Close()
	switch c.Action {
	case "up":
		done, err := db.MigrateUp(ctx)
		for _, m := range done {
			fmt.Fprintf(io.out, "applied %d %s\n", m.Version, m.Name)
		}
		if err == nil && len(done) == 0 {
			fmt.Fprintln(io.out, "nothing to do")
		}
		return err
	case "down":
		m, err := db.MigrateDown(ctx)
		if errors.Is(err, domain.ErrNotFound) {
			return errors.New("the database is empty: there is no step to take back")
		}
		if err == nil {
			fmt.Fprintf(io.out, "took back %d %s\n", m.Version, m.Name)
		}
		return err
	}
	all, err := db.MigrationStatus(ctx)
	out := tabwriter.NewWriter(io.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(out, "VERSION\tNAME\tAPPLIED")
	for _, m := range all {
		applied := "no"
		if !m.AppliedAt.IsZero() {
			applied = m.AppliedAt.UTC().Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(out, "%d\t%s\t%s\n", m.Version, m.Name, applied)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}
