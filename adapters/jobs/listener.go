package jobs

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
)

// River's notification topics and payloads. They are the same on every database and part of what its clients in other
// languages rely on.
const (
	topicInsert   = "river_insert"
	topicControl  = "river_control"
	payloadInsert = `{"queue":"` + river.QueueDefault + `"}`
)

// switchboard passes notifications to River's clients within the process, in place of LISTEN and NOTIFY.
type switchboard struct {
	mu        sync.Mutex // guards listeners, and the order of locks: it comes before that of a listener
	listeners map[*listener]bool
}

func newSwitchboard() *switchboard { return &switchboard{listeners: map[*listener]bool{}} }

// inserted says that a job may be ready to run.
func (s *switchboard) inserted() { s.publish(topicInsert, payloadInsert) }

// canceled tells whoever runs the job to stop.
func (s *switchboard) canceled(id int64) {
	s.publish(topicControl, `{"action":"cancel","job_id":`+strconv.FormatInt(id, 10)+`,"queue":"`+river.QueueDefault+`"}`)
}

// publish never waits: it may be called from a commit hook.
func (s *switchboard) publish(topic, payload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		l.push(riverdriver.Notification{Topic: topic, Payload: payload})
	}
}

func (s *switchboard) listener(schema string) *listener {
	return &listener{board: s, schema: schema, topics: map[string]bool{}, ready: make(chan struct{}, 1)}
}

// listener implements riverdriver.Listener. River uses one from a few goroutines, and waits on one of them.
type listener struct {
	board  *switchboard
	schema string
	ready  chan struct{} // holds a token when pending may have become non-empty

	mu      sync.Mutex // guards the following
	topics  map[string]bool
	pending []riverdriver.Notification // no two are equal, so it does not grow while nobody waits
}

var _ riverdriver.Listener = (*listener)(nil)

func (l *listener) push(n riverdriver.Notification) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.topics[n.Topic] {
		return
	}
	for _, p := range l.pending {
		if p == n {
			return
		}
	}
	l.pending = append(l.pending, n)
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// Connect implements riverdriver.Listener.
func (l *listener) Connect(context.Context) error {
	l.board.mu.Lock()
	defer l.board.mu.Unlock()
	if l.board.listeners[l] {
		return errors.New("jobs: the listener is connected")
	}
	l.board.listeners[l] = true
	return nil
}

// Close implements riverdriver.Listener.
func (l *listener) Close(context.Context) error {
	l.board.mu.Lock()
	defer l.board.mu.Unlock()
	delete(l.board.listeners, l)
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.topics)
	l.pending = nil
	return nil
}

// Listen implements riverdriver.Listener. A listener for insertions is told of one at once: River starts to look for jobs
// before it listens, and what is inserted in between must not wait for the next poll.
func (l *listener) Listen(_ context.Context, topic string) error {
	l.mu.Lock()
	l.topics[topic] = true
	l.mu.Unlock()
	if topic == topicInsert {
		l.push(riverdriver.Notification{Topic: topicInsert, Payload: payloadInsert})
	}
	return nil
}

// Unlisten implements riverdriver.Listener.
func (l *listener) Unlisten(_ context.Context, topic string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.topics, topic)
	return nil
}

// WaitForNotification implements riverdriver.Listener.
func (l *listener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	for {
		if n := l.pop(); n != nil {
			return n, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.ready:
		}
	}
}

func (l *listener) pop() *riverdriver.Notification {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return nil
	}
	n := l.pending[0]
	l.pending = l.pending[1:]
	return &n
}

// Ping implements riverdriver.Listener. There is no connection that could be lost.
func (l *listener) Ping(context.Context) error { return nil }

// Schema implements riverdriver.Listener.
func (l *listener) Schema() string { return l.schema }

// SetAfterConnectExec implements riverdriver.Listener, for River's own tests.
func (l *listener) SetAfterConnectExec(string) {}
