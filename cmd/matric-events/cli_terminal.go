package main

import (
	"io"
	"os"
	"strings"
	"unicode"
)

// isTerminal reports whether w is a terminal, as far as the kind of file tells.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// wantsColor reports whether w is a terminal whose user wants colors (https://no-color.org).
func wantsColor(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// maxText is how many characters of a text from outside one line shows.
const maxText = 300

// oneLine makes text from outside fit for a line of a terminal: at most limit characters, line breaks and tabs as
// spaces, and nothing that the terminal could take for a command.
func oneLine(s string, limit int) string {
	var out strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			out.WriteRune('…')
			break
		}
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case !unicode.IsPrint(r) && r != zeroWidthJoiner:
			r = unicode.ReplacementChar
		}
		out.WriteRune(r)
	}
	return out.String()
}

// zeroWidthJoiner holds compound emoji together.
const zeroWidthJoiner = '\u200d'

// lines is oneLine for a text of several lines, as long as they are.
func lines(s string) string {
	all := strings.Split(s, "\n")
	for i, line := range all {
		all[i] = oneLine(line, len(line))
	}
	return strings.Join(all, "\n")
}
