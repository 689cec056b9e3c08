package webhook

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

const (
	maxHost  = 253 // RFC 1035, section 2.3.4, in text
	maxLabel = 63
)

// canonicalHost checks the host of a URL and returns the form that is dialed: an address in its usual notation, or a name
// in lower case.
func canonicalHost(host string, bracketed bool, blocked func(netip.Addr) bool) (string, error) {
	addr, isAddr, err := literal(host, bracketed)
	switch {
	case err != nil:
		return "", err
	case !isAddr:
		return name(host)
	case blocked != nil && blocked(addr):
		return "", badURL("is an address that the server does not connect to: it is not public")
	}
	return addr.String(), nil
}

// literal reads a host that is an IP address, and reports whether it is one.
func literal(host string, bracketed bool) (netip.Addr, bool, error) {
	if bracketed {
		addr, err := netip.ParseAddr(host)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return netip.Addr{}, false, badURL("must have an IPv6 address without a zone between the brackets")
		}
		return addr, true, nil
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	if !numeric(labels[len(labels)-1]) {
		return netip.Addr{}, false, nil
	}
	addr, ok := parseIPv4(labels)
	if !ok {
		return netip.Addr{}, false, badURL("has a host that ends in a number but is no IPv4 address")
	}
	return addr, true, nil
}

// numeric reports whether a host that ends in this label is taken for an IPv4 address (WHATWG URL, "ends in a number
// checker").
func numeric(label string) bool {
	if len(label) >= 2 && strings.EqualFold(label[:2], "0x") {
		return strings.Trim(label[2:], "0123456789abcdefABCDEF") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// parseIPv4 reads one to four numbers, the last of which fills all bytes that are left (WHATWG URL, "IPv4 parser", which
// agrees with inet_aton).
func parseIPv4(labels []string) (netip.Addr, bool) {
	if len(labels) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, label := range labels {
		n, ok := parsePart(label)
		width := 8
		if i == len(labels)-1 {
			width = 8 * (5 - len(labels))
		}
		if !ok || n >= 1<<width {
			return netip.Addr{}, false
		}
		value = value<<width | n
	}
	var bytes [4]byte
	binary.BigEndian.PutUint32(bytes[:], uint32(value))
	return netip.AddrFrom4(bytes), true
}

// parsePart reads a decimal, octal (leading 0) or hexadecimal (leading 0x, which alone is zero) number.
func parsePart(s string) (uint64, bool) {
	digits, base := s, 10
	switch {
	case len(s) >= 2 && strings.EqualFold(s[:2], "0x"):
		if digits, base = s[2:], 16; digits == "" {
			return 0, true
		}
	case len(s) >= 2 && s[0] == '0':
		digits, base = s[1:], 8
	}
	n, err := strconv.ParseUint(digits, base, 33)
	return n, err == nil
}

// name checks a DNS name. Names are ASCII: what maps other characters to ASCII on the way to the resolver maps fullwidth
// and circled digits too, and an address would come out of what looked like a name.
func name(host string) (string, error) {
	if len(host) > maxHost {
		return "", badURL("has a host of more than %d characters", maxHost)
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > maxLabel {
			return "", badURL("has a host with an empty or overlong part")
		}
		if strings.ContainsFunc(label, notInName) {
			return "", badURL("has a host with characters other than letters, digits, - and _; write an international name in its xn-- form")
		}
	}
	return strings.ToLower(host), nil
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}
