package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// The kinds of outbox records: what the JSON in their body is.
const (
	KindWorker = "worker" // a domain.WorkerEvent; as the next one with event_id and occurred_at, or on PostgreSQL with neither
	KindNote   = "note"   // a domain.NoteEvent
	KindCanary = "canary" // an object with an event_id
)

var (
	_ ports.Outbox       = (*Outbox)(nil)
	_ ports.OutboxKeeper = (*Outbox)(nil)
	_ ports.Probe        = (*Outbox)(nil)
)

// Outbox implements ports.Outbox, ports.OutboxKeeper and ports.Probe. Use DB.Outbox.
type Outbox struct{ db *DB }

// Outbox returns the outbox of the database.
func (d *DB) Outbox() *Outbox { return &Outbox{d} }

// AppendOutbox adds a record within a transaction of the writer.
func (d *DB) AppendOutbox(ctx context.Context, tx *sql.Tx, kind, body string) error {
	if _, err := tx.ExecContext(ctx, d.write.Rebind(insertOutbox), kind, body); err != nil {
		return fmt.Errorf("sqlstore: append %s to the outbox: %w", kind, translate(err))
	}
	return nil
}

const insertOutbox = `INSERT INTO outbox (kind, body) VALUES (?, ?)`

// Pending implements ports.Outbox.
func (o *Outbox) Pending(ctx context.Context, limit int) ([]ports.OutboxRecord, error) {
	o.db.outbox.silence()
	rows, err := o.db.reader.pending(ctx, max(limit, 0))
	if err != nil || len(rows) == limit {
		o.db.outbox.ring() // there may be more
	}
	if err != nil {
		return nil, fmt.Errorf("sqlstore: read outbox: %w", translate(err))
	}
	records := make([]ports.OutboxRecord, len(rows))
	for i, row := range rows {
		records[i] = row.record()
	}
	return records, nil
}

// Remove implements ports.Outbox. It fails while another server could take the database over, whose clients must see what is
// there, too.
func (o *Outbox) Remove(ctx context.Context, positions ...int64) error {
	if len(positions) == 0 {
		return nil
	}
	err := o.db.ours(ctx)
	if err == nil {
		err = o.db.reader.remove(ctx, positions)
	}
	if err != nil {
		return fmt.Errorf("sqlstore: remove %d records from the outbox: %w", len(positions), translate(err))
	}
	return nil
}

// Wait implements ports.Outbox.
func (o *Outbox) Wait(ctx context.Context) error {
	return o.db.reader.wait(ctx)
}

// WriteCanary implements ports.Probe. It fails while another server could take the database over.
func (o *Outbox) WriteCanary(ctx context.Context, id domain.UUID) error {
	err := o.db.ours(ctx)
	if err == nil {
		_, err = o.db.write.ExecContext(ctx, o.db.write.Rebind(insertOutbox), KindCanary, `{"event_id":"`+id.String()+`"}`)
	}
	if err != nil {
		return fmt.Errorf("sqlstore: write canary %s: %w", id, translate(err))
	}
	return nil
}

type outboxRow struct {
	Position  int64     `db:"position"`
	Kind      string    `db:"kind"`
	Body      string    `db:"body"`
	WrittenAt time.Time `db:"written_at"` // zero where triggers that leave it to us cannot be
}

func (r *outboxRow) record() ports.OutboxRecord {
	rec, err := r.decode()
	switch {
	case err != nil:
	case rec.Worker != nil:
		err = r.origin(&rec.Worker.EventID, &rec.Worker.OccurredAt)
	case rec.Note != nil:
		err = r.origin(&rec.Note.EventID, &rec.Note.OccurredAt)
	}
	if err != nil {
		rec = ports.OutboxRecord{Bad: fmt.Errorf("sqlstore: outbox record %d: %w", r.Position, err)}
	}
	rec.Position = r.Position
	return rec
}

// decode reads the body. Only record knows what no body says.
func (r *outboxRow) decode() (ports.OutboxRecord, error) {
	switch r.Kind {
	case KindWorker:
		e, err := domain.DecodeWorkerEvent([]byte(r.Body))
		return ports.OutboxRecord{Worker: &e}, err
	case KindNote:
		e, err := domain.DecodeNoteEvent([]byte(r.Body))
		return ports.OutboxRecord{Note: &e}, err
	case KindCanary:
		var c struct {
			EventID domain.UUID `json:"event_id"`
		}
		err := domain.DecodeStrict([]byte(r.Body), &c)
		if err == nil && c.EventID.IsZero() {
			err = errors.New("event_id is missing")
		}
		return ports.OutboxRecord{Canary: c.EventID}, err
	}
	return ports.OutboxRecord{}, fmt.Errorf("%q is no kind of record", r.Kind)
}

// origin sees to it that a record which is read again after a crash is published under the same ID as before. What has
// neither an ID nor a time, because a trigger of capture wrote it at an application's expense, gets both from when and where
// it was written.
func (r *outboxRow) origin(id *domain.UUID, at *time.Time) error {
	if id.IsZero() && at.IsZero() && !r.WrittenAt.IsZero() {
		*at = r.WrittenAt.UTC().Truncate(time.Millisecond)
		*id = r.eventID()
	}
	if id.IsZero() || at.IsZero() {
		return errors.New("event_id or occurred_at is missing")
	}
	return nil
}

// eventID makes a UUID of version 7 (RFC 9562, section 5.7) whose random part is a hash of the number that the sequence gave
// and the microsecond: no two records share both. Where the record stands now is not asked, for it may yet be moved.
func (r *outboxRow) eventID() (id domain.UUID) {
	var seed [16]byte
	binary.BigEndian.PutUint64(seed[:], uint64(r.Position&^burst))
	binary.BigEndian.PutUint64(seed[8:], uint64(r.WrittenAt.UnixMicro()))
	hash := sha256.Sum256(seed[:])
	copy(id[:], hash[:])
	stamp := binary.BigEndian.AppendUint64(nil, uint64(r.WrittenAt.UnixMilli()))
	copy(id[:6], stamp[2:])
	id[6] = id[6]&0x0F | 0x70
	id[8] = id[8]&0x3F | 0x80
	return id
}
