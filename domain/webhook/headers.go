package webhook

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/matric/matric-events/domain"
)

// Bounds of a webhook's own headers.
const (
	MaxHeaders     = 20
	MaxHeaderName  = 100
	MaxHeaderValue = 4096
)

// Headers are sent with every delivery of a webhook, such as the receiver's API key. Their values are secrets: they are
// stored and sent, never shown. The zero Headers are none.
//
// They are held in a closure for the reason that signing.Secret is: fmt cannot look into a function.
type Headers struct{ open func() map[string]string }

// reserved are the names that are ours, or that would change what the request is. A trailing dash stands for all names
// that start so.
var reserved = []string{
	"connection", "content-encoding", "content-length", "content-type", "expect", "host", "keep-alive", "proxy-",
	"te", "trailer", "transfer-encoding", "upgrade", "user-agent", "webhook-", "x-matric-",
}

// NewHeaders checks headers. Errors are FieldErrors of the field "headers" that name the header and not its value.
func NewHeaders(headers map[string]string) (Headers, error) {
	if len(headers) > MaxHeaders {
		return Headers{}, domain.Invalid("headers", "must have at most %d entries", MaxHeaders)
	}
	if len(headers) == 0 {
		return Headers{}, nil
	}
	kept := make(map[string]string, len(headers))
	seen := make(map[string]bool, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if err := checkHeader(name, headers[name]); err != nil {
			return Headers{}, err
		}
		lower := strings.ToLower(name)
		if seen[lower] {
			return Headers{}, domain.Invalid("headers", "%q is given twice; names differ in more than case", name)
		}
		seen[lower], kept[name] = true, headers[name]
	}
	return Headers{func() map[string]string { return kept }}, nil
}

func checkHeader(name, value string) error {
	if name == "" || len(name) > MaxHeaderName || strings.ContainsFunc(name, notInToken) {
		return domain.Invalid("headers", "names must be 1 to %d letters, digits or !#$%%&'*+-.^_`|~", MaxHeaderName)
	}
	lower := strings.ToLower(name)
	for _, r := range reserved {
		if lower == r || strings.HasSuffix(r, "-") && strings.HasPrefix(lower, r) {
			return domain.Invalid("headers", "%q is set by the server", name)
		}
	}
	if len(value) > MaxHeaderValue {
		return domain.Invalid("headers", "the value of %q must have at most %d characters", name, MaxHeaderValue)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) || strings.TrimSpace(value) != value {
		return domain.Invalid("headers", "the value of %q must be printable ASCII without spaces around it", name)
	}
	return nil
}

// notInToken is the complement of tchar (RFC 9110, section 5.6.2).
func notInToken(r rune) bool {
	return notInName(r) && !strings.ContainsRune("!#$%&'*+.^`|~", r)
}

// All yields the headers with their values.
func (h Headers) All() iter.Seq2[string, string] { return maps.All(h.values()) }

// Names returns the names, sorted.
func (h Headers) Names() []string { return slices.Sorted(maps.Keys(h.values())) }

// Equal reports whether both hold the same headers.
func (h Headers) Equal(other Headers) bool { return maps.Equal(h.values(), other.values()) }

func (h Headers) values() map[string]string {
	if h.open == nil {
		return nil
	}
	return h.open()
}
