package target

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/matric/matric-events/tests/load/streams/wire"
)

func TestEventsHaveTheSizeAskedFor(t *testing.T) {
	s := wire.Stamp{Publisher: 1, Seq: 23, Sent: 456}
	for _, name := range Names() {
		tg, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		body := tg.AppendEvent(nil, s, 400)
		if got := len(body) - len(tg.Before+tg.After) + tg.Envelope; got != 400 || !json.Valid(body) {
			t.Errorf("%s: an event of %d bytes; want 400: %s", name, got, body)
		}
		if got, _, ok := wire.NextStamp(body); got != s || !ok {
			t.Errorf("%s: stamp %+v; want %+v", name, got, s)
		}
		if tg.AppendEvent(nil, s, 0) == nil {
			t.Errorf("%s: no event when it is larger than asked for", name)
		}
	}
}

func TestHandshakesAreRequests(t *testing.T) {
	for _, name := range Names() {
		tg, _ := Named(name)
		for _, id := range []string{"", "0198f3a0-0000-7000-8000-000000000001"} {
			req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(tg.Handshake("127.0.0.1:1", id))))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := req.FormValue("last_event_id") + req.Header.Get("Last-Event-ID"); tg.Resumes && got != id {
				t.Errorf("%s: resumes after %q; want %q", name, got, id)
			}
		}
	}
}
