// Package notesapp is an example of an application that has notes of its own and tells a hub about them with the Go SDK.
//
// What it shows:
//
//   - A note and the event about it are one transaction: the handler writes the event, with its ID, into a table unsent beside
//     the note. Nothing is told of a note that was rolled back, and nothing about a note that is there is ever forgotten.
//   - Sending comes after the commit, and never in the way of the user: the hub may be away. What is unsent is sent again, in
//     order and under the same event ID, which makes that safe: the hub knows an event that it has seen.
//   - Watch follows jobs and writes their results into the application's own table.
//
// An application on PostgreSQL needs none of the sending: see docs/capture.md.
package notesapp

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/matric/matric-events/adapters/client"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Schema is what the application keeps.
const Schema = `
CREATE TABLE note (id TEXT PRIMARY KEY, title TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'new');
CREATE TABLE unsent (position INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);`

// App is the application.
type App struct {
	DB  *sql.DB
	Hub *client.Client

	wake chan struct{} // holds one token while there may be something to send
}

// New returns an application on a database with Schema.
func New(db *sql.DB, hub *client.Client) *App {
	return &App{DB: db, Hub: hub, wake: make(chan struct{}, 1)}
}

// ServeHTTP creates a note from {"title": …}.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Title string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
		http.Error(w, "want {\"title\": …}", http.StatusBadRequest)
		return
	}
	id, err := a.create(r.Context(), in.Title)
	if err != nil {
		http.Error(w, "the note could not be stored", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "title": in.Title}) // the client may have gone
}

// create stores a note and the event about it, both or neither.
func (a *App) create(ctx context.Context, title string) (id domain.UUID, err error) {
	id = client.NewEventID() // a UUIDv7 suits a note as well
	event, err := json.Marshal(domain.NoteEvent{
		EventID: client.NewEventID(),
		Note:    domain.NoteUpdated{NoteID: id, Operation: domain.Created, Title: title},
	})
	if err != nil {
		return id, err
	}
	tx, err := a.DB.BeginTx(ctx, nil)
	if err != nil {
		return id, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	if _, err := tx.ExecContext(ctx, `INSERT INTO note (id, title) VALUES (?, ?)`, id.String(), title); err != nil {
		return id, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO unsent (event) VALUES (?)`, string(event)); err != nil {
		return id, err
	}
	if err := tx.Commit(); err != nil {
		return id, err
	}
	select {
	case a.wake <- struct{}{}:
	default: // the sender knows
	}
	return id, nil
}

// Send publishes what is unsent, also what an earlier run has left, until ctx ends. One at a time may run.
func (a *App) Send(ctx context.Context) error {
	for {
		sent, err := a.sendSome(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("notesapp: send: %w", err)
		}
		if sent > 0 {
			continue // perhaps there is more
		}
		select {
		case <-a.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// sendSome publishes the oldest unsent events and forgets them once the hub has taken them. The client repeats what fails for
// Options.RetryFor, so that an hour's outage costs nothing but time.
func (a *App) sendSome(ctx context.Context) (sent int, err error) {
	rows, err := a.DB.QueryContext(ctx, `SELECT position, event FROM unsent ORDER BY position LIMIT 100`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var batch []domain.NoteEvent
	var last int64
	for rows.Next() {
		var text string
		if err := rows.Scan(&last, &text); err != nil {
			return 0, err
		}
		event, err := domain.DecodeNoteEvent([]byte(text))
		if err != nil {
			return 0, err
		}
		batch = append(batch, event)
	}
	if err := rows.Err(); err != nil || len(batch) == 0 {
		return 0, err
	}
	if _, err := a.Hub.PublishNoteEvents(ctx, batch); err != nil {
		return 0, err
	}
	_, err = a.DB.ExecContext(ctx, `DELETE FROM unsent WHERE position <= ?`, last)
	return len(batch), err
}

// Watch follows the jobs of all notes until ctx ends, and notes down how they end. It resumes by itself; only when the hub says
// that events are missing there is something to read anew.
func (a *App) Watch(ctx context.Context) error {
	ends := ports.Subscription{Filter: domain.Filter{Types: domain.Set(domain.TypeJobCompleted, domain.TypeJobFailed)}}
	err := a.Hub.Subscribe(ctx, ends, func(m ports.Message) error {
		if m.Notice != nil {
			_, err := a.DB.ExecContext(ctx, `UPDATE note SET state = 'unknown' WHERE state = 'new'`)
			return err
		}
		switch job := m.Event.Payload.(type) {
		case domain.JobCompleted:
			return a.setState(ctx, job.NoteID, "done")
		case domain.JobFailed:
			if !job.WillRetry {
				return a.setState(ctx, job.NoteID, "failed")
			}
		}
		return nil
	})
	if ctx.Err() != nil { // which may have come in the midst of a statement
		return nil
	}
	return err
}

func (a *App) setState(ctx context.Context, note domain.UUID, state string) error {
	_, err := a.DB.ExecContext(ctx, `UPDATE note SET state = ? WHERE id = ?`, state, note.String())
	return err
}
