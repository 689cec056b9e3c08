package stream

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gobwas/ws"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// queryFilter reads the filter from the query parameters that all transports share.
func queryFilter(q url.Values) (domain.Filter, error) {
	return domain.ParseFilter(
		domain.FilterList{Field: "types", Values: q["types"]},
		domain.FilterList{Field: "job_id", Values: q["job_id"]},
		domain.FilterList{Field: "note_id", Values: q["note_id"]},
	)
}

// newConn returns a connection to the log as it is now; start sets it going.
func (e *Engine) newConn(r *http.Request, place *app.Place, l link, f format, filter domain.Filter) *conn {
	now := time.Now()
	c := &conn{
		id: e.opts.NewID(), format: f, remote: r.RemoteAddr, user: web.User(r.Context()), since: now, link: l, place: place,
		engine: e, shard: e.next(), fresh: true, gone: make(chan struct{}), filter: filter, cursor: e.feed.Head(), wrote: now, pinged: now,
	}
	c.heard.Store(now.UnixNano())
	c.flushed.L = &c.mu
	e.crew.Add(1)
	return c
}

// resume moves the cursor to behind the event that the client saw last. When that cannot be, the client goes on from now
// and is told what happened. The caller holds c.mu.
func (c *conn) resume(lastEventID string) {
	id, err := domain.ParseUUID(lastEventID)
	place := c.engine.feed.Locate(id) // what is no identifier is as unknown as the zero one
	if err == nil && place.Standing == domain.StandingKept {
		c.cursor, c.last = place.Seq, id
		return
	}
	c.cursor = c.engine.feed.Head()
	if !c.modern {
		return
	}
	const longest = 64 // of an identifier that is none
	notice := resyncRequired{Type: "ResyncRequired", Reason: place.Standing.String(), Last: lastEventID[:min(len(lastEventID), longest)]}
	if !place.Oldest.IsZero() {
		notice.Oldest = place.Oldest.String()
	}
	c.send(c.format.notice("resync_required", notice))
}

// awaitRoom blocks while replies pile up that the client does not read.
func (c *conn) awaitRoom() (ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.own) > maxOwn && !c.ended {
		c.flushed.Wait()
	}
	return c.ended
}

// fail closes the connection for what the peer did.
func (c *conn) fail(code ws.StatusCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(code, reason)
}
