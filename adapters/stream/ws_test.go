package stream

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

func TestWebSocketGetsEverythingFromNowOn(t *testing.T) {
	r := newRig(t, setup{})
	r.publish(progress(1))
	c := r.open("/ws")
	r.publish(progress(2), updated(3)) // as soon as the handshake is answered the client is connected
	c.mustGet(snapshotJSON(1))
	c.mustGetEvents(progress(2), updated(3))
	r.publish(status(4), sized(5, 100), sized(6, 200), sized(7, 70_000)) // all three forms of the length
	c.mustGetEvents(status(4), sized(5, 100), sized(6, 200), sized(7, 70_000))
}

func TestWebSocketFirstFrameFollowsTheTypesFilter(t *testing.T) {
	for query, want := range map[string]bool{
		"":                             true,
		"?types=queue":                 true,
		"?types=note,QUEUE_STATUS":     true,
		"?job_id=" + id(1).String():    true, // only a types filter leaves it out
		"?types=job":                   false,
		"?types=note.updated,Nonsense": false,
	} {
		r := newRig(t, setup{})
		c := r.open("/ws" + query)
		if want {
			c.mustGet(snapshotJSON(1))
		}
		c.send(`{"type":"ping","id":1}`)
		c.mustGet(`{"type":"pong","id":1}`)
	}
}

func TestFilters(t *testing.T) {
	job, note := func(n int) string { return "job_id=" + id(2000+n).String() }, func(n int) string { return "note_id=" + id(3000+n).String() }
	all := []domain.Event{progress(0), progress(1), progress(2), progress(3), updated(4), updated(5), completed(6), status(7), completed(9)}
	for name, tt := range map[string]struct {
		query string
		want  []int
	}{
		"one type":                   {"types=JobCompleted", []int{6, 9}},
		"one type, snake case":       {"types=job_completed", []int{6, 9}},
		"one type, dotted, any case": {"types=JOB.completed", []int{6, 9}},
		"a family":                   {"types=job", []int{0, 1, 2, 3, 6, 9}},
		"two types with a comma":     {"types=note,JobCompleted", []int{4, 5, 6, 9}},
		"two types repeated":         {"types=note&types=JobCompleted", []int{4, 5, 6, 9}},
		"unknown beside known":       {"types=JobEvaporated,note", []int{4, 5}},
		"a job":                      {job(1), []int{1, 9}},
		"one of two jobs":            {job(1) + "&" + job(2), []int{1, 2, 6, 9}},
		"jobs with a comma":          {job(1) + "," + id(2002).String(), []int{1, 2, 6, 9}},
		"a note":                     {note(0), []int{0, 3}},
		"a job and a type":           {job(1) + "&types=JobCompleted", []int{9}},
		"a job and a note":           {job(1) + "&" + note(1), []int{1}},
		"a job of another note":      {job(1) + "&" + note(0), nil},
		"upper-case identifier":      {"job_id=" + strings.ToUpper(id(2001).String()), []int{1, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{})
			byNumber := map[int]domain.Event{}
			for _, e := range all {
				byNumber[int(e.ID[15])-1] = e
			}
			var want []domain.Event
			for _, n := range tt.want {
				want = append(want, byNumber[n])
			}
			c, s := r.open("/ws?"+tt.query), r.events("/events?"+tt.query)
			if !strings.Contains(tt.query, "types=") {
				c.text() // the QueueStatus
			}
			r.publish(all...)
			c.mustGetEvents(want...)
			c.send(`{"type":"ping"}`)
			c.mustGet(`{"type":"pong"}`)
			s.mustGetEvents(want...)
			var poll []string
			for _, e := range want {
				poll = append(poll, jsonOf(e))
			}
			r.poll("after="+origin.String()+"&"+tt.query).mustHold(t, poll...)
		})
	}
}

