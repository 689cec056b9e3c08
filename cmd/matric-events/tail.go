package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// TailCmd shows events as they happen.
type TailCmd struct {
	HubFlags
	Types   []string      `placeholder:"TYPE" help:"Only these types: JobCompleted, job.completed, job_completed, or the families job, note, queue. Repeatable, comma separated."`
	JobID   []string      `name:"job-id" placeholder:"UUID" help:"Only events of these jobs. Repeatable, comma separated."`
	NoteID  []string      `name:"note-id" placeholder:"UUID" help:"Only events of these notes. Repeatable, comma separated."`
	After   string        `placeholder:"EVENT_ID" help:"Start behind this event instead of now."`
	JSONL   bool          `name:"jsonl" help:"Print the events' JSON as the hub sent it, one per line."`
	Until   []string      `placeholder:"TYPE" help:"Exit at the first event of these types, or when a job fails for good."`
	Timeout time.Duration `help:"Exit after this time, such as 90s or 5m."`
}

// Help implements kong.HelpProvider.
func (*TailCmd) Help() string {
	return `Reconnects and resumes by itself. Events go to standard output, one line each and at once; what else there is to say (lost
connections, events that were missed) to standard error. In the lines for people an id is shown by its last eight digits.

--until waits: "tail --job-id ID --until job.completed" ends with that job. A JobFailed that will not be retried ends any
wait for a type of job event, because nothing follows it. The event that ends the wait is shown even if --types leaves it
out. A job that ended before tail began is waited for in vain: give --timeout, or --after with an event before it.

Exit codes: 0 the awaited event came; 2 a job failed for good; 3 --timeout passed first; 1 anything else. Without
--until, --timeout and an interrupt end with 0.`
}

// Run implements the command.
func (c *TailCmd) Run(ctx context.Context, con console) error {
	signal.Ignore(syscall.SIGPIPE) // a reader that goes away shows as an error of Write
	t := &tailing{out: con.out, err: con.err, timeout: c.Timeout}
	subscription, err := c.subscription(t)
	if err != nil {
		return err
	}
	t.format = func(dst []byte, m ports.Message) []byte { return append(dst, m.JSON...) }
	if !c.JSONL {
		lines := lineFormat{zone: time.Local, color: wantsColor(con.out)}
		t.format = func(dst []byte, m ports.Message) []byte { return lines.append(dst, m.Event) }
	}
	hub, err := c.connect(con.err, func() {})
	if err != nil {
		return err
	}
	return t.run(ctx, hub, subscription)
}

// subscription reads the flags that say what to ask the hub for, and what of it t shows and waits for.
func (c *TailCmd) subscription(t *tailing) (s ports.Subscription, err error) {
	if c.Timeout < 0 {
		return s, domain.Invalid("--timeout", "must not be less than nothing")
	}
	if c.After != "" {
		if s.After, err = domain.ParseUUID(c.After); err != nil {
			return s, domain.Invalid("--after", "want the event_id of an event")
		}
	}
	if t.until, err = domain.ParseTypes("--until", c.Until); err != nil {
		return s, err
	}
	s.Filter, err = domain.ParseFilter(
		domain.FilterList{Field: "--types", Values: c.Types},
		domain.FilterList{Field: "--job-id", Values: c.JobID},
		domain.FilterList{Field: "--note-id", Values: c.NoteID})
	t.show = s.Filter.Types
	if t.show == 0 {
		t.show = domain.AllTypes
		return s, err
	}
	s.Filter.Types |= t.until
	if t.until&jobTypes != 0 {
		s.Filter.Types |= domain.Set(domain.TypeJobFailed)
	}
	return s, err
}

// tailing is one run of the command.
type tailing struct {
	out, err io.Writer
	format   func(dst []byte, m ports.Message) []byte // without a line ending
	show     domain.TypeSet
	until    domain.TypeSet // zero goes on for ever
	timeout  time.Duration  // zero for none
	line     []byte
}

var (
	jobTypes = domain.Set(domain.TypeJobQueued, domain.TypeJobStarted, domain.TypeJobProgress, domain.TypeJobCompleted, domain.TypeJobFailed)

	errTimeout = errors.New("--timeout passed")
)

// tailEnd is how handle ends the subscription: with the event that was waited for.
type tailEnd struct{ event domain.Event }

func (tailEnd) Error() string { return "the awaited event came" }

// run shows events until the wait, the time or ctx ends.
func (t *tailing) run(ctx context.Context, hub ports.Subscriber, s ports.Subscription) error {
	if t.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t.timeout, errTimeout)
		defer cancel()
	}
	err := hub.Subscribe(ctx, s, t.handle)
	if end, ok := errors.AsType[tailEnd](err); ok {
		return outcome(end.event)
	}
	awaited := strings.Join(t.until.Names(), " or ")
	switch {
	case t.until == 0 && errors.Is(err, syscall.EPIPE): // the reader has seen enough
		return nil
	case err != nil || t.until == 0:
		return err
	case errors.Is(context.Cause(ctx), errTimeout):
		return exitError{3, fmt.Errorf("no %s within %s", awaited, t.timeout)}
	}
	return fmt.Errorf("interrupted before %s", awaited)
}

// outcome turns the event that ended the wait into the command's result.
func outcome(e domain.Event) error {
	if p, ok := e.Payload.(domain.JobFailed); ok && !p.WillRetry {
		return exitError{2, fmt.Errorf("job %s failed: %s", p.JobID, oneLine(p.Error, maxText))}
	}
	return nil
}

func (t *tailing) handle(m ports.Message) error {
	if m.Notice != nil {
		fmt.Fprintf(t.err, "matric-events: %s\n", describeNotice(m.Notice))
		return nil
	}
	ends := t.ends(m.Event)
	if !ends && !t.show.Has(m.Event.Type()) {
		return nil
	}
	t.line = append(t.format(t.line[:0], m), '\n')
	if _, err := t.out.Write(t.line); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if ends {
		return tailEnd{m.Event}
	}
	return nil
}

// ends reports whether e is what the wait is for, or the end of a job, after which what it is for cannot come.
func (t *tailing) ends(e domain.Event) bool {
	failed, ok := e.Payload.(domain.JobFailed)
	return t.until.Has(e.Type()) || ok && !failed.WillRetry && t.until&jobTypes != 0
}

func describeNotice(n *ports.Notice) string {
	switch {
	case n.Type == "EventsLagged":
		return fmt.Sprintf("%d events were missed", n.Dropped)
	case n.Reason == domain.StandingExpired.String():
		return "events were missed: the hub keeps them no longer"
	default:
		return "events may have been missed: the hub does not know the last one seen"
	}
}
