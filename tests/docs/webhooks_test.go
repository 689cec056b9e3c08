package docs_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness"
)

// list returns the objects of an array.
func (a answer) list(t *testing.T) (objects []map[string]any) {
	t.Helper()
	if err := json.Unmarshal(a.body, &objects); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return objects
}

// subscribe makes a webhook for notes and returns its path.
func (c *client) subscribe(url string) (path string) {
	c.t.Helper()
	a := c.call(201, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"url":%q,"events":["note"]}`, url))
	path = a.header.Get("Location")
	c.t.Cleanup(func() { c.call(204, "DELETE", path, "") })
	return path
}

// delivery returns the path of the only delivery of a webhook, once it has the status.
func (c *client) delivery(hook, status string) (path string) {
	c.t.Helper()
	for deadline := time.Now().Add(harness.Patience); ; time.Sleep(5 * time.Millisecond) { // the server does not announce it
		list := c.call(200, "GET", hook+"/deliveries", "").list(c.t)
		if len(list) == 1 && list[0]["status"] == status {
			return "/api/v1/deliveries/" + list[0]["id"].(string)
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("no delivery is %s within %v: %v", status, harness.Patience, list)
		}
	}
}

func (c *client) touchNote() {
	c.t.Helper()
	c.call(202, "POST", "/api/v1/note-events", `{"operation":"updated","note_id":"`+exampleNote+`"}`)
}

func callWebhooks(c *client) {
	const hooks = "/api/v1/webhooks"
	to := harness.NewReceiver(c.t, nil)
	made := c.call(201, "POST", hooks, fmt.Sprintf(`{"url":%q,"events":["job_failed","QueueStatus","future"],"secret":"sixteen letters!","max_retries":0,
		"description":"d","headers":{"X-Key":"k","Authorization":"Bearer b"},"is_active":false}`, to.URL+"/path?q=1"))
	hook := hooks + "/" + made.ID()
	c.call(200, "GET", hook, "")
	c.call(200, "GET", hooks, "")
	c.call(200, "POST", hook+"/test", "", traced)
	c.call(200, "GET", hook, "") // has been triggered now
	c.call(200, "PATCH", hook, `{"events":[],"headers":{},"max_retries":20,"is_active":true}`)
	c.call(200, "POST", hook+"/rotate-secret", "")
	// every overlap keeps a secret, and there is room for only so many
	for status := 200; status == 200; {
		res, err := http.DefaultClient.Do(c.request("POST", hook+"/rotate-secret", `{"overlap_seconds":60}`))
		if err != nil {
			c.t.Fatal(err)
		}
		status = res.StatusCode
		_ = res.Body.Close() // the next call looks at one
	}
	c.call(409, "POST", hook+"/rotate-secret", `{"overlap_seconds":60}`)
	c.call(200, "POST", hook+"/rotate-secret", `{"overlap_seconds":0}`)
	c.call(204, "DELETE", hook, "")
}

func callDeliveries(c *client) {
	c.t.Run("delivered", func(t *testing.T) {
		c := &client{c.checker, t, c.url}
		hook := c.subscribe(harness.NewReceiver(t, nil).URL)
		c.touchNote()
		path := c.delivery(hook, "delivered")
		c.call(200, "GET", path, "")
		c.call(202, "POST", path+"/redeliver", "")
		c.call(202, "POST", hook+"/redeliver", `{"status":"delivered","since":"2026-11-23T00:00:00+01:00"}`)
		c.call(202, "POST", hook+"/redeliver", "")
		c.call(200, "POST", hook+"/test", "")
		first := c.call(200, "GET", hook+"/deliveries?limit=1&status=delivered,pending,in_flight&event_type=note,job.completed", "")
		c.call(200, "GET", first.next(t), "")
	})
	c.t.Run("to be tried again", func(t *testing.T) {
		c := &client{c.checker, t, c.url}
		hook := c.subscribe(harness.NewReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Retry-After", "300")
			http.Error(w, "come back later", http.StatusServiceUnavailable)
		}).URL)
		c.touchNote()
		c.call(200, "GET", c.delivery(hook, "pending"), "")
		c.call(200, "POST", hook+"/test", "")
	})
	c.t.Run("gone", func(t *testing.T) {
		c := &client{c.checker, t, c.url}
		hook := c.subscribe(harness.NewReceiver(t, harness.Status(http.StatusGone)).URL)
		c.touchNote()
		c.call(200, "GET", c.delivery(hook, "dead"), "")
		if got := c.call(200, "GET", hook, "").object["disabled_reason"]; got != "gone" {
			t.Errorf("disabled_reason = %v", got)
		}
		c.call(202, "POST", hook+"/redeliver", `{"status":"dead"}`)
	})
	c.t.Run("in flight", func(t *testing.T) {
		c := &client{c.checker, t, c.url}
		to := harness.NewReceiver(t, harness.Hang)
		hook := c.subscribe(to.URL)
		c.touchNote()
		path := c.delivery(hook, "in_flight")
		to.Await(t, "attempt", func(got []harness.Delivery) bool { return len(got) > 0 })
		c.call(409, "POST", path+"/redeliver", "")
		c.call(200, "GET", path, "")
	})
	c.t.Run("without an answer", func(t *testing.T) {
		c := &client{c.checker, t, c.url}
		hook := c.subscribe(harness.NewReceiver(t, harness.Reset).URL)
		if got := c.call(200, "POST", hook+"/test", "").object["error_class"]; got != "reset" {
			t.Errorf("error_class = %v", got)
		}
	})
}
