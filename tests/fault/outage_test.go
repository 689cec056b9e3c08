package fault_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/pgtest"
)

// TestDatabaseOutage cuts the database off for seconds in mid-load, twice. Producers may have to wait or repeat; what was
// acknowledged must arrive.
func TestDatabaseOutage(t *testing.T) {
	through, proxy := pgtest.Proxied(t, pgtest.Database(t))
	rc := harness.NewReceiver(t, nil)
	s := harness.Serve(t, append([]string{
		"--database-url", through, "--no-host", "--secret-key-file", filepath.Join(t.TempDir(), "key"),
	}, loopbackWebhooks...)...)
	subscribe(s, rc, "")
	var book ledger
	stop := make(chan struct{})
	var producers sync.WaitGroup
	for range 4 {
		producers.Go(func() { produce(s, &book, stop) })
	}
	const outage = 5 * time.Second
	for range 2 {
		before := len(book.all())
		waitFor(t, func() bool { return len(book.all()) >= before+100 })
		proxy.Cut()
		<-time.After(outage) // the fault itself, not something waited for
		proxy.Restore()
	}
	before := len(book.all())
	waitFor(t, func() bool { return len(book.all()) >= before+100 })
	close(stop)
	producers.Wait()
	promised := book.all()
	awaitAll(t, rc, promised)
	t.Logf("%d events acknowledged, %d attempts received", len(promised), len(rc.Got()))
}
