package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// The invariant: whatever is published, however slowly clients read, come, go and change what they want, each of them
// gets exactly the filtered sequence, or a counted notice, or is sent away.
func TestClientsAgainstAPlainList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock stands still while anything moves: Wait is "everybody has done their part"
		rapid.Check(struct{ rapid.TB }{t}, func(t *rapid.T) { // without a deadline, which bubbles do not have
			m := newModel(t)
			defer m.stop()
			t.Repeat(map[string]func(*rapid.T){
				"publish": m.publish, "publish2": m.publish, "publish3": m.publish,
				"connect": m.connect, "connect2": m.connect,
				"subscribe": m.subscribe, "unsubscribe": m.unsubscribe,
				"stall": m.stall, "read": m.read, "read2": m.read,
				"disconnect": m.disconnect,
				"time":       m.passTime,
				"":           func(t *rapid.T) {},
			})
			for _, p := range m.peers {
				p.link.admit(1 << 30)
			}
			synctest.Wait()
			for _, p := range m.peers {
				m.check(t, p, true)
			}
		})
	})
}

type model struct {
	log      *eventlog.Log
	engine   *Engine
	registry *app.Registry
	stop     func()
	events   []domain.Event // all that were published, the one with sequence number n at n-1
	kept     int
	peers    []*peer
}

// peer is a client as the model sees it.
type peer struct {
	conn     *conn
	link     *memoryLink
	modern   bool
	skip     bool
	silent   bool // skips and has not sent JSON by the last event: gaps are not told
	stages   []stage
	checked  int   // bytes of the link that were looked at
	stage    int   // of the last reply
	at       int   // sequence number of the last event that was seen, or the place that the client stands at
	runs     []int // of missing events that notices told of, since the last event
	lastID   domain.UUID
	finished bool
}

// stage is what a client has asked for, and where the log stood then.
type stage struct {
	filter domain.Filter
	follow bool
	from   int         // where it begins
	until  int         // where the one before ends
	last   domain.UUID // the event that it resumed from, if any
	resync bool        // with a notice
}

func newModel(t *rapid.T) *model {
	m := &model{kept: rapid.IntRange(2, 40).Draw(t, "capacity")}
	m.log = eventlog.New(origin, eventlog.Options{Capacity: m.kept})
	m.registry = app.NewRegistry(app.Limits{}, newWatcher())
	m.engine = New(m.log, m.registry, &counts{}, Options{Loops: rapid.IntRange(1, 3).Draw(t, "loops"), Goroutines: true, NewID: numbered(), IdleTimeout: 1000 * time.Hour, WriteTimeout: 1000 * time.Hour})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- m.engine.Run(ctx) }()
	m.stop = func() {
		cancel()
		<-done
	}
	return m
}

func (m *model) publish(t *rapid.T) {
	for range rapid.IntRange(1, 2*m.kept).Draw(t, "events") {
		n := len(m.events) + 1
		e := []func(int) domain.Event{progress, completed, updated, status}[rapid.IntRange(0, 3).Draw(t, "type")](n)
		m.events = append(m.events, e)
		if err := m.log.Publish(context.Background(), e); err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "at rest") { // otherwise the next one comes while this one is being delivered
			synctest.Wait()
		}
	}
}

func drawFilter(t *rapid.T) (f domain.Filter) {
	if rapid.Bool().Draw(t, "by type") {
		f.Types = domain.Set(rapid.SliceOfN(rapid.SampledFrom(slices.Collect(domain.AllTypes.All())), 1, 3).Draw(t, "types")...)
	}
	if rapid.IntRange(0, 3).Draw(t, "by job") == 0 {
		f.Jobs = []domain.UUID{id(2000 + rapid.IntRange(0, 3).Draw(t, "job"))}
	}
	if rapid.IntRange(0, 5).Draw(t, "by note") == 0 {
		f.Notes = []domain.UUID{id(3000 + rapid.IntRange(0, 2).Draw(t, "note"))}
	}
	return f
}

// drawLast returns an event to resume from, and where that leads; notice says that the client must be told of a gap.
func (m *model) drawLast(t *rapid.T) (last string, from int, notice bool) {
	head := len(m.events)
	switch n := rapid.IntRange(-3, head).Draw(t, "last"); {
	case n < 0:
		return "", -1, false
	case n == 0:
		return id(1 << 20).String(), head, true
	default:
		if head-n > m.kept {
			return m.events[n-1].ID.String(), head, true
		}
		return m.events[n-1].ID.String(), n, false
	}
}

