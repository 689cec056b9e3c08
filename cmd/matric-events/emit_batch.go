package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// The bounds of a batch. Below 1 MiB it goes out in one request, which the hub takes all or nothing.
const (
	maxBatchItems = 1000
	maxBatchBytes = 512 << 10
)

// emitBatch gathers successive events of one kind.
type emitBatch struct {
	hub     ports.Publisher
	workers []domain.WorkerEvent
	notes   []domain.NoteEvent
	where   []string // where in the input each event stands
	bytes   int
}

// fits reports whether an item of n bytes may join the batch.
func (b *emitBatch) fits(it emitItem, n int) bool {
	if len(b.where) == 0 {
		return true
	}
	sameKind := (it.note != nil) == (len(b.notes) > 0)
	return sameKind && len(b.where) < maxBatchItems && b.bytes+n <= maxBatchBytes
}

// add puts an item of n bytes into the batch.
func (b *emitBatch) add(it emitItem, n int, where string) {
	if it.note != nil {
		b.notes = append(b.notes, *it.note)
	} else {
		b.workers = append(b.workers, *it.worker)
	}
	b.where = append(b.where, where)
	b.bytes += n
}

// publish sends what was gathered in one call.
func (b *emitBatch) publish(ctx context.Context) (ports.Receipt, error) {
	if len(b.notes) > 0 {
		return b.hub.PublishNoteEvents(ctx, b.notes)
	}
	return b.hub.PublishWorkerEvents(ctx, b.workers)
}

// flush publishes the batch as a part of a longer input, and empties it. An event for a finished job is skipped, also
// when it happens to be alone; another that the hub refuses is named by its place in the input.
func (b *emitBatch) flush(ctx context.Context) (ports.Receipt, error) {
	if len(b.where) == 0 {
		return ports.Receipt{}, nil
	}
	receipt, err := b.publish(ctx)
	if len(b.where) == 1 && errors.Is(err, domain.ErrConflict) {
		receipt, err = ports.Receipt{Skipped: 1}, nil
	}
	if err != nil {
		err = b.place(err)
	}
	b.workers, b.notes, b.where, b.bytes = b.workers[:0], b.notes[:0], b.where[:0], 0
	return receipt, err
}

func (b *emitBatch) place(err error) error {
	invalid, ok := errors.AsType[*domain.FieldError](err)
	if ok && invalid.Index >= 0 && invalid.Index < len(b.where) {
		return fmt.Errorf("%s: %w", b.where[invalid.Index], domain.AtIndex(invalid, domain.NoIndex))
	}
	return fmt.Errorf("%s and what follows: %w", b.where[0], err)
}
