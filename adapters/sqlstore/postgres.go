package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/matric/matric-events/migrations"
)

// drainConnections are for the reader of the outbox, which must not wait behind writers, and for what keeps it short. What
// they remove may come back after a crash of the server, and is published once more under the same ID; it is not worth a
// wait for the disk.
const drainConnections = 2

// keepalives make the server find out soon when a machine is gone: that it had the database, and what else it had locked.
var keepalives = map[string]string{"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}

// defaultKeyFile is where the key is that belongs to a database which is not a file.
const defaultKeyFile = "matric-events.key"

func openPostgres(ctx context.Context, dsn string, o *Options) (_ *DB, err error) {
	cfg, err := postgresConfig(dsn)
	if err != nil {
		return nil, err
	}
	keyFile, err := filepath.Abs(cmp.Or(o.SecretKeyFile, defaultKeyFile))
	if err != nil {
		return nil, err
	}
	held, err := takeSession(ctx, cfg, o.Standby)
	if err != nil {
		return nil, translate(err)
	}
	d := &DB{
		name: fmt.Sprintf("postgres://%s:%d/%s", cfg.Host, cfg.Port, cfg.Database), hold: held, engine: postgresEngine{listenURL(dsn, cfg), listenPulse},
		keyFile: keyFile, commits: newCommitWatch(), outbox: make(bell, 1),
		write: postgresPool(cfg, o.connections(), nil),
		read:  postgresPool(cfg, o.connections(), map[string]string{"default_transaction_read_only": "on"}),
		drain: postgresPool(cfg, drainConnections, map[string]string{"synchronous_commit": "off"}),
	}
	d.deliveries, d.reader = &Deliveries{db: d}, &postgresReader{watchman: watchman{bell: d.outbox, hold: held, pool: d.drain}}
	d.outbox.ring() // what an earlier process left was never seen by this one
	d.OnCommit("outbox", d.outbox.ring)
	if err = examinePostgres(ctx, d.read); err == nil {
		err = d.unlock(ctx)
	}
	if err != nil {
		return nil, errors.Join(translate(err), d.drain.Close(), d.read.Close(), d.write.Close(), held.Close())
	}
	return d, nil
}

// postgresConfig reads a URL. Errors do not repeat it, for it may hold a password.
func postgresConfig(dsn string) (pq.Config, error) {
	if _, err := url.Parse(dsn); err != nil {
		return pq.Config{}, errors.New("this is not a URL")
	}
	cfg, err := pq.NewConfig(dsn)
	if err != nil {
		return cfg, err
	}
	if cfg.SSLMode == "" {
		cfg.SSLMode = pq.SSLModePrefer // as libpq does; the driver insists on TLS, which few local servers have
	}
	if cfg.ApplicationName == "" {
		cfg.ApplicationName = fmt.Sprintf("matric-events, process %d", os.Getpid()) // this is read by who finds the database held
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	cfg.BinaryParameters = true // one way to the server and back for a statement, not two
	cfg = cfg.Clone()
	if _, given := cfg.Runtime["search_path"]; !given && !strings.Contains(cfg.Options, "search_path") {
		cfg.Runtime["search_path"] = defaultSchema
	}
	return cfg, nil
}

// postgresPool returns a pool of connections with settings of their own.
func postgresPool(cfg pq.Config, size int, settings map[string]string) *sqlx.DB {
	return poolOf(postgresConnector(cfg, settings), size)
}

func postgresConnector(cfg pq.Config, settings map[string]string) *pq.Connector {
	cfg = cfg.Clone()
	cfg.Runtime["synchronous_commit"] = "on" // whatever the server is set to: a write that was reported done must not be lost
	cfg.Runtime["matric.hub"] = "on"         // triggers need not tell us of what we do ourselves
	maps.Copy(cfg.Runtime, keepalives)
	maps.Copy(cfg.Runtime, settings)
	connector, err := pq.NewConnectorConfig(cfg)
	if err != nil {
		panic("sqlstore: " + err.Error()) // it was checked when it was read
	}
	connector.Dialer(dialer{})
	return connector
}

func poolOf(connector *pq.Connector, size int) *sqlx.DB {
	pool := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return pool
}

// examinePostgres refuses a database that cannot hold every text, of which one letter would stop all events behind it, and one
// that a newer version of this program has written to.
func examinePostgres(ctx context.Context, db *sqlx.DB) error {
	var encoding string
	if err := db.GetContext(ctx, &encoding, `SHOW server_encoding`); err != nil {
		return err
	}
	if encoding != "UTF8" && encoding != "SQL_ASCII" { // which takes whatever bytes it is given, and is what initdb makes in the locale C
		return fmt.Errorf("the database's encoding is %s, which does not hold every text: use one that was created with ENCODING 'UTF8'", encoding)
	}
	var found, newest int64
	if err := db.GetContext(ctx, &found, `SELECT count(*) FROM pg_class WHERE oid = to_regclass('goose_db_version')`); err != nil || found == 0 {
		return err
	}
	if err := db.GetContext(ctx, &newest, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`); err != nil {
		return err
	}
	return checkVersion(newest, migrations.Postgres())
}