func (m *model) resumed(from int, notice bool) (last domain.UUID) {
	if from > 0 && !notice {
		last = m.events[from-1].ID
	}
	return last
}

func (m *model) connect(t *rapid.T) {
	p := &peer{link: newMemoryLink(rapid.SampledFrom([]int{0, 1, 100, 3000, 1 << 30}).Draw(t, "room"), rapid.Bool().Draw(t, "polled")), modern: rapid.Bool().Draw(t, "modern"), skip: rapid.Bool().Draw(t, "skip")}
	f := rapid.SampledFrom([]format{websocket, 0, dotted, chunked}).Draw(t, "format")
	if f != websocket {
		p.modern, p.skip = true, true
	}
	p.silent = p.skip && !p.modern
	filter := drawFilter(t)
	last, from, notice := m.drawLast(t)
	place, err := m.registry.Admit("test", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	p.at, p.lastID = len(m.events), m.resumed(from, notice)
	if from >= 0 {
		p.at = from
	}
	p.stages = []stage{{filter: filter, follow: true, from: p.at, resync: notice && p.modern}}
	o := &opening{format: f, filter: filter, modern: p.modern, skip: p.skip, lastEventID: last}
	p.conn = m.engine.connect(context.Background(), p.link, place, m.log.Head(), o, nil, nil)
	m.peers = append(m.peers, p)
}

func (m *model) pick(t *rapid.T, fits func(p *peer) bool) *peer {
	var some []*peer
	for _, p := range m.peers {
		if !p.finished && fits(p) {
			some = append(some, p)
		}
	}
	if len(some) == 0 {
		t.Skip("there is no such client")
	}
	return rapid.SampledFrom(some).Draw(t, "peer")
}

func anyone(*peer) bool { return true }

func (p *peer) socket() bool { return p.conn.format&websocket != 0 }

func (m *model) subscribe(t *rapid.T) {
	p := m.pick(t, (*peer).socket)
	filter := drawFilter(t)
	last, from, notice := m.drawLast(t)
	synctest.Wait() // what was under way belongs to the filter before
	p.modern = true
	until, resumed := p.passed(), m.resumed(from, notice)
	if from < 0 {
		from = until
		if !p.stages[len(p.stages)-1].follow {
			from = len(m.events)
		}
	}
	p.stages = append(p.stages, stage{filter: filter, follow: true, from: from, until: until, last: resumed, resync: notice})
	cmd := map[string]any{"type": "subscribe", "job_ids": filter.Jobs, "note_ids": filter.Notes, "last_event_id": last}
	if filter.Types != 0 {
		cmd["types"] = filter.Types.Names()
	}
	p.say(t, cmd)
}

func (m *model) unsubscribe(t *rapid.T) {
	p := m.pick(t, (*peer).socket)
	synctest.Wait()
	p.modern = true
	p.stages = append(p.stages, stage{from: p.passed(), until: p.passed()})
	p.say(t, map[string]any{"type": "unsubscribe"})
}

func (p *peer) say(t *rapid.T, cmd map[string]any) {
	body, err := json.Marshal(cmd)
	if err != nil {
		t.Fatal(err)
	}
	p.conn.shard.post(func() { p.conn.shard.take(p.conn, clientFrame(ws.OpText, true, string(body))) })
	synctest.Wait()
}

// passed returns where the connection stands; what the client got or will get of it is up to there.
func (p *peer) passed() int { return int(p.conn.at()) }

func (m *model) stall(t *rapid.T) {
	m.pick(t, anyone).link.limit(rapid.SampledFrom([]int{0, 1, 500}).Draw(t, "room"))
}

func (m *model) read(t *rapid.T) {
	p := m.pick(t, anyone)
	p.link.admit(rapid.SampledFrom([]int{1, 200, 5000, 1 << 30}).Draw(t, "bytes"))
	synctest.Wait()
	m.check(t, p, false)
}

func (m *model) disconnect(t *rapid.T) {
	p := m.pick(t, anyone)
	p.conn.shard.tell(p.conn, func() { p.conn.end("test") })
	p.finished = true
}

func (m *model) passTime(t *rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{time.Millisecond, 20 * time.Second}).Draw(t, "time")) // heartbeats and keepalives
}

