package examples_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/tests/harness"
)

// receivers are the examples that receive webhooks; each says where once it does.
var receivers = map[string]func(t *testing.T, secrets string) *program{
	"javascript": func(t *testing.T, secrets string) *program {
		return run(t, []string{"WEBHOOK_SECRET=" + secrets}, harness.Need(t, "node"), javascript+"webhook.mjs", "0")
	},
	"rust": func(t *testing.T, secrets string) *program {
		return run(t, []string{"WEBHOOK_SECRET=" + secrets}, rust(t)+"/webhook", "127.0.0.1:0")
	},
}

var loopback = []string{"--webhook-allow-http", "--webhook-allow-cidr", "127.0.0.0/8", "--webhook-retry-initial", "50ms"}

const ownSecret = "a-secret-of-our-own-42" // no whsec_

// The receivers accept what the hub sends, with a secret of the hub's and with one of our own, across a rotation, each event
// once; and nothing that was changed, is old, or is signed by somebody else.
func TestReceivers(t *testing.T) {
	for name, start := range receivers {
		for kind, secret := range map[string]string{"standard": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "own": ownSecret} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				s := harness.Serve(t, loopback...)
				p := start(t, secret)
				_, url, _ := strings.Cut(p.await("receiving on"), "receiving on ")
				hook := s.Call(201, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"url":%q,"events":["note"],"secret":%q}`, url, secret))["id"].(string)
				copies := harness.NewReceiver(t, nil) // what the hub sends, for us to play with
				s.Call(201, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"url":%q,"events":["note"],"secret":%q}`, copies.URL, secret))

				want := publish(s, 0, 2)
				if got := sorted(p.ids(2)); !cmp.Equal(got, want) {
					t.Error(cmp.Diff(want, got))
				}
				d := copies.Await(t, "delivery", func(got []harness.Delivery) bool { return len(got) > 0 })[0]
				for attack, tt := range attacks {
					header, body := d.Header.Clone(), bytes.Clone(d.Body)
					if body = tt.change(header, body); tt.status != post(t, url, header, body) {
						t.Errorf("%s: not answered with %d", attack, tt.status)
					}
				}
				for age, want := range map[time.Duration]int{time.Minute: 204, 10 * time.Minute: 401, -10 * time.Minute: 401} {
					if header := signedAgain(d, secret, time.Now().Add(-age)); want != post(t, url, header, d.Body) {
						t.Errorf("signed rightly %v ago: not answered with %d", age, want)
					}
				}
				// Sent again by the hub, it is accepted and not handled again. A rotation's overlap needs nothing new.
				delivery := awaitDelivered(t, s, hook, 2)[0]["id"].(string)
				s.Call(202, "POST", "/api/v1/deliveries/"+delivery+"/redeliver", "")
				s.Call(200, "POST", "/api/v1/webhooks/"+hook+"/rotate-secret", "")
				want = publish(s, 2, 1)
				if got := p.ids(1); !cmp.Equal(got, want) {
					t.Errorf("handled %v; want %v", got, want)
				}
				awaitDelivered(t, s, hook, 3)
				p.kill()
				if more, ok := <-p.out; ok {
					t.Errorf("handled again: %s", more)
				}
			})
		}
	}
}

// awaitDelivered waits until the hub knows that n deliveries of a webhook have arrived, and returns them.
func awaitDelivered(t *testing.T, s *harness.Server, hook string, n int) []map[string]any {
	t.Helper()
	for over := time.Now().Add(harness.Patience); ; time.Sleep(5 * time.Millisecond) { // the hub does not announce them
		if got := s.List("/api/v1/webhooks/" + hook + "/deliveries?status=delivered"); len(got) >= n {
			return got
		}
		if time.Now().After(over) {
			t.Fatalf("no %d deliveries within %v", n, harness.Patience)
		}
	}
}

func sorted(ids []string) []string { slices.Sort(ids); return ids }

// attacks change a good delivery.
var attacks = map[string]struct {
	change func(h http.Header, body []byte) []byte
	status int
}{
	"nothing changed": {func(_ http.Header, b []byte) []byte { return b }, 204},
	"another body":    {func(_ http.Header, b []byte) []byte { return bytes.Replace(b, []byte("updated"), []byte("deleted"), 1) }, 401},
	"another ID": {func(h http.Header, b []byte) []byte {
		h.Set("webhook-id", "01980000-0000-7000-8000-999999999999")
		return b
	}, 401},
	"another time":        {func(h http.Header, b []byte) []byte { h.Set("webhook-timestamp", "1700000000"); return b }, 401},
	"no time":             {func(h http.Header, b []byte) []byte { h.Del("webhook-timestamp"); return b }, 401},
	"no signature":        {func(h http.Header, b []byte) []byte { h.Del("webhook-signature"); return b }, 401},
	"no second signature": {func(h http.Header, b []byte) []byte { h.Del("x-matric-signature"); return b }, 401},
	"short signature":     {func(h http.Header, b []byte) []byte { h.Set("webhook-signature", "v1,AAAA"); return b }, 401},
	"more signatures": {func(h http.Header, b []byte) []byte {
		h.Set("webhook-signature", "v2,AAAA v1,AAAA "+h.Get("webhook-signature"))
		return b
	}, 204},
}

// signedAgain returns the headers of a delivery as they were if it had been sent at another time.
func signedAgain(d harness.Delivery, secret string, at time.Time) http.Header {
	key := []byte(secret)
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		key, _ = base64.StdEncoding.DecodeString(encoded) // a constant of this test
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", d.ID(), stamp, d.Body) // to memory
	header := d.Header.Clone()
	header.Set("webhook-timestamp", stamp)
	header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return header
}

// post sends a delivery and returns the status.
func post(t *testing.T, url string, header http.Header, body []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	req.Header.Del("Accept-Encoding")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
