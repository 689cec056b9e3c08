package docs_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestCheckerIsStrict has the checker refuse answers that are off by one thing.
func TestCheckerIsStrict(t *testing.T) {
	const (
		hook = `{"id":"019ab1f0-0000-7000-8000-000000000000","url":"https://hooks.example.com","events":[],"is_active":true,` +
			`"created_at":"2026-11-23T12:41:48.123Z","updated_at":"2026-11-23T12:41:48.123Z","last_triggered_at":null,"failure_count":0,` +
			`"max_retries":11,"description":"","headers":[]}`
		poll = `{"events":[{"type":"QueueStatus","occurred_at":"2026-11-23T12:41:48.123Z","total_jobs":0,"running":0,"pending":0}],` +
			`"cursor":"019ab1f0-0000-7000-8000-000000000000","truncated":false,"has_more":false}`
	)
	c := newChecker(t)
	for name, tt := range map[string]struct {
		path, body, from, to string
		status               int
		header               string
		ok                   bool
	}{
		"webhook as it is":         {path: "/api/v1/webhooks/" + nobody, body: hook, ok: true},
		"member more":              {path: "/api/v1/webhooks/" + nobody, body: hook, from: `"id"`, to: `"secret":"sixteen letters!","id"`},
		"member less":              {path: "/api/v1/webhooks/" + nobody, body: hook, from: `,"headers":[]`},
		"identifier in upper case": {path: "/api/v1/webhooks/" + nobody, body: hook, from: "019ab", to: "019AB"},
		"time without millis":      {path: "/api/v1/webhooks/" + nobody, body: hook, from: ".123Z", to: "Z"},
		"unknown type":             {path: "/api/v1/webhooks/" + nobody, body: hook, from: `"events":[]`, to: `"events":["JobLost"]`},
		"status":                   {path: "/api/v1/webhooks/" + nobody, body: hook, status: 418},
		"header more":              {path: "/api/v1/webhooks/" + nobody, body: hook, header: "X-Powered-By"},
		"poll as it is":            {path: "/api/v1/events/poll", body: poll, ok: true},
		"event of an eighth type":  {path: "/api/v1/events/poll", body: poll, from: "QueueStatus", to: "Custom"},
		"event with a member more": {path: "/api/v1/events/poll", body: poll, from: `"running"`, to: `"job_id":null,"running"`},
		"null":                     {path: "/api/v1/events/poll", body: poll, from: `"cursor":"019ab1f0-0000-7000-8000-000000000000"`, to: `"cursor":null`},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+tt.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			body := strings.Replace(tt.body, tt.from, tt.to, 1)
			if tt.from != "" && body == tt.body {
				t.Fatal("the test changes nothing")
			}
			res := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}}
			if strings.HasSuffix(tt.path, "poll") {
				res.Header.Set("Cache-Control", "no-store")
			}
			if tt.header != "" {
				res.Header.Set(tt.header, "any")
			}
			if tt.status != 0 {
				res.StatusCode = tt.status
			}
			if _, err := c.check(t.Context(), exchange{req, nil, res, []byte(body)}); (err == nil) != tt.ok {
				t.Errorf("check = %v", err)
			}
		})
	}
}