// check looks at what the client has got since the last time. Its link takes anything when it is complete.
func (m *model) check(t *rapid.T, p *peer, complete bool) {
	sent := p.link.sent()
	texts, used := p.parse(t, sent[p.checked:])
	p.checked += used
	for _, text := range texts {
		m.accept(t, p, text)
	}
	if complete && !p.finished {
		if p.checked != len(sent) {
			t.Fatalf("%d bytes that are no message at the end", len(sent)-p.checked)
		}
		if p.stage != len(p.stages)-1 {
			t.Fatalf("reply %d of %d", p.stage, len(p.stages)-1)
		}
		m.gap(t, p, len(m.events)+1, "the end")
	}
}

// accept checks one object against the model.
func (m *model) accept(t *rapid.T, p *peer, text string) {
	var o struct {
		Type    string
		Event   domain.UUID `json:"event_id"`
		Dropped int         `json:"dropped_count"`
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	now := &p.stages[p.stage]
	switch {
	case o.Type == "close":
		if p.skip {
			t.Fatal("a client that skips was sent away")
		}
		if o.Event != p.lastID {
			t.Fatalf("closed after %v, want %v", o.Event, p.lastID)
		}
		p.finished = true
	case o.Type == "ResyncRequired":
		if !now.resync {
			t.Fatalf("%s without a reason", text)
		}
		now.resync = false
	case o.Type == "EventsLagged":
		if !p.modern || !p.skip {
			t.Fatalf("%s for a client that does not skip", text)
		}
		p.runs = append(p.runs, o.Dropped)
	case o.Type == "subscribed" || o.Type == "unsubscribed":
		next := p.stages[p.stage+1]
		if now.follow && next.until > p.at {
			m.gap(t, p, next.until+1, o.Type)
		}
		p.stage++
		p.at, p.silent = next.from, p.silent && next.from == next.until
		if !next.last.IsZero() {
			p.lastID = next.last
		}
	case o.Event.IsZero(): // the QueueStatus that comes first
	default:
		m.acceptEvent(t, p, m.seq(o.Event), text)
	}
}

func (m *model) seq(id domain.UUID) int {
	return slices.IndexFunc(m.events, func(e domain.Event) bool { return e.ID == id }) + 1
}

func (m *model) acceptEvent(t *rapid.T, p *peer, seq int, text string) {
	if seq == 0 || text != jsonOf(m.events[seq-1]) {
		t.Fatalf("%s was never published", text)
	}
	if now := p.stages[p.stage]; !now.follow || now.resync || !m.selects(now.filter, seq) {
		t.Fatalf("event %d was not wanted by %+v", seq, now)
	}
	m.gap(t, p, seq, fmt.Sprintf("event %d", seq))
	p.at, p.lastID = seq, m.events[seq-1].ID
	p.silent = p.silent && p.stage == 0
}

func (m *model) selects(f domain.Filter, seq int) bool {
	e := m.events[seq-1]
	job, note := e.Payload.Subject()
	return f.Match(&domain.Entry{Type: e.Type(), Job: job, Note: note})
}

// gap fails unless the wanted events between the last one and the next one lie within runs that notices told of, as many
// and as long. Legacy clients that skip are told nothing.
func (m *model) gap(t *rapid.T, p *peer, next int, what string) {
	if next <= p.at {
		t.Fatalf("%s after %d", what, p.at)
	}
	runs, total := p.runs, 0
	for _, n := range runs {
		total += n
	}
	if total > next-1-p.at {
		t.Fatalf("%v events are said to be missing, there are %d between %d and %s", runs, next-1-p.at, p.at, what)
	}
	now, covered := p.stages[p.stage], p.at
	for seq := p.at + 1; seq < next && now.follow && !p.silent; seq++ {
		if seq <= covered || !m.selects(now.filter, seq) {
			continue
		}
		if len(runs) == 0 {
			t.Fatalf("event %d is missing between %d and %s, notices tell of %v", seq, p.at, what, p.runs)
		}
		covered, runs = seq+runs[0]-1, runs[1:] // beginning as late as it can
	}
	p.runs = nil
}
