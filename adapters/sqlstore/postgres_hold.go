package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// The advisory locks of this program within one database. PostgreSQL has one space of numbers for all programs: these are
// the letters of a name.
const (
	holdLock    = 0x6d_61_74_72_69_63_65_76 // "matricev": who serves the database
	migrateLock = 0x6d_61_74_72_69_63_6d_67 // "matricmg": who changes the schema
	webhookLock = 0x6d_74_72_77             // "mtrw", and a number made of an ID: who changes a webhook
	noteLock    = 0x6d_74_72_6e             // "mtrn", likewise: who changes a note
	awakeLock   = 0x6d_74_72_62             // "mtrb", and 0: the reader of the outbox is awake, nobody need ring the bell
)

const (
	// sessionPulse is how often a session is looked at. When it breaks, a server that stands by has the lock at once; the
	// one that had it must find out.
	sessionPulse    = time.Second
	sessionTimeout  = 5 * time.Second // for its answer, whatever it is asked
	sessionPatience = "1s"            // with another holder
	standbyPatience = "900ms"         // likewise, at a time; less than the second after which PostgreSQL looks for deadlocks
	standbyPause    = time.Second     // between tries of a server that stands by and has lost its connection
)

// awaitHold waits for the lock, and takes it or gives up after the lock_timeout; without an error, which the server would
// write to its log.
var awaitHold = fmt.Sprintf(`DO $$ BEGIN PERFORM pg_advisory_lock(%d); EXCEPTION WHEN lock_not_available THEN END $$`, int64(holdLock))

// sessionSettings make the server leave a session alone.
var sessionSettings = map[string]string{"statement_timeout": "0", "idle_session_timeout": "0"}

// sessionHold holds a database by an advisory lock, which lives as long as one connection does.
type sessionHold struct {
	pool  *sqlx.DB // of this connection alone
	pulse time.Duration

	mu   sync.Mutex // guards conn, so that Close finds the present one
	conn *sql.Conn  // nil while there is none
}

func takeSession(ctx context.Context, cfg pq.Config, standby func(holder string)) (*sessionHold, error) {
	connector := postgresConnector(cfg, sessionSettings)
	connector.Dialer(dialer{answer: sessionTimeout})
	h := &sessionHold{pool: poolOf(connector, 1), pulse: sessionPulse}
	err := h.take(ctx, sessionPatience)
	if who, held := errors.AsType[heldError](err); held && standby != nil {
		standby(string(who))
		err = h.await(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, h.pool.Close())
	}
	return h, nil
}

// await waits for the lock in the server, which hands it over at the moment that the holder's connection ends. It begins anew
// every second: a statement that waits has a snapshot, and as long as that is there nothing that is deleted anywhere in
// the database can be cleared away, and CREATE INDEX CONCURRENTLY does not end.
func (h *sessionHold) await(ctx context.Context) error {
	for {
		err := h.take(ctx, standbyPatience)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if _, held := errors.AsType[heldError](err); held {
			continue
		}
		select { // the server has restarted, or is away
		case <-time.After(standbyPause):
		case <-ctx.Done():
		}
	}
}

// take gets a new connection and the lock on it, or says who has the lock. It waits a little: for a process that has just
// died, of which the server may not know yet.
func (h *sessionHold) take(ctx context.Context, patience string) (err error) {
	conn, err := h.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close())
		}
	}()
	if _, err := conn.ExecContext(ctx, `SELECT set_config('lock_timeout', $1, false)`, patience); err != nil {
		return err
	}
	ours, err := tryHold(ctx, conn)
	if err == nil && !ours {
		if _, err = conn.ExecContext(ctx, awaitHold); err == nil {
			ours, err = tryHold(ctx, conn)
		}
	}
	if err != nil {
		return err
	}
	if !ours {
		return heldError(holder(ctx, conn))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn = conn
	return nil
}

// tryHold reports whether the lock is ours. Who has it already has it twice then, which makes no difference.
func tryHold(ctx context.Context, conn *sql.Conn) (ours bool, err error) {
	err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, int64(holdLock)).Scan(&ours)
	return ours, err
}

// holder describes who has the lock.
func holder(ctx context.Context, conn *sql.Conn) string {
	var name, from string
	var backend int
	err := conn.QueryRowContext(ctx, `SELECT a.pid, coalesce(a.application_name, ''), coalesce(host(a.client_addr), '')
		FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND (l.classid::bigint << 32) | l.objid::bigint = $1`, int64(holdLock)).Scan(&backend, &name, &from)
	if err != nil {
		return "unknown" // it has just gone, or we may not see it
	}
	text := fmt.Sprintf("%s, server process %d", name, backend)
	if from != "" {
		text += ", from " + from
	}
	return strings.TrimPrefix(text, ", ")
}

// watch looks after the connection. When it is lost, so is the lock: watch takes it again if it is still to be had.
func (h *sessionHold) watch(ctx context.Context) error {
	pulse := time.NewTicker(h.pulse)
	defer pulse.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pulse.C:
		}
		if h.check(ctx) == nil || ctx.Err() != nil {
			continue
		}
		err := h.retake(ctx)
		if _, held := errors.AsType[heldError](err); held {
			return err
		} // otherwise the database is away: nobody else has it either
	}
}

// check returns nil if the connection answers.
func (h *sessionHold) check(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil {
		return driver.ErrBadConn
	}
	_, err := h.conn.ExecContext(ctx, `SELECT 1`)
	return err
}

// ask runs a query of one value on the connection.
func (h *sessionHold) ask(ctx context.Context, value any, query string, args ...any) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil {
		return driver.ErrBadConn
	}
	return h.conn.QueryRowContext(ctx, query, args...).Scan(value)
}

func (h *sessionHold) retake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*sessionTimeout)
	defer cancel()
	h.drop()
	return h.take(ctx, sessionPatience)
}

// drop gives the lock back and ends the connection.
func (h *sessionHold) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil {
		return
	}
	_, _ = h.conn.ExecContext(context.Background(), `SELECT pg_advisory_unlock_all()`) // at once; the server may notice the end later
	_ = h.conn.Raw(func(any) error { return driver.ErrBadConn })                       // the pool discards it
	_ = h.conn.Close()
	h.conn = nil
}

// Close releases the database.
func (h *sessionHold) Close() error {
	h.drop()
	return h.pool.Close()
}