func TestRefreshGoesToTheAskerAlone(t *testing.T) {
	for _, word := range []string{"refresh", " refresh\n", `{"type":"refresh"}`, ` {"id":3,"type":"refresh"}`} {
		r := newRig(t, setup{})
		asker, other := r.join("/ws"), r.join("/ws")
		asker.send(word)
		asker.mustGet(snapshotJSON(3))
		r.publish(progress(1))
		asker.mustGetEvents(progress(1))
		other.mustGetEvents(progress(1))
	}
}

func TestPingEchoesTheID(t *testing.T) {
	c := newRig(t, setup{}).join("/ws")
	for id, echoed := range map[string]string{
		``:                                     ``,
		`"a"`:                                  `"a"`,
		`"<\u00e9\"&>"`:                        `"<\u00e9\"&>"`,
		`7`:                                    `7`,
		`-1.5e3`:                               `-1.5e3`,
		`12345678901234567890`:                 `12345678901234567890`,
		`null`:                                 ``,
		`{"a":1}`:                              ``,
		`[1]`:                                  ``,
		`true`:                                 ``,
		`"` + strings.Repeat("x", 300) + `"`:   ``, // too long to repeat
		`"` + strings.Repeat("x", 254) + `"`:   `"` + strings.Repeat("x", 254) + `"`,
		`   "spaces around do not matter"    `: `"spaces around do not matter"`,
	} {
		ping, pong := `{"type":"ping"}`, `{"type":"pong"}`
		if id != "" {
			ping = `{"type":"ping","id":` + id + `}`
		}
		if echoed != "" {
			pong = `{"type":"pong","id":` + echoed + `}`
		}
		c.send(ping)
		c.mustGet(pong)
	}
	c.send(`{"type":"ping","id":12345678901234567890}`)
	if got := c.text(); got != `{"type":"pong","id":12345678901234567890}` {
		t.Errorf("the number comes back as %s", got)
	}
}

func TestSubscribe(t *testing.T) {
	r := newRig(t, setup{})
	c := r.open("/ws?types=note")
	c.send(fmt.Sprintf(`{"type":"subscribe","id":"s","types":["job.completed","QueueStatus","future"],"job_ids":[%q],"note_ids":[]}`, id(2001)))
	c.mustGet(fmt.Sprintf(`{"type":"subscribed","id":"s","filter":{"types":["JobCompleted","QueueStatus"],"job_ids":[%q]}}`, id(2001)))
	r.publish(updated(1), progress(5), completed(6), completed(9))
	c.mustGetEvents(completed(9))

	c.send(fmt.Sprintf(`{"type":"subscribe","note_ids":[%q]}`, strings.ToUpper(id(3001).String())))
	c.mustGet(fmt.Sprintf(`{"type":"subscribed","filter":{"note_ids":[%q]}}`, id(3001)))
	r.publish(completed(13), updated(16))
	c.mustGetEvents(updated(16))

	c.send(`{"type":"subscribe","types":null,"last_event_id":null}`)
	c.mustGet(`{"type":"subscribed","filter":{}}`)
	r.publish(status(17))
	c.mustGetEvents(status(17))
}

func TestSubscribeReplaysThenGoesOn(t *testing.T) {
	r := newRig(t, setup{})
	for n := range 600 { // more than one batch
		r.publish(progress(n))
	}
	c := r.open("/ws?types=note")
	c.send(fmt.Sprintf(`{"type":"subscribe","id":1,"last_event_id":%q}`, id(9)))
	for n := 600; n < 700; n++ { // while the replay goes on
		r.publish(progress(n))
	}
	c.mustGet(`{"type":"subscribed","id":1,"filter":{}}`)
	for n := 10; n < 700; n++ {
		c.mustGetEvents(progress(n))
	}
}

func TestResumeOnConnect(t *testing.T) {
	r := newRig(t, setup{})
	r.publish(progress(1), updated(2), progress(3))
	c := r.join("/ws?last_event_id=" + id(1).String())
	c.mustGetEvents(updated(2), progress(3))
	c = r.join("/ws?last_event_id=" + origin.String())
	c.mustGetEvents(progress(1), updated(2), progress(3))
	c = r.join("/ws?last_event_id=" + id(3).String())
	r.publish(progress(4))
	c.mustGetEvents(progress(4))
}

