package webhook_test

import (
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/matric/matric-events/adapters/webhook"
	dw "github.com/matric/matric-events/domain/webhook"
)

// ok says that the connection ends, as it does: otherwise the next attempt may find one that is about to.
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// hosts are ways to write an address of this machine or of a metadata service.
var hosts = []string{
	"127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "127.000.000.001",
	"0", "0.0.0.0", "0x0", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]",
	"[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "169.254.169.254", "2852039166", "0xa9fea9fe", "[::ffff:a9fe:a9fe]",
	"[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "192.0.0.192", "[fe80::1]", "[ff02::1]",
	"224.0.0.1", "255.255.255.255", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "[fc00::1]",
}

func TestNoNotationReachesAReceiverHere(t *testing.T) {
	r := receive(t, answer(ok, closeNow))
	s := sender(t, webhook.Options{})
	for _, host := range hosts {
		url := "http://" + host + ":" + r.port() + "/"
		if _, err := dw.ParseURL(url, dw.Rules{AllowHTTP: true, Blocked: s.Guard().Blocked}); err == nil {
			t.Errorf("%s passes when the webhook is created", host)
		}
		if o := s.Send(t.Context(), request(t, url)); o.Class() != dw.ClassBlockedAddress {
			t.Errorf("%s: %q, %+v", host, o.Class(), o)
		}
	}
	if n := r.accepts.Load(); n != 0 {
		t.Errorf("%d connections reached the receiver", n)
	}

	// The receiver is there, and these notations do mean it: with the range opened they arrive.
	s = sender(t, webhook.Options{AllowCIDR: loopback})
	for _, host := range []string{"127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "[::ffff:127.0.0.1]"} {
		if o := s.Send(t.Context(), request(t, "http://"+host+":"+r.port()+"/")); !o.Success() {
			t.Errorf("%s with loopback opened: %q, %+v", host, o.Class(), o)
		}
	}
	if r.accepts.Load() == 0 {
		t.Error("the receiver counts nothing")
	}
}

func TestNoNameReachesAReceiverHere(t *testing.T) {
	r := receive(t, answer(ok, closeNow))
	for _, addr := range []string{"127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "169.254.169.254", "168.63.129.16"} {
		answerAddr := netip.MustParseAddr(addr)
		s := sender(t, webhook.Options{Resolver: resolver(func() netip.Addr { return answerAddr })})
		if o := s.Send(t.Context(), request(t, "http://innocent.example:"+r.port()+"/")); o.Class() != dw.ClassBlockedAddress {
			t.Errorf("a name for %s: %q, %+v", addr, o.Class(), o)
		}
	}
	if n := r.accepts.Load(); n != 0 {
		t.Errorf("%d connections reached the receiver", n)
	}
	s := sender(t, webhook.Options{AllowCIDR: loopback, Resolver: resolver(func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })})
	if o := s.Send(t.Context(), request(t, "http://innocent.example:"+r.port()+"/")); !o.Success() || r.accepts.Load() != 1 {
		t.Errorf("with loopback opened: %q, %+v", o.Class(), o)
	}
}

// The name resolves to a public address when somebody checks it, and to this machine when it is connected to.
func TestRebindingGainsNothing(t *testing.T) {
	r := receive(t, answer(ok, closeNow))
	var lookups atomic.Int64
	names := resolver(func() netip.Addr {
		if lookups.Add(1) == 1 {
			return netip.MustParseAddr("8.8.8.8")
		}
		return netip.MustParseAddr("127.0.0.1")
	})
	s := sender(t, webhook.Options{Resolver: names})
	addrs, err := names.LookupNetIP(t.Context(), "ip4", "rebind.example")
	if err != nil || s.Guard().Blocked(addrs[0]) {
		t.Fatalf("the check before: %v, %v", addrs, err)
	}
	if o := s.Send(t.Context(), request(t, "http://rebind.example:"+r.port()+"/")); o.Class() != dw.ClassBlockedAddress {
		t.Errorf("%q, %+v", o.Class(), o)
	}
	if n := r.accepts.Load(); n != 0 || lookups.Load() < 2 {
		t.Errorf("%d connections reached the receiver after %d look-ups", n, lookups.Load())
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	target := receive(t, answer(ok, closeNow))
	s := sender(t, webhook.Options{AllowCIDR: loopback}) // even where the target is allowed
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.url(), status) })
		if o := s.Send(t.Context(), request(t, srv.URL)); o.Class() != dw.ClassRedirect || o.StatusCode != status {
			t.Errorf("%d: %+v", status, o)
		}
	}
	if n := target.accepts.Load(); n != 0 {
		t.Errorf("%d connections reached the target", n)
	}
}

// TestMain has set proxies. net/http would not use them for a loopback address in any case, but for a name.
func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	r := receive(t, answer(ok, closeNow))
	s := sender(t, webhook.Options{
		AllowCIDR: loopback,
		Resolver:  resolver(func() netip.Addr { return netip.MustParseAddr("127.0.0.1") }),
	})
	if o := s.Send(t.Context(), request(t, "http://receiver.example:"+r.port()+"/")); !o.Success() {
		t.Errorf("%+v", o)
	}
}
