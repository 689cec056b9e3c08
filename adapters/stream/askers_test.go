package stream

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// asker sends questions without end and reads the answers in small pieces, so that its socket is full again and again and
// the server has to leave it alone, and go on, in every way there is.
type asker struct {
	t         *testing.T
	nc        *net.TCPConn
	questions []question
}

type question struct {
	op           ws.OpCode
	text, answer string // what the answer begins with
}

func questions(n int) []question {
	list := make([]question, n)
	for i := range list {
		switch rand.N(20) {
		case 0:
			list[i] = question{ws.OpText, "refresh", `{"type":"QueueStatus",`}
		case 1:
			list[i] = question{ws.OpText, `{"type":"subscribe","types":["job"]}`, `{"type":"subscribed",`}
		case 2:
			list[i] = question{ws.OpText, "{", `{"type":"error","code":"bad_json",`}
		case 3:
			list[i] = question{ws.OpPing, fmt.Sprint(i), fmt.Sprint(i)}
		default:
			id := fmt.Sprintf(`"%d-%s"`, i, strings.Repeat("x", rand.N(200)))
			list[i] = question{ws.OpText, `{"type":"ping","id":` + id + `}`, `{"type":"pong","id":` + id + `}`}
		}
	}
	return list
}

func (a *asker) ask() {
	w := bufio.NewWriterSize(a.nc, 5000)
	for _, q := range a.questions {
		if _, err := w.Write(clientFrame(q.op, true, q.text)); err != nil {
			a.t.Error(err)
			return
		}
	}
	if err := w.Flush(); err != nil {
		a.t.Error(err)
	}
}

// piecemeal reads a little at a time.
type piecemeal struct{ io.Reader }

func (p piecemeal) Read(b []byte) (int, error) { return p.Reader.Read(b[:1+rand.N(min(len(b), 3000))]) }

// listen reads until there is an answer to each question, in order, and each event, in order.
func (a *asker) listen(r io.Reader, events int) {
	seen, answered := 0, 0
	for seen < events || answered < len(a.questions) {
		f, err := readFrame(r)
		if err != nil {
			a.t.Errorf("after %d events and %d answers: %v", seen, answered, err)
			return
		}
		var m struct {
			Event domain.UUID `json:"event_id"`
		}
		if f.Header.OpCode == ws.OpText && json.Unmarshal(f.Payload, &m) != nil {
			a.t.Errorf("after %d events and %d answers: %.300q", seen, answered, f.Payload)
			return
		}
		switch {
		case m.Event == id(seen+1):
			seen++
		case m.Event.IsZero() && answered < len(a.questions) && strings.HasPrefix(string(f.Payload), a.questions[answered].answer):
			answered++
		default:
			a.t.Errorf("after %d events and %d answers: %.300q", seen, answered, f.Payload)
			return
		}
	}
}

// Whoever asks much and reads little gets every answer and every event, whole, once and in order.
func TestAskersWhoReadLittle(t *testing.T) {
	const askers, asked, events = 4, 800, 1000
	r := newRig(t, setup{log: eventlog.Options{Capacity: events}, options: Options{Loops: 2, Heartbeat: time.Hour}})
	var all sync.WaitGroup
	for range askers {
		c := r.join("/ws?types=job,queue")
		nc := c.nc.(*net.TCPConn)
		c.r.Reset(piecemeal{nc})
		a := &asker{t: t, nc: nc, questions: questions(asked)}
		all.Go(a.ask)
		all.Go(func() { a.listen(c.r, events) })
	}
	for n := 1; n <= events; n++ {
		r.publish(sized(n, rand.N(500)))
	}
	all.Wait()
}
