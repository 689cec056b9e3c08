// Package migrations holds the SQL that brings a database to the schema of this version of the program, one folder for
// each kind of database. Files are numbered, applied in order, each in a transaction of its own, and never changed once
// released.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed sqlite/*.sql
var files embed.FS

// SQLite returns the migrations of SQLite databases, at the root of the file system.
func SQLite() fs.FS {
	sub, err := fs.Sub(files, "sqlite")
	if err != nil {
		panic("migrations: " + err.Error()) // the path is a valid constant
	}
	return sub
}