func TestResumeThatCannotBe(t *testing.T) {
	for name, tt := range map[string]struct{ last, reason, echoed string }{
		"never seen":   {id(77).String(), "unknown", id(77).String()},
		"expired":      {id(1).String(), "expired", id(1).String()},
		"no id at all": {"garbage", "unknown", "garbage"},
		"a long one":   {strings.Repeat("x", 1000), "unknown", strings.Repeat("x", 64)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{log: logOf(2)})
			r.publish(progress(1), progress(2), progress(3), progress(4), progress(5))
			notice := resync(tt.reason, tt.echoed, 4)

			c := r.joinModern("/ws?last_event_id=" + tt.last)
			c.mustGet(notice)
			c.send(`{"type":"subscribe","last_event_id":"` + tt.last + `"}`)
			c.mustGet(`{"type":"subscribed","filter":{}}`, notice)
			legacy := r.join("/ws?last_event_id=" + tt.last)
			r.publish(progress(6))
			c.mustGetEvents(progress(6))
			legacy.mustGetEvents(progress(6)) // from now on, and no notice that it could not read
		})
	}
}

func TestResyncOnAnEmptyLogNamesNoOldestEvent(t *testing.T) {
	c := newRig(t, setup{}).joinModern("/ws?last_event_id=x")
	c.mustGet(resync("unknown", "x", -1))
}

func TestUnsubscribe(t *testing.T) {
	r := newRig(t, setup{})
	c := r.join("/ws")
	c.send(`{"type":"unsubscribe","id":1}`)
	c.mustGet(`{"type":"unsubscribed","id":1}`)
	r.publish(progress(1), progress(2))
	c.send(`{"type":"ping"}`)
	c.mustGet(`{"type":"pong"}`)
	c.send(`refresh`) // not an event of the log
	c.mustGet(snapshotJSON(2))
	if got := r.registry.List()[0]; got.Lag != 0 {
		t.Errorf("lag %d of a connection that wants nothing", got.Lag)
	}
	c.send(`{"type":"subscribe","id":2}`)
	c.mustGet(`{"type":"subscribed","id":2,"filter":{}}`)
	r.publish(progress(3))
	c.mustGetEvents(progress(3))
	c.send(`{"type":"unsubscribe"}`)
	c.mustGet(`{"type":"unsubscribed"}`)
	r.publish(progress(4))
	c.send(fmt.Sprintf(`{"type":"subscribe","last_event_id":%q}`, id(1)))
	c.mustGet(`{"type":"subscribed","filter":{}}`)
	c.mustGetEvents(progress(2), progress(3), progress(4))
}

func TestBadCommands(t *testing.T) {
	many := `"` + strings.Repeat(id(1).String()+`","`, domain.MaxFilterIDs) + id(2).String() + `"`
	c := newRig(t, setup{}).join("/ws")
	for name, tt := range map[string]struct {
		send, code string
		id         any
	}{
		"not JSON":                {`{"type":"ping","id":1`, codeBadJSON, nil},
		"trailing text":           {`{"type":"ping"} x`, codeBadJSON, nil},
		"no type":                 {`{"id":1}`, codeUnknownType, 1.0},
		"type is a number":        {`{"type":1,"id":1}`, codeUnknownType, 1.0},
		"unknown type":            {`{"type":"dance","id":"x"}`, codeUnknownType, "x"},
		"no known event type":     {`{"type":"subscribe","id":1,"types":["nonsense"]}`, codeInvalidFilter, 1.0},
		"types is a string":       {`{"type":"subscribe","id":1,"types":"job"}`, codeInvalidFilter, 1.0},
		"types holds a number":    {`{"type":"subscribe","id":1,"types":[1]}`, codeInvalidFilter, 1.0},
		"types is an object":      {`{"type":"subscribe","id":1,"types":{}}`, codeInvalidFilter, 1.0},
		"job_ids is no list":      {`{"type":"subscribe","id":1,"job_ids":7}`, codeInvalidFilter, 1.0},
		"job_ids holds no UUID":   {`{"type":"subscribe","id":1,"job_ids":["x"]}`, codeInvalidFilter, 1.0},
		"note_ids is no list":     {`{"type":"subscribe","id":1,"note_ids":true}`, codeInvalidFilter, 1.0},
		"last_event_id no string": {`{"type":"subscribe","id":1,"last_event_id":5}`, codeInvalidFilter, 1.0},
		"too many identifiers":    {`{"type":"subscribe","id":1,"note_ids":[` + many + `]}`, codeTooLarge, 1.0},
	} {
		c.send(tt.send)
		t.Log(name)
		message := c.mustGetError(tt.code, tt.id)
		if field, _, _ := strings.Cut(message, ":"); strings.Contains(tt.send, "subscribe") && !strings.Contains(tt.send, `"`+field+`":`) {
			t.Errorf("%q does not name the field", message)
		}
	}
	c.send(`{"type":"ping","last_event_id":5,"types":7}`) // members of other commands are nothing to a ping
	c.mustGet(`{"type":"pong"}`)
}

