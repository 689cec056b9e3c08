package webhook_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/adapters/webhook"
)

func TestGuard(t *testing.T) {
	ranges := func(texts ...string) []netip.Prefix {
		list, err := webhook.ParseRanges(texts...)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	closed := webhook.NewGuard(nil)
	everything := webhook.NewGuard(ranges("0.0.0.0/0,::/0"))
	for _, tt := range []struct {
		addr       string
		closed     bool // blocked by default
		everything bool // blocked when the operator opens everything
	}{
		{"8.8.8.8", false, false},
		{"2606:4700::1111", false, false},
		{"::ffff:8.8.8.8", false, false},

		{"127.0.0.1", true, false},
		{"::1", true, false},
		{"10.0.0.1", true, false},
		{"172.16.0.1", true, false},
		{"192.168.0.1", true, false},
		{"100.64.0.1", true, false},
		{"198.18.0.1", true, false},
		{"240.0.0.1", true, false},
		{"::ffff:127.0.0.1", true, false},
		{"::ffff:10.0.0.1", true, false},
		{"fc00::1", true, false},
		{"fec0::1", true, false},
		{"2001:db8::1", true, false},
		{"64:ff9b::808:808", true, false},
		{"64:ff9b::7f00:1", true, false},
		{"64:ff9b:1::808:808", true, false},
		{"2002:808:808::1", true, false},
		{"2002:7f00:1::1", true, false},
		{"2001:0:808:808::f7f7:f7f7", true, false},
		{"::8.8.8.8", true, false},
		{"::ffff:0:8.8.8.8", true, false},
		{"2a00:1450::5efe:8.8.8.8", false, false},
		{"2a00:1450::5efe:10.0.0.1", true, false},
		{"2a00:1450::200:5efe:10.0.0.1", true, false},

		{"0.0.0.0", true, true},
		{"0.1.2.3", true, true},
		{"::", true, true},
		{"169.254.169.254", true, true},
		{"169.254.170.2", true, true},
		{"100.100.100.200", true, true},
		{"168.63.129.16", true, true},
		{"192.0.0.192", true, true},
		{"fd00:ec2::254", true, true},
		{"fd20:ce::254", true, true},
		{"fe80::1", true, true},
		{"fe80::a9fe:a9fe%eth0", true, true},
		{"224.0.0.1", true, true},
		{"255.255.255.255", true, true},
		{"ff02::1", true, true},
		{"::ffff:169.254.169.254", true, true},
		{"::ffff:168.63.129.16", true, true},
		{"::ffff:0:0", true, true},
		{"::169.254.169.254", true, true},
		{"::ffff:0:169.254.169.254", true, true},
		{"64:ff9b::a9fe:a9fe", true, true},
		{"64:ff9b::6464:64c8", true, true},
		{"64:ff9b::a83f:8110", true, true},
		{"64:ff9b:1::a9fe:a9fe", true, true},
		{"64:ff9b:1:a9fe:a9:fe00::", true, true},
		{"64:ff9b:1:0a9:fe:a9fe::", true, true},
		{"64:ff9b:1:0:a9:fea9:fe00:0", true, true},
		{"2002:a9fe:a9fe::1", true, true},
		{"2002:c000:c0::1", true, true},
		{"2001:0:a9fe:a9fe::1", true, true},
		{"2001:0:808:808::5601:5601", true, true},
		{"2a00:1450::5efe:169.254.169.254", true, true},
	} {
		addr := netip.MustParseAddr(tt.addr)
		if got := closed.Blocked(addr); got != tt.closed {
			t.Errorf("by default: Blocked(%s) = %v", addr, got)
		}
		if got := everything.Blocked(addr); got != tt.everything {
			t.Errorf("with everything opened: Blocked(%s) = %v", addr, got)
		}
	}
	if !everything.Blocked(netip.Addr{}) {
		t.Error("no address at all passes")
	}
}

// A range that is opened for one reason opens nothing else, not even in another notation.
func TestGuardOpensOnlyWhatIsOpened(t *testing.T) {
	allow, err := webhook.ParseRanges("10.1.0.0/16", "64:ff9b::/96", "fd12::/16", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	g := webhook.NewGuard(allow)
	for addr, blocked := range map[string]bool{
		"10.1.2.3":           false,
		"::ffff:10.1.2.3":    false,
		"10.2.0.1":           true,
		"127.0.0.1":          false,
		"127.0.0.2":          true,
		"fd12::1":            false,
		"fd13::1":            true,
		"64:ff9b::808:808":   false, // NAT64 of a public address
		"64:ff9b::a01:203":   false, // NAT64 of an opened one
		"64:ff9b::a02:1":     true,  // NAT64 of a private one
		"64:ff9b::a9fe:a9fe": true,
		"::1":                true,
	} {
		if got := g.Blocked(netip.MustParseAddr(addr)); got != blocked {
			t.Errorf("Blocked(%s) = %v", addr, got)
		}
	}
}

func TestParseRanges(t *testing.T) {
	got, err := webhook.ParseRanges("10.0.0.0/8, 192.168.1.7/24", "", "::1,fe80::1%eth0", "::ffff:10.0.0.0/104", "::/0")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, p := range got {
		texts = append(texts, p.String())
	}
	want := []string{"10.0.0.0/8", "192.168.1.0/24", "::1/128", "fe80::1/128", "10.0.0.0/8", "::/0"}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"10.0.0.0/33", "localhost", "10/8", "10.0.0.0-10.0.0.9"} {
		if _, err := webhook.ParseRanges(bad); err == nil {
			t.Errorf("%q is a range", bad)
		}
	}
}
