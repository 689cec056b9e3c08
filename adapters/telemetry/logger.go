package telemetry

import (
	"io"
	stdlog "log"
	"time"

	"github.com/rs/zerolog"
)

// NewLogger returns a logger that writes JSON lines, or lines for people. level is one of zerolog's names; an unknown one
// means info.
func NewLogger(w io.Writer, level string, console bool) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	if console {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	parsed, err := zerolog.ParseLevel(level)
	if err != nil {
		parsed = zerolog.InfoLevel
	}
	return zerolog.New(w).Level(parsed).With().Timestamp().Logger()
}

// StandardLog returns a standard logger, for libraries that want one, whose lines are debug messages.
func StandardLog(log zerolog.Logger) *stdlog.Logger {
	return stdlog.New(lineWriter{log}, "", 0)
}

type lineWriter struct{ log zerolog.Logger }

func (w lineWriter) Write(line []byte) (int, error) {
	w.log.Debug().Bytes("line", line).Msg("library")
	return len(line), nil
}
