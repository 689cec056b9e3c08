package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/matric/matric-events/domain"
)

// Migration is one step of the schema's history.
type Migration struct {
	Version   int64
	Name      string    // of its file
	AppliedAt time.Time // zero when it is not applied
}

// MigrationStatus returns all migrations that this program knows, oldest first.
func (d *DB) MigrationStatus(ctx context.Context) ([]Migration, error) {
	p, err := d.provider(ctx)
	if err != nil {
		return nil, err
	}
	status, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: migration status: %w", translate(err))
	}
	out := make([]Migration, 0, len(status))
	for _, s := range status {
		out = append(out, Migration{Version: s.Source.Version, Name: path.Base(s.Source.Path), AppliedAt: s.AppliedAt})
	}
	return out, nil
}

// MigrateUp applies the migrations that are not applied yet and returns them. Each is a transaction: when one fails,
// those before it stay.
func (d *DB) MigrateUp(ctx context.Context) ([]Migration, error) {
	p, err := d.provider(ctx)
	if err != nil {
		return nil, err
	}
	done, err := p.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: migrate up: %w", translate(err))
	}
	if err := d.unlock(ctx); err != nil {
		return nil, fmt.Errorf("sqlstore: migrate up: %w", err)
	}
	out := make([]Migration, 0, len(done))
	for _, r := range done {
		out = append(out, migration(r))
	}
	return out, nil
}

// MigrateDown takes the newest applied migration back, with what its tables hold, and returns it. ErrNotFound says that
// none is applied.
func (d *DB) MigrateDown(ctx context.Context) (Migration, error) {
	p, err := d.provider(ctx)
	if err != nil {
		return Migration{}, err
	}
	undone, err := p.Down(ctx)
	if errors.Is(err, goose.ErrNoNextVersion) {
		err = domain.ErrNotFound
	}
	if err != nil {
		return Migration{}, fmt.Errorf("sqlstore: migrate down: %w", translate(err))
	}
	d.vault.Store(nil) // what it was bound to may be gone
	if err := d.unlock(ctx); err != nil {
		return Migration{}, fmt.Errorf("sqlstore: migrate down: %w", err)
	}
	return migration(undone), nil
}

func (d *DB) provider(ctx context.Context) (*goose.Provider, error) {
	if err := d.engine.prepare(ctx, d.write); err != nil {
		return nil, fmt.Errorf("sqlstore: prepare migrations: %w", translate(err))
	}
	p, err := d.engine.provider(d.write.DB)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: read migrations: %w", err)
	}
	return p, nil
}

func migration(r *goose.MigrationResult) Migration {
	return Migration{Version: r.Source.Version, Name: path.Base(r.Source.Path)}
}

// checkVersion refuses a schema that is newer than any this program knows.
func checkVersion(version int64, known fs.FS) error {
	files, err := fs.Glob(known, "*.sql")
	if err != nil || len(files) == 0 {
		return errors.Join(errors.New("no migrations are known"), err)
	}
	last, err := goose.NumericComponent(slices.Max(files)) // the numbers have leading zeros
	if err != nil || version <= last {
		return err
	}
	return fmt.Errorf("the database has schema version %d, and this program knows versions up to %d; use a newer one", version, last)
}
