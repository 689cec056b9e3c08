// Package migrations holds the SQL that brings a database to the schema of this version of the program, one folder for
// each kind of database. Files are numbered, applied in order, each in a transaction of its own, and never changed once
// released.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed sqlite/*.sql postgres/*.sql
var files embed.FS

// SQLite returns the migrations of SQLite databases, at the root of the file system.
func SQLite() fs.FS { return folder("sqlite") }

// Postgres returns the migrations of PostgreSQL databases, at the root of the file system.
func Postgres() fs.FS { return folder("postgres") }

func folder(name string) fs.FS {
	sub, err := fs.Sub(files, name)
	if err != nil {
		panic("migrations: " + err.Error()) // the path is a valid constant
	}
	return sub
}
