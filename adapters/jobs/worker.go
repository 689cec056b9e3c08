package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Error texts of attempts that did not fail by themselves.
const (
	textCanceled    = domain.ErrorCanceled
	textInterrupted = "interrupted"
)

var (
	errPanic  = errors.New("the job's worker panicked")
	errStored = errors.New("the job's result could not be stored")
	errReport = errors.New("the job's progress could not be stored")
)

// worker does one attempt after the other for River.
type worker struct {
	river.WorkerDefaults[jobArgs]
	queue   *Queue
	handler ports.JobHandler
}

// Work implements river.Worker. Its error is one of those that mean something to River, or nothing but a text.
func (w *worker) Work(ctx context.Context, row *river.Job[jobArgs]) error {
	defer w.queue.attempts.begin(attempt{row.ID, row.Attempt})()
	job, err := jobOf(row.JobRow)
	if err != nil {
		return err
	}
	result, err := w.handle(ctx, row, job)
	if err == nil {
		err = w.complete(ctx, row, result)
	}
	switch cause := context.Cause(ctx); {
	case err == nil:
		return nil
	case errors.Is(err, rivertype.ErrJobCancelledRemotely) || errors.Is(cause, rivertype.ErrJobCancelledRemotely):
		return rivertype.ErrJobCancelledRemotely
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled // with which River takes the attempt for interrupted by its stop
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the job took longer than %s", w.queue.o.JobTimeout)
	}
	return errors.New(publicText(err.Error()))
}

// handle calls the handler.
func (w *worker) handle(ctx context.Context, row *river.Job[jobArgs], job domain.Job) (result *domain.Analysis, err error) {
	defer func() {
		if v := recover(); v != nil {
			w.queue.o.Logger.ErrorContext(ctx, "the job's worker panicked", slog.String("job_id", job.ID.String()),
				slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			err = errPanic
		}
	}()
	return w.handler.Run(ctx, job, func(percent int, message string) error {
		err := w.queue.report(ctx, row, percent, publicText(message))
		if err == nil || errors.Is(err, domain.ErrInvalid) || errors.Is(err, rivertype.ErrJobCancelledRemotely) {
			return err
		}
		w.queue.o.Logger.WarnContext(ctx, errReport.Error(), slog.String("job_id", job.ID.String()), slog.Any("error", err))
		return errReport // what the database says is not for clients
	})
}

// complete stores the result. Errors but that of a canceled job are for the log: they are about the store, not the job.
func (w *worker) complete(ctx context.Context, row *river.Job[jobArgs], result *domain.Analysis) error {
	// The work is done: neither the stop of the queue nor the time limit undoes it. What Cancel does stands in the row.
	err := w.queue.complete(context.WithoutCancel(ctx), row, result)
	if err == nil || errors.Is(err, rivertype.ErrJobCancelledRemotely) {
		return err
	}
	w.queue.o.Logger.ErrorContext(ctx, errStored.Error(), slog.String("job_id", row.Args.JobID.String()), slog.Any("error", err))
	return errStored
}

func (q *Queue) complete(ctx context.Context, row *river.Job[jobArgs], result *domain.Analysis) error {
	return q.during(ctx, row, func(tx *sql.Tx) error {
		var changed *domain.Note
		var err error
		if result != nil {
			if changed, err = q.store.ApplyAnalysis(ctx, tx, *result); err != nil {
				return err
			}
		}
		if _, err := river.JobCompleteTx[*localDriver](ctx, tx, row); err != nil {
			return err
		}
		if changed == nil {
			return nil
		}
		event := domain.NoteEvent{EventID: q.newID(), OccurredAt: time.Now(), Note: changed.Event(domain.Updated)}
		return q.append(ctx, tx, kindNote, event)
	})
}

// report stores progress, for those who ask and for those who listen.
func (q *Queue) report(ctx context.Context, row *river.Job[jobArgs], percent int, message string) error {
	event := domain.WorkerEvent{
		Kind: domain.JobKind(domain.TypeJobProgress), EventID: q.newID(), OccurredAt: time.Now(),
		JobID: row.Args.JobID, JobType: row.Args.Type, NoteID: row.Args.NoteID, Percent: &percent, Message: message,
	}
	if err := event.Validate(); err != nil {
		return err
	}
	stored, err := json.Marshal(progress{orZero(row.AttemptedAt), percent, message})
	if err != nil {
		return err
	}
	return q.during(ctx, row, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, q.sql.storeProgress, string(stored), row.ID); err != nil {
			return err
		}
		return q.append(ctx, tx, kindWorker, event)
	})
}

// during calls fn in a transaction that commits only if the attempt still runs and is not canceled, so that nothing
// follows its end in the outbox.
func (q *Queue) during(ctx context.Context, row *river.Job[jobArgs], fn func(tx *sql.Tx) error) error {
	tx, err := q.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do, and otherwise the first error counts
	var canceled bool
	if err := tx.QueryRowContext(ctx, q.sql.canceledAttempt, row.ID, row.Attempt).Scan(&canceled); err != nil {
		return fmt.Errorf("read the attempt, which may be over: %w", err)
	}
	if canceled {
		return rivertype.ErrJobCancelledRemotely
	}
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (q *Queue) append(ctx context.Context, tx *sql.Tx, kind string, event json.Marshaler) error {
	body, err := event.MarshalJSON()
	if err != nil {
		return err
	}
	return q.store.AppendOutbox(ctx, tx, kind, string(body))
}

// maxText bounds the texts that handlers send to all clients, in bytes.
const maxText = 4000

// publicText returns a text as events may carry it.
func publicText(s string) string {
	if len(s) > maxText {
		cut := maxText
		for cut > maxText-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\ufffd")
}
