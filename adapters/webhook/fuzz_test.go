package webhook_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/webhook"
)

// Ranges that are read hold what net/netip finds in them, and are read again from their own form.
func FuzzParseRanges(f *testing.F) {
	for _, seed := range []string{
		"10.0.0.0/8, 127.0.0.1", "::ffff:10.1.2.3/104", "::ffff:10.1.2.3/95", "fe80::1%eth0", "fe80::1%eth0/64", "0.0.0.0/0,::/0", "10.1.2.3/8", "010.0.0.1", "1.2.3", "[::1]", "/8", ",", "::ffff:1.2.3.4",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		ranges, err := webhook.ParseRanges(list)
		if err != nil {
			if ranges != nil {
				t.Fatalf("%v beside an error", ranges)
			}
			return
		}
		texts := make([]string, len(ranges))
		for i, p := range ranges {
			texts[i] = p.String()
			if !p.IsValid() || p != p.Masked() || p.Addr().Zone() != "" {
				t.Fatalf("%q holds %v", list, p)
			}
		}
		if again, err := webhook.ParseRanges(strings.Join(texts, ",")); err != nil || !slices.Equal(again, ranges) {
			t.Fatalf("%q is %v, which reads as %v, %v", list, ranges, again, err)
		}
		// Addresses are compared without their IPv6 notation, so no range may need it to match.
		given := slices.DeleteFunc(strings.Split(list, ","), func(s string) bool { return strings.TrimSpace(s) == "" })
		for i, s := range given {
			addr, err := netip.ParseAddr(strings.TrimSpace(s))
			if err == nil && !ranges[i].Contains(addr.Unmap().WithZone("")) {
				t.Fatalf("%s is not in %v", addr, ranges[i])
			}
		}
	})
}

// Whatever the notation of an address: what net/netip knows to be within a machine or a network of its own, and what leads
// there, is blocked; and no range that is opened brings the metadata services with it.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		"127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1", "2001:0:808:808::80ff:fffe", "fe80::5efe:7f00:1", "fd00:ec2::254", "8.8.8.8", "2606:4700::1111", "::", "::1",
	} {
		addr := netip.MustParseAddr(seed).As16()
		f.Add(addr[:])
	}
	closed := webhook.NewGuard(nil)
	opened := webhook.NewGuard([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
	metadata := []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fd00:ec2::/32")}
	f.Fuzz(func(t *testing.T, raw []byte) {
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		plain := addr.Unmap()
		if closed.Blocked(addr) != closed.Blocked(plain) || closed.Blocked(addr) != closed.Blocked(netip.AddrFrom16(addr.As16())) || closed.Blocked(addr) != closed.Blocked(plain.WithZone("eth0")) {
			t.Fatalf("%s is blocked in one notation and not in another", addr)
		}
		if opened.Blocked(addr) && !closed.Blocked(addr) {
			t.Fatalf("%s is blocked since everything was opened", addr)
		}
		inside := !plain.IsGlobalUnicast() || plain.IsPrivate()
		if b := plain.As16(); slices.Equal(b[:12], []byte{0, 0x64, 0xff, 0x9b, 11: 0}) {
			v4 := netip.AddrFrom4([4]byte(b[12:]))
			inside = inside || !v4.IsGlobalUnicast() || v4.IsPrivate()
		}
		if inside && !closed.Blocked(addr) {
			t.Fatalf("%s is not blocked", addr)
		}
		if slices.ContainsFunc(metadata, func(p netip.Prefix) bool { return p.Contains(plain) }) && !opened.Blocked(addr) {
			t.Fatalf("%s of the metadata services is not blocked", addr)
		}
	})
}
