package telemetry

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxText is how many bytes of a text that is not ours a line holds: enough to know an error by, and too little to leak a
// document.
const maxText = 200

// excerpt returns a text that is not ours (of a worker, a library, a database, a receiver) as logs may hold it: without
// what could be a secret, and cut.
func excerpt(s string) string {
	text := strings.ToValidUTF8(s[:min(len(s), 4*maxText)], "\uFFFD") // looking through it costs little, however long it is
	text = string(scrub([]byte(text)))
	if len(text) <= maxText && len(s) <= 4*maxText {
		return text
	}
	end := min(len(text), maxText)
	for end > 0 && end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// secrets are forms that secrets have in texts of others. Nothing of ours writes them into a log; this is for errors that
// quote what they are about.
var secrets = []struct {
	hint []byte // of texts without it nothing matches
	form *regexp.Regexp
	stay func(match []byte) []byte
}{
	{[]byte("://"), regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'\\]+`), origin},
	{[]byte("whsec_"), regexp.MustCompile(`whsec_[A-Za-z0-9+/=_-]+`), after("whsec_")},
	{[]byte("earer "), regexp.MustCompile(`[Bb]earer [^\s"'\\]+`), after("earer ")},
	{[]byte("asic "), regexp.MustCompile(`[Bb]asic [A-Za-z0-9+/=]{4,}`), after("asic ")},
	{[]byte("token="), regexp.MustCompile(`token=[^\s"'\\&]+`), after("token=")},
	{[]byte("password="), regexp.MustCompile(`password=('[^']*'|[^\s"'\\&]+)`), after("password=")},
}

// origin keeps scheme and host of a URL; of one that may hold a password, the scheme.
func origin(url []byte) []byte {
	scheme, rest, _ := bytes.Cut(url, []byte("://"))
	host := rest
	if i := bytes.IndexAny(rest, "/?#"); i >= 0 {
		host = rest[:i]
	}
	if bytes.ContainsRune(rest, '@') {
		host = nil
	}
	kept := append(append([]byte{}, scheme...), "://"...)
	if kept = append(kept, host...); len(host) < len(rest) {
		kept = append(kept, "…"...)
	}
	return kept
}

// after keeps a match up to and including a mark.
func after(mark string) func([]byte) []byte {
	return func(match []byte) []byte {
		i := bytes.Index(match, []byte(mark)) + len(mark)
		return append(append([]byte{}, match[:i]...), "…"...)
	}
}

// scrub returns a text without what looks like a secret. It returns the same slice when there is nothing of that.
func scrub(text []byte) []byte {
	for i := range secrets {
		if s := &secrets[i]; bytes.Contains(text, s.hint) {
			text = s.form.ReplaceAllFunc(text, s.stay)
		}
	}
	return text
}

// scrubber scrubs each line that is written, whoever made it. It is the second net: what is known not to be ours went
// through excerpt.
type scrubber struct{ w io.Writer }

func (s scrubber) Write(line []byte) (int, error) {
	if _, err := s.w.Write(scrub(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}
