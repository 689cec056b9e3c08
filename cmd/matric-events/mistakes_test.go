package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each mistake names the flag that it is in; more of them are in tests/e2e.
func TestMistakes(t *testing.T) {
	db := "--database-url=sqlite:" + t.TempDir() + "/new.db"
	for args, want := range map[string]string{
		"":                                     "Usage: matric-events <command>",
		"serve --auth-tokens-file=/nowhere":    "--auth-tokens-file: ",
		"serve --allowed-origins=hub.example":  "--allowed-origins: ",
		"serve --bus-capacity=99999999999":     "--bus-capacity: must be at most ",
		"tail --timeout=-5s":                   "--timeout: ",
		"migrate down " + db:                   "the database is empty",
		"webhook listen --status=42":           "--status: must be from 200 to 599",
		"webhook listen --register --url=here": "url: want a URL",
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &out, &errs); code != 1 || !strings.Contains(errs.String(), want) || out.Len() > 0 {
			t.Errorf("%s = %d, %q, %q; want 1 and %q", args, code, out.String(), errs.String(), want)
		}
	}
}

func TestVerifyAsksForWhatAV1SignatureNeeds(t *testing.T) {
	c := WebhookVerifyCmd{Secret: "a secret of my own", Signature: "v1,AAAA"}
	if err := c.check(nil, time.Unix(1764000000, 0)); err == nil || !strings.Contains(err.Error(), "--id and --timestamp") {
		t.Errorf("check = %v", err)
	}
}

// brokenPipe is an output whose reader has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// "webhook listen --register | head" deletes its webhook, too.
func TestListenEndsWithItsReader(t *testing.T) {
	deleted := make(chan string, 1)
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			deleted <- r.URL.Path
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, target, _ := strings.Cut(string(body), `"url":"`)
		target, _, _ = strings.Cut(target, `"`)
		fmt.Fprint(w, `{"id":"7","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`)
		go func() { // as soon as it receives: the listener is open already
			if resp, err := http.Post(target, "application/json", strings.NewReader(`{}`)); err == nil {
				_ = resp.Body.Close()
			}
		}()
	}))
	defer hub.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := WebhookListenCmd{HubFlags: HubFlags{URL: hub.URL}, Listen: "127.0.0.1:0", Register: true, Status: 200}
	if err := c.Run(ctx, console{brokenPipe{}, io.Discard}); err != nil {
		t.Errorf("Run = %v", err)
	}
	if ctx.Err() != nil {
		t.Fatal("it went on without its reader")
	}
	if path := <-deleted; path != "/api/v1/webhooks/7" {
		t.Errorf("deleted %s", path)
	}
}
