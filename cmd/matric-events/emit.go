package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// EmitCmd publishes worker or note events: one made of flags, or those of a file.
type EmitCmd struct {
	HubFlags
	EventFlags
	File  string `short:"f" placeholder:"FILE" help:"Publish the events in this file: one JSON object per line, or a JSON array. - is standard input."`
	Quiet bool   `short:"q" help:"No progress bar, and not a word about failures that retries get over."`
}

// Help implements kong.HelpProvider.
func (*EmitCmd) Help() string {
	return `One event from flags, or many from a file:

  emit job-queued --job-id ID --job-type embedding --priority 1
  emit job-progress --job-id ID --percent 40 --message "chunk 4 of 10"
  emit job-failed --job-id ID --error "out of memory" --will-retry
  emit note-updated --note-id ID --operation updated --title Plans --tag a --tag b
  emit --file events.ndjson

A file may mix worker events, {"type":"JobProgress","job_id":…}, and note events, {"operation":"updated","note_id":…}, as the
API takes them; their order is kept. Events go out in batches, or at once when no more input waits. At the first line that is
wrong it stops, names the line and the field, and has published what stands before. With an event_id in each line it is safe to run
the same file again: what the hub has already is not published twice.

The last line tells how many events were accepted, and how many skipped because their job had finished.`
}

// Run implements the command.
func (c *EmitCmd) Run(ctx context.Context, con console) error {
	var progress progressBar
	notes := io.Discard
	if !c.Quiet {
		notes = con.err
		if isTerminal(con.err) {
			progress.w = con.err
		}
	}
	hub, err := c.connect(notes, progress.clear)
	if err != nil {
		return err
	}
	switch {
	case c.File == "" && c.Type == nil:
		return errors.New("name the type of event, such as job-progress, or a --file; see emit --help")
	case c.File == "":
		return emitOne(ctx, hub, c.EventFlags, con.out)
	case c.given():
		return domain.Invalid("--file", "goes with neither a type nor the flags of an event")
	}
	file, size, err := openInput(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	progress.total = size
	return emitAll(ctx, hub, file, con.out, &progress)
}

// openInput opens a file and returns its size, zero when that is not known.
func openInput(name string) (*os.File, int64, error) {
	if name == "-" {
		// A read of a terminal or a pipe cannot be interrupted, so an interrupt must end the program right away.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		return os.Stdin, 0, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return file, 0, nil // a named pipe, perhaps
	}
	return file, info.Size(), nil
}

func emitOne(ctx context.Context, hub ports.Publisher, flags EventFlags, out io.Writer) error {
	it, err := flags.item()
	if err != nil {
		return err
	}
	batch := &emitBatch{hub: hub}
	batch.add(it, 0, "")
	receipt, err := batch.publish(ctx)
	if err != nil {
		return err
	}
	return printReceipt(out, receipt)
}

// emitAll publishes everything in r, and prints the counts also when it has to stop.
func emitAll(ctx context.Context, hub ports.Publisher, r io.Reader, out io.Writer, progress *progressBar) error {
	e := &emitting{in: newEmitInput(r), batch: &emitBatch{hub: hub}, progress: progress}
	progress.update(0, 0)
	err := e.run(ctx)
	progress.clear()
	return errors.Join(err, printReceipt(out, e.total))
}

// emitting is one pass over an input.
type emitting struct {
	in       *emitInput
	batch    *emitBatch
	progress *progressBar
	total    ports.Receipt
}

func (e *emitting) run(ctx context.Context) error {
	for {
		raw, where, err := e.in.next()
		if errors.Is(err, io.EOF) {
			return e.flush(ctx)
		}
		var it emitItem
		if err == nil {
			it, err = decodeItem(raw)
		}
		if err != nil {
			if err := e.flush(ctx); err != nil {
				return err
			}
			return fmt.Errorf("%s: %w", where, err)
		}
		if !e.batch.fits(it, len(raw)) {
			if err := e.flush(ctx); err != nil {
				return err
			}
		}
		e.batch.add(it, len(raw), where)
		if !e.in.ready() {
			if err := e.flush(ctx); err != nil {
				return err
			}
		}
	}
}

func (e *emitting) flush(ctx context.Context) error {
	receipt, err := e.batch.flush(ctx)
	e.total.Accepted += receipt.Accepted
	e.total.Skipped += receipt.Skipped
	e.progress.update(e.in.offset(), e.total.Accepted+e.total.Skipped)
	return err
}

func printReceipt(out io.Writer, r ports.Receipt) error {
	_, err := fmt.Fprintf(out, "accepted %d, skipped %d\n", r.Accepted, r.Skipped)
	return err
}
