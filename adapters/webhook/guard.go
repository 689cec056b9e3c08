package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"
)

// errBlocked is why a connection is not made. It comes out of the dialer wrapped.
var errBlocked = errors.New("the address is not one that may be connected to")

// Addresses that no operator can open.
var (
	// metadata are the services that give a cloud's credentials to whoever asks from inside. Link-local ranges go as a
	// whole, because nearly every cloud has its own in them.
	metadata = prefixes(
		"169.254.0.0/16",     // link-local, RFC 3927
		"100.100.100.200/32", // Alibaba Cloud
		"168.63.129.16/32",   // Azure: looks public, and is not
		"192.0.0.192/32",     // Oracle Cloud
		"fe80::/10",          // link-local, RFC 4291
		"fd00:ec2::/32",      // AWS, its other instance services too
		"fd20:ce::254/128",   // Google Cloud
	)
	// nowhere are those that name no one receiver. Some systems take the unspecified ones for this machine.
	nowhere = prefixes("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "ff00::/8")
)

// A Guard knows which addresses may be connected to: those that are public by the registries of IANA, and the ranges that
// the operator opens; never a metadata service. An address that carries an IPv4 address inside, as those of NAT64 and
// 6to4 do, must pass for itself and for what it carries. The zero Guard is not usable; see NewGuard.
type Guard struct{ public *ssrf.Guardian }

// NewGuard returns a Guard that passes public addresses and the ranges given.
func NewGuard(allow []netip.Prefix) *Guard {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	return &Guard{ssrf.New(ssrf.WithAnyPort(), ssrf.WithAnyNetwork(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))}
}

// ParseRanges reads ranges as an operator writes them: 10.0.0.0/8, a single address, and several in one string with commas
// between.
func ParseRanges(lists ...string) ([]netip.Prefix, error) {
	var ranges []netip.Prefix
	for _, list := range lists {
		for text := range strings.SplitSeq(list, ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			p, err := parseRange(text)
			if err != nil {
				return nil, fmt.Errorf("webhook: address range %q: want an IP address or CIDR such as 10.0.0.0/8", text)
			}
			ranges = append(ranges, p)
		}
	}
	return ranges, nil
}

// parseRange returns the masked prefix, and an IPv4 one for an IPv6 notation of IPv4: addresses are compared that way.
func parseRange(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		p = netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// Blocked reports whether addr must not be connected to.
func (g *Guard) Blocked(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return g.refused(addr) || slices.ContainsFunc(carried(addr), g.refused) ||
		slices.ContainsFunc(maybeCarried(addr), func(a netip.Addr) bool { return within(metadata, a) })
}

func (g *Guard) refused(a netip.Addr) bool {
	return !a.IsValid() || within(metadata, a) || within(nowhere, a) || g.public.SafeAddr(a) != nil
}

// control is a net.Dialer's ControlContext: it sees each address in the last moment before the connection is made.
func (g *Guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || g.Blocked(target.Addr()) {
		return fmt.Errorf("%w: %s", errBlocked, address)
	}
	return nil
}

// Prefixes of IPv6 addresses that stand for IPv4 ones.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291, section 2.5.5.1
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
)

// carried returns the IPv4 addresses that an IPv6 address stands for on some networks.
func carried(addr netip.Addr) []netip.Addr {
	switch {
	case !addr.Is6() || addr == netip.IPv6Loopback():
		return nil
	case nat64.Contains(addr), translated.Contains(addr), compatible.Contains(addr), isatap(addr):
		return inner(addr, [4]int{12, 13, 14, 15})
	case sixToFour.Contains(addr):
		return inner(addr, [4]int{2, 3, 4, 5})
	case teredo.Contains(addr): // the server, and the client with its bits turned (section 4)
		b := addr.As16()
		client := netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
		return append(inner(addr, [4]int{4, 5, 6, 7}), client)
	}
	return nil
}

// maybeCarried returns the IPv4 addresses that one of a local NAT64 stands for, by each length that its prefix may have
// (RFC 6052, section 2.2). At most one of them is meant, so they are good for recognising the worst only.
func maybeCarried(addr netip.Addr) []netip.Addr {
	if !nat64Local.Contains(addr) {
		return nil
	}
	return inner(addr, [4]int{6, 7, 9, 10}, [4]int{7, 9, 10, 11}, [4]int{9, 10, 11, 12}, [4]int{12, 13, 14, 15})
}

// isatap recognises the interface identifier of RFC 5214, section 6.1, under any prefix.
func isatap(addr netip.Addr) bool {
	b := addr.As16()
	return b[8]&^3 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// inner returns the IPv4 addresses made of the bytes at these places.
func inner(addr netip.Addr, places ...[4]int) []netip.Addr {
	b := addr.As16()
	list := make([]netip.Addr, len(places))
	for i, p := range places {
		list[i] = netip.AddrFrom4([4]byte{b[p[0]], b[p[1]], b[p[2]], b[p[3]]})
	}
	return list
}

func within(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}
