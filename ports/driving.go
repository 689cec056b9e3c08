package ports

import (
	"context"

	"github.com/matric/matric-events/domain"
)

// Receipt says what became of a batch.
type Receipt struct {
	Accepted int // published now, or seen before under the same event ID
	Skipped  int // left out because their job has finished
}

// A Publisher takes what producers report. A batch is all or nothing: one bad item is a FieldError with its index, and
// nothing is published. An item whose event ID was seen before is accepted and not published again, also when its job has
// finished. Any other event but JobQueued for a finished job is ErrConflict when it comes alone, and skipped and counted
// in a larger batch. It returns nil only once every event is stored wherever it must not be lost. Safe for concurrent
// use. Checked by contract.Publisher.
type Publisher interface {
	PublishWorkerEvents(ctx context.Context, batch []domain.WorkerEvent) (Receipt, error)
	PublishNoteEvents(ctx context.Context, batch []domain.NoteEvent) (Receipt, error)
}

// A Feed is the log as its lossy readers see it. A reader is a cursor, the sequence number of the last entry that it has
// passed; it costs the feed nothing. Safe for concurrent use. Checked by contract.Feed.
type Feed interface {
	// Head returns the sequence number of the newest entry, zero before the first one.
	Head() domain.Seq
	// Read appends to dst the entries after the cursor that f selects, oldest first, until dst's capacity is used up or
	// the head is reached. missed counts the entries of any kind after the cursor that are no longer kept.
	Read(after domain.Seq, f *domain.Filter, dst []domain.Entry) (entries []domain.Entry, cursor domain.Seq, missed uint64)
	// Wait returns nil once there is an entry after the cursor, or ctx's error.
	Wait(ctx context.Context, after domain.Seq) error
	// Locate says where a reader stands that saw the event with this ID last.
	Locate(id domain.UUID) domain.Place
}

// Subscription says what a Subscriber's client wants.
type Subscription struct {
	Filter domain.Filter
	After  domain.UUID // the last event seen; zero starts with events from now on
}

// Message is one thing that a subscription delivers: an event, or a notice that some are missing.
type Message struct {
	Event  domain.Event // meaningful when Notice is nil
	JSON   []byte       // the event's or the notice's bytes as they came
	Notice *Notice
}

// Notice tells of events that the subscription could not deliver.
type Notice struct {
	Type    string // ResyncRequired or EventsLagged
	Reason  string // of ResyncRequired: expired or unknown
	Dropped uint64 // of EventsLagged
}

// A Subscriber delivers events by calling handle for each, in order, one at a time. It reconnects by itself and resumes
// after the last event handled: no event twice, none missing without a Notice. It returns nil when ctx ends, the error of
// handle as soon as there is one, and an error of its own only when going on is pointless (refused credentials or
// filter). Checked by the tests of adapters/client, its one implementation.
type Subscriber interface {
	Subscribe(ctx context.Context, s Subscription, handle func(Message) error) error
}
