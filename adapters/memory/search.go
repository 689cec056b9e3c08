package memory

import (
	"slices"
	"strings"
	"unicode"

	"github.com/matric/matric-events/domain"
)

// index is the words of a note as the last indexing found them: those of its title, its content and its tags.
type index [3][]string

func newIndex(n *domain.Note) index {
	return index{words(n.Title), words(n.Content), words(strings.Join(n.Tags, " "))}
}

var unaccented = strings.NewReplacer(
	"à", "a", "á", "a", "â", "a", "ã", "a", "ä", "a", "å", "a", "ç", "c", "è", "e", "é", "e", "ê", "e", "ë", "e",
	"ì", "i", "í", "i", "î", "i", "ï", "i", "ñ", "n", "ò", "o", "ó", "o", "ô", "o", "õ", "o", "ö", "o",
	"ù", "u", "ú", "u", "û", "u", "ü", "u", "ý", "y", "ÿ", "y",
)

// words returns the runs of letters and digits, in lower case and without accents.
func words(text string) []string {
	return strings.FieldsFunc(unaccented.Replace(strings.ToLower(text)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// search is what a user typed: runs of words that must all occur, the last of which may be unfinished. Nil selects
// everything.
type search [][]string

func newSearch(text string) search {
	typed := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == 0 })
	if len(typed) == 0 {
		return nil
	}
	s := search{}
	for _, t := range typed {
		if run := words(t); len(run) > 0 {
			s = append(s, run)
		}
	}
	return s
}

func (s search) matches(x index) bool {
	if s == nil {
		return true
	}
	for i, run := range s {
		unfinished := i == len(s)-1
		if !slices.ContainsFunc(x[:], func(column []string) bool { return occurs(run, column, unfinished) }) {
			return false
		}
	}
	return len(s) > 0
}

// occurs reports whether the run stands in the text.
func occurs(run, text []string, unfinished bool) bool {
	last := len(run) - 1
	for ; len(text) > last; text = text[1:] {
		if slices.Equal(run[:last], text[:last]) && (text[last] == run[last] || unfinished && strings.HasPrefix(text[last], run[last])) {
			return true
		}
	}
	return false
}
