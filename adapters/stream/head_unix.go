//go:build unix

package stream

import (
	"bytes"
	"strings"
)

// ordinary reports whether a head is written so that everybody reads it alike: lines that end with CRLF, fields whose names
// are tokens and go up to the colon, values in one line and without control characters, and version 1.1 of HTTP (RFC 9112
// sections 2.2, 3 and 5). Anything else is for the HTTP server, which refuses it or knows what it means.
func ordinary(head []byte) bool {
	line, rest, _ := bytes.Cut(head, crlf)
	if !bytes.HasSuffix(line, []byte(" HTTP/1.1")) || bytes.Count(line, []byte{' '}) != 2 || !printable(line) {
		return false
	}
	for len(rest) > len(crlf) {
		line, rest, _ = bytes.Cut(rest, crlf)
		name, _, found := bytes.Cut(line, []byte{':'})
		if !found || !token(name) || !printable(line) {
			return false
		}
	}
	return true
}

var crlf = []byte("\r\n")

// printable reports whether bytes are no control characters, but for tabs.
func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7F {
			return false
		}
	}
	return true
}

// token reports whether bytes are one (RFC 9110 section 5.6.2), of those that names of fields are made of.
func token(b []byte) bool {
	for _, c := range b {
		if !alphanumeric(c) && c != '-' && c != '_' {
			return false
		}
	}
	return len(b) > 0
}

// ordinaryHost reports whether a Host is a name or an address, with or without a port.
func ordinaryHost(host string) bool {
	for i := range len(host) {
		if !alphanumeric(host[i]) && !strings.Contains(".-_:[]", host[i:i+1]) {
			return false
		}
	}
	return host != ""
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
