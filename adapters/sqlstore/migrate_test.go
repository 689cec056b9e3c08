package sqlstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain"
)

func TestMigrations(t *testing.T) {
	onEvery(t, func(t *testing.T, url, key string) {
		db, err := sqlstore.Open(t.Context(), url, &sqlstore.Options{SecretKeyFile: key})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeDB(t, db) })
		if err := db.Check(t.Context()); err == nil {
			t.Error("a database without a schema was called fit")
		}
		known := status(t, db, 0)
		for range 2 {
			applied, err := db.MigrateUp(t.Context())
			if err != nil || len(applied) != known || applied[0].Version != 1 || !strings.HasPrefix(applied[0].Name, "00001_") {
				t.Fatalf("MigrateUp = %+v, %v", applied, err)
			}
			status(t, db, known)
			if err := db.Check(t.Context()); err != nil {
				t.Errorf("with a schema: %v", err)
			}
			if again, err := db.MigrateUp(t.Context()); err != nil || len(again) != 0 {
				t.Errorf("the second MigrateUp = %v, %v; want nothing to do", again, err)
			}
			for left := known - 1; left >= 0; left-- {
				undone, err := db.MigrateDown(t.Context())
				if err != nil || undone.Version != int64(left+1) {
					t.Fatalf("MigrateDown = %+v, %v", undone, err)
				}
				status(t, db, left)
			}
			if _, err := db.MigrateDown(t.Context()); !errors.Is(err, domain.ErrNotFound) {
				t.Errorf("MigrateDown = %v; want ErrNotFound", err)
			}
		}
	})
}

// status checks how many migrations are applied and returns how many there are.
func status(t *testing.T, db *sqlstore.DB, want int) int {
	t.Helper()
	all, err := db.MigrationStatus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	applied := 0
	for _, m := range all {
		if !m.AppliedAt.IsZero() {
			applied++
		}
	}
	if applied != want {
		t.Errorf("%d migrations are applied, want %d", applied, want)
	}
	return len(all)
}
