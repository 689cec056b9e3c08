package telemetry

import (
	"bytes"
	"io"
	stdlog "log"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/rs/zerolog/diode"
)

// maxQueuedLines is how many lines may wait to be written. What comes beyond that pushes out all that waits, and is
// counted.
const maxQueuedLines = 1 << 14

// Logs writes structured lines to one place. Whoever logs never waits for that place: a full pipe costs lines, which are
// counted, and stops nobody. Use OpenLogs.
type Logs struct {
	out     io.Writer // takes whole lines
	level   zerolog.Level
	format  Format
	queue   diode.Writer
	dropped atomic.Uint64
}

// Format says how lines look.
type Format uint8

// The formats.
const (
	JSON    Format = iota
	Console        // for people
	Colored        // for people in front of a terminal
)

// OpenLogs returns logs that write lines to w. level is one of zerolog's names; an unknown one means info. Close writes what
// is left.
func OpenLogs(w io.Writer, level string, format Format) *Logs {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	parsed, err := zerolog.ParseLevel(level)
	if err != nil {
		parsed = zerolog.InfoLevel
	}
	l := &Logs{out: zerolog.SyncWriter(w), level: parsed, format: format}
	if format != JSON {
		l.out = zerolog.ConsoleWriter{Out: l.out, TimeFormat: time.TimeOnly, NoColor: format == Console}
	}
	l.queue = diode.NewWriter(scrubber{l.out}, maxQueuedLines, 0, func(missed int) { l.dropped.Add(uint64(missed)) })
	return l
}

// Logger returns a logger. It may be used after Close, to no effect.
func (l *Logs) Logger() zerolog.Logger {
	return zerolog.New(l.queue).Level(l.level).With().Timestamp().Logger()
}

// writeLines writes whole lines at once, and waits for the place that they go to. That this fails there is no place to say.
func (l *Logs) writeLines(lines []byte) {
	if l.format == JSON {
		_, _ = l.out.Write(lines)
		return
	}
	for line := range bytes.Lines(lines) { // zerolog's writer for people takes one at a time
		_, _ = l.out.Write(line)
	}
}

// Dropped returns how many lines were lost because they could not be written in time.
func (l *Logs) Dropped() uint64 { return l.dropped.Load() }

// Close writes the lines that wait.
func (l *Logs) Close() error { return l.queue.Close() }

// StandardLog returns a standard logger, for libraries that want one, whose lines are debug messages.
func StandardLog(log zerolog.Logger) *stdlog.Logger {
	return stdlog.New(lineWriter{log}, "", 0)
}

type lineWriter struct{ log zerolog.Logger }

func (w lineWriter) Write(line []byte) (int, error) {
	w.log.Debug().Str("line", excerpt(strings.TrimSpace(string(line)))).Msg("library")
	return len(line), nil
}