func TestAnInvalidFilterLeavesTheOldOne(t *testing.T) {
	r := newRig(t, setup{})
	c := r.open("/ws?types=note")
	c.send(`{"type":"subscribe","types":["nonsense"]}`)
	c.mustGetError(codeInvalidFilter, nil)
	r.publish(progress(1), updated(2))
	c.mustGetEvents(updated(2))
}

func TestPlainTextIsIgnored(t *testing.T) {
	r := newRig(t, setup{})
	c := r.join("/ws")
	for _, text := range []string{"", " ", "hello", "ping", "[1,2]", `"refresh"`, "REFRESH", "refresh please", "null"} {
		c.send(text)
	}
	c.send("refresh")
	c.mustGet(snapshotJSON(2))
	r.publish(progress(1))
	c.mustGetEvents(progress(1))
}

func TestFragmentedCommandWithAPingInBetween(t *testing.T) {
	c := newRig(t, setup{}).join("/ws")
	c.write(clientFrame(ws.OpText, false, `{"type":"pi`))
	c.write(clientFrame(ws.OpPing, true, "are you there"))
	c.write(clientFrame(ws.OpContinuation, false, `ng","id":"`))
	c.write(clientFrame(ws.OpContinuation, true, `x"}`))
	if f := c.frame(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
		t.Errorf("answer to the ping: %v %q", f.Header, f.Payload)
	}
	c.mustGet(`{"type":"pong","id":"x"}`)
}

func TestConnectionsDescribeThemselves(t *testing.T) {
	r := newRig(t, setup{wrap: asUser("ada")})
	c := r.join("/ws?types=job,queue")
	r.publish(progress(1), updated(2), progress(3))
	c.mustGetEvents(progress(1), progress(3))
	c.send(`{"type":"ping"}`) // once it is answered, the cursor has moved
	c.mustGet(`{"type":"pong"}`)
	got := r.registry.List()[0]
	if got.Transport != "websocket" || got.User != "ada" || got.Delivered != 2 || got.Lag != 0 || got.Since.IsZero() ||
		got.Remote == "" || !got.Filter.Types.Has(domain.TypeQueueStatus) || got.Filter.Types.Has(domain.TypeNoteUpdated) {
		t.Errorf("List()[0] = %+v", got)
	}
}

// A store that hangs costs the first frame half a second at most, and no event.
func TestASnapshotThatHangsIsNotWaitedFor(t *testing.T) {
	r := newRig(t, setup{})
	never := make(chan struct{})
	r.counts.hold.Store(&never)
	c := r.open("/ws")
	r.publish(progress(1))
	c.mustGet(snapshotJSON(1)) // what the store knew before
	c.mustGetEvents(progress(1))
}

func asUser(name string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(web.WithUser(r.Context(), name)))
		})
	}
}
