package sqlstore

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/matric/matric-events/migrations"
	"github.com/matric/matric-events/tests/pgtest"
)

func TestFirstSchema(t *testing.T) {
	for path, want := range map[string]string{
		"matric_events": "matric_events", "Matric, public": "matric", `"$user", public`: "public", `"Odd ""one""",b`: `Odd "one"`, `"$user"`: "", "": "",
	} {
		if got := firstSchema(path); got != want {
			t.Errorf("firstSchema(%s) = %q; want %q", path, got, want)
		}
	}
}

// tables returns the tables of a database that are not the server's own, with their schemas.
func tables(t *testing.T, db *sql.DB) (names []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT schemaname || '.' || tablename FROM pg_tables
		WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

// application connects as a program other than ours does.
func application(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func exec(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestPostgresTablesDoNotMeetThoseOfAnApplication(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	app := application(t, url)
	mine := []string{"public.attempt", "public.delivery", "public.goose_db_version", "public.note", "public.outbox", "public.secret_key_check", "public.webhook"}
	for _, name := range mine {
		exec(t, app, `CREATE TABLE `+name+` (id integer, version_id bigint DEFAULT 99)`, `INSERT INTO `+name+` VALUES (1)`)
	}
	db := openKind(t, url)
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for _, name := range tables(t, app) {
		if !strings.HasPrefix(name, "matric_events.") && !slices.Contains(mine, name) {
			t.Errorf("%s is neither ours nor the application's", name)
		}
	}
	for _, name := range mine {
		var rows int
		if err := app.QueryRowContext(t.Context(), `SELECT count(*) FROM `+name).Scan(&rows); err != nil || rows != 1 {
			t.Errorf("%s has %d rows, %v; want it left alone", name, rows, err)
		}
	}
}

func TestPostgresSearchPathOfTheURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ why, parameter, schema string }{
		{"a parameter", "search_path=Our_Own", "our_own"},
		{"a parameter with quotes", "search_path=%22Our Own%22,public", "Our Own"},
		{"in the options", "options=-csearch_path%3Dhere", "here"},
		{"as it was before", "search_path=public", "public"},
	} {
		url := pgtest.Database(t)
		db := openKind(t, url+"&"+c.parameter)
		if got := tables(t, db.SQL()); !slices.Contains(got, c.schema+".outbox") || slices.ContainsFunc(got, func(n string) bool { return !strings.HasPrefix(n, c.schema+".") }) {
			t.Errorf("%s: tables %q; want them in %s", c.why, got, c.schema)
		}
	}
}

// first makes what the first version of the program made: its tables, in the schema public.
func first(t *testing.T, url string) {
	t.Helper()
	p, err := goose.NewProvider(goose.DialectPostgres, application(t, url+"&search_path=public"), migrations.Postgres())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(context.WithoutCancel(t.Context()), 1); err != nil {
		t.Fatal(err)
	}
}

func TestPostgresTablesOfTheFirstVersionAreMoved(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	first(t, url)
	app := application(t, url)
	exec(t, app, `CREATE TABLE note (id integer)`,
		`INSERT INTO webhook VALUES ('01a210cf-64b4-762b-b2ef-9da32f036886', 'https://a.example/', '[]', 1, '', '', '', 'active', 1, 1, 0, 0)`)
	db := openKind(t, url)
	var hooks int
	if err := db.SQL().QueryRowContext(t.Context(), `SELECT count(*) FROM matric_events.webhook`).Scan(&hooks); err != nil || hooks != 1 {
		t.Errorf("%d webhooks, %v; want the one there was", hooks, err)
	}
	for _, name := range tables(t, app) {
		if name != "public.note" && !strings.HasPrefix(name, "matric_events.") {
			t.Errorf("%s was left behind", name)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), url, &Options{SecretKeyFile: db.keyFile})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	if done, err := again.MigrateUp(t.Context()); err != nil || len(done) != 0 {
		t.Errorf("MigrateUp = %v, %v; want nothing to do", done, err)
	}
}

// A role that may not create schemas can be given one.
func TestPostgresSchemaThatIsThere(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	app := application(t, url)
	role := filepath.Base(strings.SplitN(url, "?", 2)[0]) + "_hub" // roles are the server's
	exec(t, app, `CREATE ROLE `+role+` LOGIN`, `CREATE SCHEMA matric_events AUTHORIZATION `+role)
	t.Cleanup(func() {
		for _, s := range []string{`DROP OWNED BY ` + role, `DROP ROLE ` + role} {
			if _, err := app.ExecContext(context.WithoutCancel(t.Context()), s); err != nil {
				t.Error(err)
			}
		}
	})
	db := openKind(t, strings.Replace(url, "postgres@", role+"@", 1))
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
