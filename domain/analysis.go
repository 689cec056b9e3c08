package domain

import (
	"cmp"
	"iter"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The types of the built-in jobs. NoteAnalysis, which a change of a note's content enqueues, does what the other three
// do.
const (
	JobNoteAnalysis     JobType = "NoteAnalysis"
	JobLinkExtraction   JobType = "LinkExtraction"
	JobFullTextIndexing JobType = "FullTextIndexing"
	JobTagSuggestion    JobType = "TagSuggestion"
)

// BuiltinJobTypes lists the types that the built-in queue can run.
func BuiltinJobTypes() []JobType {
	return []JobType{JobNoteAnalysis, JobLinkExtraction, JobFullTextIndexing, JobTagSuggestion}
}

// Link is a reference from a note's content to another note by title, or to a URL.
type Link struct {
	Title string // of [[title]]; empty for a URL
	URL   string
}

// Analysis is what a job found out about a note. A nil member was not asked for.
type Analysis struct {
	NoteID        UUID
	Revision      int64 // of the content that was analyzed; the result is dropped when the note has moved on
	Links         *[]Link
	SuggestedTags *[]string
	Index         bool // whether to bring the full-text index up to date
}

// chunkSize is how much text a step of an analysis takes on at once, in bytes.
const chunkSize = 16 << 10

// Chunks cuts text at line or word ends into pieces of about 16 KiB, so that an analysis can report its progress. It cuts
// no link in two but a very long one.
func Chunks(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(text) > chunkSize {
			cut := cutBefore(text, chunkSize)
			if !yield(text[:cut]) {
				return
			}
			text = text[cut:]
		}
		yield(text)
	}
}

// cutBefore returns where to cut a text that is longer than a limit.
func cutBefore(text string, limit int) int {
	if i := strings.LastIndexByte(text[:limit], '\n'); i > 0 {
		return i + 1 // in no link
	}
	cut := limit
	if i := strings.LastIndexByte(text[:limit], ' '); i > 0 {
		cut = i + 1
	} else {
		// Not within a UTF-8 sequence. What goes on for longer than one is not UTF-8 and may be cut anywhere.
		for cut > limit-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
	}
	from := max(0, cut-linkSpan)
	for _, link := range linkPattern.FindAllStringIndex(text[from:min(len(text), cut+linkSpan)], -1) {
		if start := from + link[0]; start > 0 && start < cut && cut < from+link[1] {
			return start
		}
	}
	return cut
}

// linkSpan is how long a link may be that is kept whole, in bytes.
const linkSpan = 2 << 10

var linkPattern = regexp.MustCompile(`\[\[([^\[\]\n]{1,200})\]\]|https?://[\pL\pN\[][^\s<>"'\x60\])}]+`)

// maxLinks bounds the links kept of one note.
const maxLinks = 1000

// AddLinks appends the links in text that are not in links yet.
func AddLinks(links []Link, text string) []Link {
	for _, m := range linkPattern.FindAllStringSubmatch(text, -1) {
		link := Link{Title: strings.TrimSpace(m[1])}
		if m[1] == "" {
			link.URL = strings.TrimRight(m[0], ".,;:!?")
		} else if link.Title == "" {
			continue
		}
		if len(links) < maxLinks && !slices.Contains(links, link) {
			links = append(links, link)
		}
	}
	return links
}

// TermCounts counts how often words occur.
type TermCounts map[string]int

// Add counts the words of text: runs of letters and digits of at least four characters, without common English ones.
func (c TermCounts) Add(text string) {
	for word := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if n := len([]rune(word)); n >= 4 && n <= MaxTag && !stopWords[word] && strings.IndexFunc(word, unicode.IsLetter) >= 0 {
			c[word]++
		}
	}
}

// Suggest returns up to n words that occur at least twice, the most frequent first, without those in have.
func (c TermCounts) Suggest(n int, have []string) []string {
	words := make([]string, 0, len(c))
	for word, count := range c {
		if count >= 2 && !slices.ContainsFunc(have, func(tag string) bool { return strings.EqualFold(tag, word) }) {
			words = append(words, word)
		}
	}
	slices.SortFunc(words, func(a, b string) int {
		return cmp.Or(cmp.Compare(c[b], c[a]), cmp.Compare(a, b))
	})
	return words[:min(n, len(words))]
}

var stopWords = func() map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(`about above after again against also among because been before being below between both
		cannot could does doing down during each even every from further have having here hers herself himself http https
		into itself just like made make many more most much must myself once only other ours over same shall should
		since some still such than that their theirs them then there these they this those through under until upon very
		want were what when where which while will with within without would your yours yourself`) {
		set[w] = true
	}
	return set
}()
