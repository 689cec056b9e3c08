package sqlstore_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/tests/contract"
	"github.com/matric/matric-events/tests/pgtest"
)

// kinds are the kinds of databases: each has a function that creates one and returns its URL and where its key is.
var kinds = []struct {
	name   string
	create func(t testing.TB) (url, key string)
}{
	{"sqlite", func(t testing.TB) (string, string) {
		path := temp(t)
		return "sqlite:" + path, path + ".key"
	}},
	{"postgres", func(t testing.TB) (string, string) {
		return pgtest.Database(t), filepath.Join(t.TempDir(), "secret.key")
	}},
}

// onEvery runs a test on a new database of each kind.
func onEvery(t *testing.T, test func(t *testing.T, url, key string)) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			url, key := kind.create(t)
			test(t, url, key)
		})
	}
}

// openURL returns a migrated database.
func openURL(t testing.TB, url, key string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), url, &sqlstore.Options{SecretKeyFile: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // again, for some
	if _, err := db.MigrateUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	listen(t, db)
	return db
}

// listen has the database hear of commits until the test ends.
func listen(t testing.TB, db *sqlstore.DB) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- db.Listen(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Listen = %v", err)
		}
	})
}

func webhooksFixture(t *testing.T, db *sqlstore.DB, url, key string) contract.WebhooksFixture {
	return contract.WebhooksFixture{
		Webhooks: db.Webhooks(), Deliveries: db.Deliveries(), Log: db.Deliveries(), Meter: db.Deliveries(),
		Reopen: func(t *testing.T) contract.WebhooksFixture {
			closeDB(t, db)
			return webhooksFixture(t, openURL(t, url, key), url, key)
		},
		Stolen: func(t *testing.T) []byte { return stolen(t, db, url) },
	}
}

// stolen returns the bytes of the columns of all webhooks, and of the files if they are at hand.
func stolen(t *testing.T, db *sqlstore.DB, url string) (data []byte) {
	rows, err := db.ReadSQL().QueryContext(t.Context(), `SELECT url, description, events, headers, keys FROM webhook`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var columns [5][]byte
		if err := rows.Scan(&columns[0], &columns[1], &columns[2], &columns[3], &columns[4]); err != nil {
			t.Fatal(err)
		}
		for _, c := range columns {
			data = append(data, c...)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		for _, file := range []string{path, path + "-wal"} {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, content...)
		}
	}
	return data
}

// onEveryFixture runs a suite on each kind of database. A file is new for each subtest; a database of a server, which takes
// far longer to make, is emptied.
func onEveryFixture(t *testing.T, suite func(t *testing.T, open func(t *testing.T) contract.WebhooksFixture)) {
	t.Run("sqlite", func(t *testing.T) {
		suite(t, func(t *testing.T) contract.WebhooksFixture {
			path := temp(t)
			url, key := "sqlite:"+path, path+".key"
			return webhooksFixture(t, openURL(t, url, key), url, key)
		})
	})
	t.Run("postgres", func(t *testing.T) {
		url, key := pgtest.Database(t), filepath.Join(t.TempDir(), "secret.key")
		suite(t, func(t *testing.T) contract.WebhooksFixture {
			db := openURL(t, url, key)
			mustExec(t, db, `TRUNCATE webhook, delivery, attempt`)
			return webhooksFixture(t, db, url, key)
		})
	})
}

func TestWebhooksContract(t *testing.T)    { onEveryFixture(t, contract.Webhooks) }
func TestDeliveriesContract(t *testing.T)  { onEveryFixture(t, contract.Deliveries) }
func TestDeliveryLogContract(t *testing.T) { onEveryFixture(t, contract.DeliveryLog) }

func TestDeliveryMeterContract(t *testing.T) { onEveryFixture(t, contract.DeliveryMeter) }
