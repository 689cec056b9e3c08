package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// poll makes a poll and returns the answer.
func (r *rig) poll(query string) pollResponse {
	r.t.Helper()
	res, err := r.server.Client().Get(r.server.URL + "/poll?" + query)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
		r.t.Fatalf("%s, %v, %s, %v", res.Status, res.Header, body, err)
	}
	var p pollResponse
	if err := json.Unmarshal(body, &p); err != nil || p.Events == nil || p.Cursor.IsZero() {
		r.t.Fatalf("%s: %v", body, err)
	}
	var same bytes.Buffer
	enc := json.NewEncoder(&same)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil || !bytes.Equal(body, same.Bytes()) {
		r.t.Fatalf("%s, want %s, %v", body, &same, err)
	}
	return p
}

// pollAsync makes a poll in the background, and returns once it waits.
func (r *rig) pollAsync(query string) <-chan pollResponse {
	r.t.Helper()
	answer := make(chan pollResponse, 1)
	go func() { answer <- r.poll(query) }()
	await(r.t, "poll", r.watcher.opened)
	return answer
}

func (p pollResponse) mustHold(t *testing.T, events ...string) {
	t.Helper()
	var got []string
	for _, e := range p.Events {
		got = append(got, string(e))
	}
	if d := cmp.Diff(events, got); d != "" {
		t.Fatalf("events (-want +got):\n%s", d)
	}
}

func TestPollFromNowOn(t *testing.T) {
	r := newRig(t, setup{})
	empty := r.poll("")
	empty.mustHold(t)
	if empty.Cursor != origin || empty.Truncated || empty.HasMore {
		t.Errorf("poll of an empty log: %+v", empty)
	}
	r.publish(progress(1), updated(2))
	now := r.poll("")
	now.mustHold(t)
	if now.Cursor != id(2) || now.Truncated || now.HasMore {
		t.Errorf("poll from now on: %+v", now)
	}
	since := r.poll("after=" + empty.Cursor.String())
	since.mustHold(t, jsonOf(progress(1)), jsonOf(updated(2))) // the very bytes
	if since.Cursor != id(2) || since.Truncated || since.HasMore {
		t.Errorf("poll from the origin: %+v", since)
	}
	r.poll("after=" + since.Cursor.String()).mustHold(t)
}

func TestPollCursorPassesWhatTheFilterLeavesOut(t *testing.T) {
	r := newRig(t, setup{})
	r.publish(progress(1), updated(2), progress(3))
	p := r.poll("types=note&after=" + id(1).String())
	p.mustHold(t, jsonOf(updated(2)))
	if p.Cursor != id(3) {
		t.Errorf("cursor %v, want that of the newest event, so that the next poll need not look again", p.Cursor)
	}
	if p := r.poll("types=queue&after=" + id(1).String()); p.Cursor != id(3) || p.HasMore {
		t.Errorf("%+v", p)
	}
}

func TestPollPagesGiveExactlyEverything(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 7, 100, 1000} {
		r := newRig(t, setup{})
		var want, got []string
		for n := range 100 {
			e := progress(n)
			if n%3 == 0 {
				e = updated(n)
			} else {
				want = append(want, jsonOf(e))
			}
			r.publish(e)
		}
		cursor, pages := origin, 0
		for more := true; more; pages++ {
			p := r.poll(fmt.Sprintf("types=job&after=%s&limit=%d", cursor, limit))
			if len(p.Events) > limit || p.Truncated || p.HasMore != (len(got)+len(p.Events) < len(want)) {
				t.Fatalf("limit %d: page %d has %d events, truncated %v, has_more %v", limit, pages, len(p.Events), p.Truncated, p.HasMore)
			}
			for _, e := range p.Events {
				got = append(got, string(e))
			}
			cursor, more = p.Cursor, p.HasMore
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, d)
		}
		if wantPages := (len(want) + limit - 1) / limit; pages != wantPages {
			t.Errorf("limit %d: %d pages, want %d", limit, pages, wantPages)
		}
	}
}

func TestPollTellsWhenEventsAreGone(t *testing.T) {
	r := newRig(t, setup{log: logOf(2)})
	r.publish(progress(1), progress(2), progress(3), progress(4))
	for after, truncated := range map[domain.UUID]bool{id(1): true, id(77): true, origin: true, id(2): false} {
		p := r.poll("after=" + after.String())
		p.mustHold(t, jsonOf(progress(3)), jsonOf(progress(4)))
		if p.Truncated != truncated || p.Cursor != id(4) {
			t.Errorf("after %v: %+v", after, p)
		}
	}
	if p := r.poll("types=note&after=" + id(1).String()); !p.Truncated || p.Cursor != id(4) {
		t.Errorf("with nothing to show: %+v", p)
	}
}

func TestPollWaits(t *testing.T) {
	r := newRig(t, setup{})
	answer := r.pollAsync("wait=50&types=note")
	r.publish(progress(1)) // not for this one
	r.publish(updated(2))
	p := await(t, "answer", answer)
	p.mustHold(t, jsonOf(updated(2)))
	if p.Cursor != id(2) {
		t.Errorf("cursor %v", p.Cursor)
	}
	r.mustClose("answered")
	p = r.poll("wait=50&after=" + id(1).String()) // there is something already
	p.mustHold(t, jsonOf(updated(2)))
}

