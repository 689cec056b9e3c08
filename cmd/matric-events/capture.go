package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/matric/matric-events/adapters/capture"
	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain"
)

// CaptureCmd makes the job and note tables of an application event sources.
type CaptureCmd struct {
	Plan   CapturePlanCmd   `cmd:"" help:"Check a mapping and print the SQL that attach would run. Changes nothing."`
	Attach CaptureAttachCmd `cmd:"" help:"Put triggers on the application's tables. Repeat it to change the mapping."`
	Status CaptureStatusCmd `cmd:"" help:"Show what is attached, and whether all is well."`
	Detach CaptureDetachCmd `cmd:"" help:"Take the triggers away again, and all that belongs to them."`
}

// CaptureDatabase says which database, and which of the captures there.
type CaptureDatabase struct {
	DatabaseURL string `required:"" env:"MATRIC_DATABASE_URL,DATABASE_URL" placeholder:"postgres://…" help:"The application's database."`
	Name        string `default:"default" help:"Of the capture, when there are several in one database."`
}

// CaptureMapping says what is captured.
type CaptureMapping struct {
	Mapping string   `type:"existingfile" placeholder:"FILE" help:"Mapping file, YAML. See docs/capture.md."`
	Preset  string   `placeholder:"NAME" help:"A known application: matric or river. All else comes on top of it."`
	Set     []string `sep:"none" placeholder:"KEY=VALUE" help:"One key of the mapping, such as jobs.table=public.task. May be repeated."`
}

func (c *CaptureMapping) read() (*capture.Mapping, error) {
	if c.Mapping == "" && c.Preset == "" && len(c.Set) == 0 {
		return nil, errors.New("nothing says what to capture: give --preset matric or river, or --mapping FILE, or --set KEY=VALUE")
	}
	var source []byte
	if c.Mapping != "" {
		var err error
		if source, err = os.ReadFile(c.Mapping); err != nil {
			return nil, err
		}
	}
	settings := c.Set
	if c.Preset != "" {
		settings = append([]string{"preset=" + c.Preset}, settings...)
	}
	return capture.ParseMapping(source, settings...)
}

// CapturePlanCmd prints SQL.
type CapturePlanCmd struct {
	CaptureMapping
	DatabaseURL string `env:"MATRIC_DATABASE_URL,DATABASE_URL" placeholder:"postgres://…" help:"The application's database."`
	Name        string `default:"default" help:"Of the capture."`
	Offline     bool   `help:"Do not connect: assume that the tables fit, with columns of the usual types."`
}

// Run implements the command.
func (c *CapturePlanCmd) Run(ctx context.Context, io console) error {
	m, err := c.read()
	if err != nil {
		return err
	}
	var plan *capture.Plan
	if c.Offline {
		plan, err = m.Plan(c.Name)
	} else {
		plan, err = c.check(ctx, m)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(io.out, plan.SQL())
	return err
}

func (c *CapturePlanCmd) check(ctx context.Context, m *capture.Mapping) (*capture.Plan, error) {
	if c.DatabaseURL == "" {
		return nil, errors.New("give --database-url, or --offline to do without")
	}
	db, err := sqlstore.Connect(c.DatabaseURL)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return capture.Check(ctx, db, c.Name, m)
}

// CaptureAttachCmd attaches.
type CaptureAttachCmd struct {
	CaptureDatabase
	CaptureMapping
	CaptureLocks
	SecretKeyFile string `env:"MATRIC_SECRET_KEY_FILE" placeholder:"FILE" help:"Key of the database, as for serve, should the hub's tables have to be made."`
}

// CaptureLocks bound how long the application is held up.
type CaptureLocks struct {
	LockTimeout time.Duration `default:"500ms" help:"How long to wait for a table that a transaction uses, while others wait behind."`
	LockTries   int           `default:"10" help:"How often to try, a second apart."`
}

func (c *CaptureLocks) options(io console) *capture.Options {
	return &capture.Options{LockTimeout: c.LockTimeout, Tries: c.LockTries, OnBusy: func(err error) {
		fmt.Fprintf(io.err, "matric-events: a table is in use (%s); trying again\n", oneLine(err.Error(), maxText))
	}}
}

// Run implements the command.
func (c *CaptureAttachCmd) Run(ctx context.Context, io console) error {
	m, err := c.read()
	if err != nil {
		return err
	}
	db, err := sqlstore.Connect(c.DatabaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	changed, err := capture.Attach(ctx, db, c.Name, m, c.options(io))
	if errors.Is(err, capture.ErrNoSchema) {
		if err := c.migrate(ctx, io); err != nil {
			return err
		}
		changed, err = capture.Attach(ctx, db, c.Name, m, c.options(io))
	}
	if err != nil {
		return err
	}
	if !changed {
		fmt.Fprintf(io.out, "%s is attached already; nothing to do\n", c.Name)
		return nil
	}
	fmt.Fprintf(io.out, "%s is attached: from now on every change that commits is an event\n", c.Name)
	return capture.Recount(ctx, db, c.Name)
}

// migrate makes the hub's tables, as serve does when it comes first.
func (c *CaptureAttachCmd) migrate(ctx context.Context, io console) error {
	store, err := sqlstore.Open(ctx, c.DatabaseURL, &sqlstore.Options{SecretKeyFile: c.SecretKeyFile})
	if err != nil {
		return fmt.Errorf("the hub's tables must be brought up to date first: %w", err)
	}
	defer store.Close()
	done, err := store.MigrateUp(ctx)
	for _, m := range done {
		fmt.Fprintf(io.out, "applied %d %s\n", m.Version, m.Name)
	}
	return err
}

// CaptureDetachCmd detaches.
type CaptureDetachCmd struct {
	CaptureDatabase
	CaptureLocks
}

// Run implements the command.
func (c *CaptureDetachCmd) Run(ctx context.Context, io console) error {
	db, err := sqlstore.Connect(c.DatabaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	err = capture.Detach(ctx, db, c.Name, c.options(io))
	if errors.Is(err, domain.ErrNotFound) || errors.Is(err, capture.ErrNoSchema) {
		return fmt.Errorf("nothing is attached under the name %s", c.Name)
	}
	if err == nil {
		fmt.Fprintf(io.out, "%s is detached\n", c.Name)
	}
	return err
}
