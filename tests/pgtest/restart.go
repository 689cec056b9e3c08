package pgtest

import (
	"context"
	"database/sql"
	"io"
	"testing"
	"time"
)

// Server is a server of one test's own, which may do to it what others would mind.
type Server struct {
	tb    testing.TB
	url   string
	leash io.Writer
}

// Start starts a server for one test. PGTEST_DSN makes no difference.
func Start(tb testing.TB) *Server {
	tb.Helper()
	url, leash, err := start()
	required(tb, err)
	tb.Cleanup(func() { _ = leash.Close() })
	return &Server{tb, url, leash}
}

// Database creates an empty database on the server and returns its URL.
func (s *Server) Database() string { return create(s.tb, s.url) }

// Restart does what pg_ctl restart -m immediate does: the server aborts, as in a crash, and recovers. It returns once
// connections are accepted again.
func (s *Server) Restart() {
	s.tb.Helper()
	before, err := s.started()
	if err != nil {
		s.tb.Fatalf("pgtest: %v", err)
	}
	if _, err := io.WriteString(s.leash, "QUIT\n"); err != nil {
		s.tb.Fatalf("pgtest: restart: %v", err)
	}
	for over := time.Now().Add(startTimeout); ; time.Sleep(10 * time.Millisecond) { // nothing announces it
		if now, err := s.started(); err == nil && now != before {
			return
		}
		if time.Now().After(over) {
			s.tb.Fatalf("pgtest: the server did not come back in %v", startTimeout)
		}
	}
}

// started returns when the server started.
func (s *Server) started() (at string, err error) {
	db, err := sql.Open("postgres", s.url)
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.QueryRowContext(context.Background(), `SELECT pg_postmaster_start_time()::text`).Scan(&at)
	return at, err
}
