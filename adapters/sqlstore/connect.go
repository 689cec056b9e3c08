package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Connect returns a small pool on a PostgreSQL database, with the hub's tables first in the search_path, for tools that
// work beside a running server: unlike Open it does not hold the database. It connects when it is used first.
func Connect(url string) (*sql.DB, error) {
	if scheme, _, _ := strings.Cut(url, ":"); scheme != "postgres" && scheme != "postgresql" {
		return nil, errors.New("sqlstore: connect: want a database URL of the form postgres://…") // it may hold a password: not quoted
	}
	cfg, err := postgresConfig(url)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: connect: %w", err)
	}
	return postgresPool(cfg, 2, nil).DB, nil
}
