package retry

import (
	"strconv"
	"strings"
	"time"
)

// MaxAfter is the longest Retry-After that is honoured; what asks for more gets this.
const MaxAfter = 24 * time.Hour

// dateLayouts are the three forms of an HTTP date (RFC 9110, section 5.6.7).
var dateLayouts = []string{
	"Mon, 02 Jan 2006 15:04:05 GMT",
	"Monday, 02-Jan-06 15:04:05 GMT",
	time.ANSIC,
}

// After reads a Retry-After header (RFC 9110, section 10.2.3), seconds or a date, and returns how long from now it asks to
// wait: at least zero, at most MaxAfter. It reports false for anything else, which is to be ignored.
func After(header string, now time.Time) (time.Duration, bool) {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0, false
	}
	if strings.Trim(header, "0123456789") == "" {
		seconds, err := strconv.ParseUint(header, 10, 64)
		if err != nil || seconds > uint64(MaxAfter/time.Second) {
			return MaxAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	for _, layout := range dateLayouts {
		if at, err := time.Parse(layout, header); err == nil {
			return min(max(at.Sub(now), 0), MaxAfter), true
		}
	}
	return 0, false
}