func TestPollWaitEndsWithNothing(t *testing.T) {
	r := newRig(t, setup{})
	r.publish(progress(1))
	p := r.poll("wait=1")
	p.mustHold(t)
	if p.Cursor != id(1) || p.Truncated || p.HasMore {
		t.Errorf("%+v", p)
	}
}

// The first event after a wait comes at once; others that came with it are not lost.
func TestPollsInARowLoseNothing(t *testing.T) {
	const events = 200
	r := newRig(t, setup{})
	done := make(chan []string)
	cursor := r.poll("").Cursor
	go func() {
		var got []string
		for len(got) < events {
			p := r.poll("wait=50&limit=5&after=" + cursor.String())
			for _, e := range p.Events {
				got = append(got, string(e))
			}
			cursor = p.Cursor
		}
		done <- got
	}()
	var want []string
	for n := range events {
		r.publish(progress(n))
		want = append(want, jsonOf(progress(n)))
	}
	if d := cmp.Diff(want, await(t, "polls", done)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

func TestPollRejects(t *testing.T) {
	r := newRig(t, setup{})
	for query, field := range map[string]string{
		"after=x":                         "after",
		"after=" + domain.UUID{}.String(): "after",
		"limit=0":                         "limit",
		"limit=1001":                      "limit",
		"limit=ten":                       "limit",
		"limit=1.5":                       "limit",
		"wait=-1":                         "wait",
		"wait=51":                         "wait",
		"wait=1s":                         "wait",
		"wait=0.5":                        "wait",
		"types=nonsense":                  "types",
		"job_id=7":                        "job_id",
		"note_id=7":                       "note_id",
		"limit=99999999999999999999":      "limit",
	} {
		res := r.request("GET /poll?" + query + " HTTP/1.1\r\nHost: h\r\n\r\n")
		if d := mustBeProblem(t, res, http.StatusBadRequest); d.Field != field || !strings.HasPrefix(d.Detail, field) {
			t.Errorf("%s: %+v", query, d)
		}
	}
	for _, query := range []string{"limit=1", "limit=1000", "wait=0", "wait=", "limit=", "after=", "types=", "job_id="} {
		r.poll(query)
	}
}

func TestPollHead(t *testing.T) {
	r := newRig(t, setup{})
	res := r.request("HEAD /poll HTTP/1.1\r\nHost: h\r\n\r\n")
	if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || len(body) > 0 {
		t.Errorf("%s, %q", res.Status, body)
	}
}

func TestWaitingPollsAreConnections(t *testing.T) {
	r := newRig(t, setup{limits: app.Limits{Connections: 1}, wrap: asUser("ada")})
	answer := r.pollAsync("wait=50&" + url.Values{"types": {"job"}}.Encode())
	list := r.registry.List()
	if len(list) != 1 || list[0].Transport != "poll" || list[0].User != "ada" || list[0].Filter.Types == 0 || list[0].Remote == "" {
		t.Errorf("List() = %+v", list)
	}
	if err := r.registry.Kick(list[0].ID); err != nil {
		t.Error(err)
	}
	await(t, "answer", answer).mustHold(t)
	r.mustClose("answered")
}

func TestDrainAnswersWaitingPolls(t *testing.T) {
	r := newRig(t, setup{})
	answer := r.pollAsync("wait=50")
	if err := r.registry.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := await(t, "answer", answer)
	p.mustHold(t)
	if p.Cursor != origin {
		t.Errorf("cursor %v", p.Cursor)
	}
}

func TestPollWhoseClientHasGone(t *testing.T) {
	r := newRig(t, setup{})
	nc := r.dial()
	if _, err := io.WriteString(nc, "GET /poll?wait=50 HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	await(t, "poll", r.watcher.opened)
	_ = nc.Close()
	r.mustClose("answered")
}

// A client that reads nothing of a large answer is cut when it has taken nothing for the write timeout.
func TestPollThatIsNotRead(t *testing.T) {
	const events, size = maxPollLimit, 16 << 10 // more than sockets hold
	r := newRig(t, setup{log: logOf(events), options: Options{WriteTimeout: 50 * time.Millisecond}})
	for n := range events {
		r.publish(sized(n, size))
	}
	nc := r.dial()
	if err := nc.SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(nc, "GET /poll?wait=50&limit=%d&after=%s HTTP/1.1\r\nHost: h\r\n\r\n", maxPollLimit, origin); err != nil {
		t.Fatal(err)
	}
	r.mustClose("answered")
}

// patient is a response that looks at the deadlines of its writes.
type patient struct {
	*httptest.ResponseRecorder
	t        *testing.T
	deadline time.Time
}

func (p *patient) SetWriteDeadline(d time.Time) error {
	p.deadline = d
	return nil
}

func (p *patient) Write(b []byte) (int, error) {
	if p.deadline.IsZero() || len(b) > patienceBytes {
		p.t.Errorf("%d bytes are written by %v", len(b), p.deadline)
	}
	return p.ResponseRecorder.Write(b)
}

// Each piece of an answer has its time.
func TestPollWritesWithDeadlines(t *testing.T) {
	r := newRig(t, setup{})
	for n := range 100 {
		r.publish(sized(n, 1+n*n*5)) // the last ones are longer than a piece
	}
	w := &patient{ResponseRecorder: httptest.NewRecorder(), t: t}
	r.engine.ServePoll(w, httptest.NewRequest(http.MethodGet, "/poll?after="+origin.String(), nil))
	var p pollResponse
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p.Events) != 100 || w.Code != http.StatusOK {
		t.Errorf("%d: %d events, %v", w.Code, len(p.Events), err)
	}
}
