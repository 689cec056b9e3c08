package httpapi_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/adapters/httpapi"
)

func TestWebhook(t *testing.T) {
	r := open(t, nil)
	made := r.create(t, hooksPath, `{"url":"https://receiver.example/in?k=v","events":["job.completed","JobFailed","shoes"],"max_retries":3,
		"description":"d","headers":{"X-Key":"hunter2","Authorization":"Bearer hunter2"},"is_active":false}`)
	want := object{
		"url": "https://receiver.example/in?k=v", "events": []any{"JobCompleted", "JobFailed"}, "is_active": false, "failure_count": 0.0,
		"max_retries": 3.0, "description": "d", "headers": []any{"Authorization", "X-Key"}, "last_triggered_at": nil,
	}
	shape := func(o object, more ...string) {
		t.Helper()
		if diff := cmp.Diff(want, without(t, o, append(more, "id", "created_at", "updated_at")...)); diff != "" {
			t.Errorf("webhook (-want +got):\n%s", diff)
		}
		if strings.Contains(fmt.Sprint(o), "hunter2") {
			t.Errorf("a header's value is shown: %v", o)
		}
	}
	shape(made, "secret")
	secret := made["secret"].(string)
	if !strings.HasPrefix(secret, "whsec_") {
		t.Errorf("secret %q", secret)
	}
	path := hooksPath + "/" + made["id"].(string)
	var got object
	r.call(t, "GET", path, "", http.StatusOK, &got)
	shape(got)
	want["events"], want["is_active"], want["headers"], want["description"] = []any{}, true, []any{}, ""
	got = nil
	r.call(t, "PATCH", path, `{"events":[],"is_active":true,"headers":{},"description":"","url":null}`, http.StatusOK, &got)
	shape(got)
	var list []object
	r.call(t, "GET", hooksPath, "", http.StatusOK, &list)
	if len(list) != 1 {
		t.Fatalf("%d webhooks", len(list))
	}
	shape(list[0])
	for _, body := range []string{"", "{}", "null", `{"overlap_seconds":0}`} {
		got = nil
		r.call(t, "POST", path+"/rotate-secret", body, http.StatusOK, &got)
		shape(got, "secret")
		if got["secret"] == secret {
			t.Error("the secret stays the same")
		}
		secret = got["secret"].(string)
		if body != `{"overlap_seconds":0}` {
			r.call(t, "POST", path+"/rotate-secret", `{"overlap_seconds":0}`, http.StatusOK, nil)
		}
	}
	r.call(t, "DELETE", path, "", http.StatusNoContent, nil)
	r.call(t, "GET", path, "", http.StatusNotFound, nil)
	if w := r.call(t, "GET", hooksPath, "", http.StatusOK, nil); strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("no webhooks are %s", w.Body)
	}
}

func TestWebhookWithLittle(t *testing.T) {
	r := open(t, nil)
	made := r.create(t, hooksPath, `{"url":"https://receiver.example/","secret":"of my own, 16 or more"}`)
	want := object{
		"url": "https://receiver.example/", "events": []any{}, "is_active": true, "failure_count": 0.0, "max_retries": 11.0, "description": "",
		"headers": []any{}, "last_triggered_at": nil, "secret": "of my own, 16 or more",
	}
	if diff := cmp.Diff(want, without(t, made, "id", "created_at", "updated_at")); diff != "" {
		t.Errorf("webhook (-want +got):\n%s", diff)
	}
}

func TestTooManyOverlappingSecrets(t *testing.T) {
	r := open(t, nil)
	path := hooksPath + "/" + r.create(t, hooksPath, `{"url":"https://receiver.example/"}`)["id"].(string) + "/rotate-secret"
	for range 100 {
		if w := r.send(request("POST", path, "")); w.Code != http.StatusOK {
			if p := mustProblem(t, w, http.StatusConflict); !strings.Contains(p.Detail, "overlap_seconds 0") {
				t.Errorf("detail %q", p.Detail)
			}
			return
		}
	}
	t.Error("there is no end to overlapping secrets")
}

func TestWebhookRules(t *testing.T) {
	r := open(t, func(_ *httpapi.Services, o *httpapi.Options) {
		o.WebhookRules.AllowHTTP, o.WebhookRules.Blocked = true, netip.Addr.IsLoopback
	})
	r.create(t, hooksPath, `{"url":"http://receiver.example/"}`)
	for _, url := range []string{"https://127.0.0.1/secret", "http://2130706433/secret", "https://[::1]/secret"} {
		w := r.send(request("POST", hooksPath, fmt.Sprintf(`{"url":%q}`, url)))
		if p := mustProblem(t, w, http.StatusBadRequest); p.Field != "url" || strings.Contains(p.Detail, "secret") {
			t.Errorf("%s: %+v", url, p)
		}
	}
}

func TestTestDelivery(t *testing.T) {
	for status, success := range map[int]bool{200: true, 204: true, 301: false, 404: false, 500: false} {
		r := open(t, nil)
		r.receiver.status.Store(int64(status))
		hook := r.create(t, hooksPath, `{"url":"https://receiver.example/","events":["JobFailed"],"is_active":false}`)["id"].(string)
		var got object
		r.call(t, "POST", hooksPath+"/"+hook+"/test", "", http.StatusOK, &got)
		state := "dead"
		if success {
			state = "delivered"
		}
		if got["success"] != success || got["status"] != state || got["status_code"] != float64(status) || got["webhook_id"] != hook ||
			got["event_type"] != "JobFailed" || got["attempt_count"] != 1.0 || got["response_body"] != "thanks" {
			t.Errorf("%d: %v", status, got)
		}
		if (got["error_class"] == nil) != success || (got["delivered_at"] != nil) != success || got["next_attempt_at"] != nil {
			t.Errorf("%d: %v", status, got)
		}
		if payload := got["payload"].(object); payload["type"] != "JobFailed" || payload["event_id"] != got["event_id"] {
			t.Errorf("payload %v", payload)
		}
	}
}

// deliveries publishes n events about jobs and waits until the webhook's deliveries have settled.
func (r *rig) deliveries(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		kind := []string{"JobQueued", "JobStarted"}[i%2]
		r.call(t, "POST", workerPath, job(kind, 1000+i), http.StatusAccepted, nil)
	}
	synctest.Wait()
}

func TestDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, nil)
		hook := r.create(t, hooksPath, `{"url":"https://receiver.example/","events":["job"],"max_retries":0}`)["id"].(string)
		path := hooksPath + "/" + hook
		r.deliveries(t, 20)
		r.receiver.status.Store(http.StatusTeapot)
		r.deliveries(t, 6)
		all := ids(r.pages(t, path+"/deliveries"))
		if len(all) != 26 {
			t.Fatalf("%d deliveries, want 26", len(all))
		}
		for _, tc := range []struct {
			why, query string
			want       int
		}{
			{"pages", "?limit=4", 26},
			{"a status", "?status=dead&limit=4", 6},
			{"statuses with a comma", "?status=dead,%20delivered&limit=25", 26},
			{"a status that is left empty, and a comma too many", "?status=&status=dead,&limit=4", 6},
			{"statuses repeated", "?status=dead&status=delivered&limit=25", 26},
			{"a status that there is none of", "?status=pending", 0},
			{"a type", "?event_type=JobQueued&limit=3", 13},
			{"a type in another form and a status", "?event_type=job_started&status=dead&limit=2", 3},
			{"a family", "?event_type=job&limit=13", 26},
			{"another family", "?event_type=note", 0},
		} {
			got := ids(r.pages(t, path+"/deliveries"+tc.query))
			place := 0
			for _, id := range all { // the same order, newest first, each once
				if place < len(got) && got[place] == id {
					place++
				}
			}
			if len(got) != tc.want || place != len(got) {
				t.Errorf("%s: %d deliveries, want %d, in order", tc.why, len(got), tc.want)
			}
		}
		r.redeliver(t, path, all)
	})
}

// redeliver has deliveries sent again, of which the newest six are dead.
func (r *rig) redeliver(t *testing.T, path string, all []string) {
	t.Helper()
	var one struct {
		Status, ErrorClass string
		StatusCode         int   `json:"status_code"`
		AttemptCount       int   `json:"attempt_count"`
		NextAttemptAt      any   `json:"next_attempt_at"`
		Attempts           []any `json:"attempts"`
	}
	read := func() {
		t.Helper()
		one.Attempts = nil
		synctest.Wait()
		r.call(t, "GET", deliverPath+"/"+all[0], "", http.StatusOK, &one)
	}
	if read(); one.Status != "dead" || one.StatusCode != http.StatusTeapot || len(one.Attempts) != 1 {
		t.Errorf("a dead delivery: %+v", one)
	}
	attempt := without(t, one.Attempts[0].(object), "started_at")
	want := object{"number": 1.0, "duration_ms": 0.0, "status_code": 418.0, "error_class": "bad_status", "response_body": "thanks"}
	if diff := cmp.Diff(want, attempt); diff != "" {
		t.Errorf("attempt (-want +got):\n%s", diff)
	}
	r.receiver.status.Store(http.StatusOK)
	w := r.call(t, "POST", deliverPath+"/"+all[0]+"/redeliver", "", http.StatusAccepted, &one)
	if one.Status != "pending" || one.NextAttemptAt == nil || strings.Contains(w.Body.String(), `"attempts"`) {
		t.Errorf("redelivered: %s", w.Body)
	}
	if read(); one.Status != "delivered" || one.AttemptCount != 2 || len(one.Attempts) != 2 {
		t.Errorf("redelivered: %+v", one)
	}
	for _, tc := range []struct {
		body string
		want int
	}{{`{"status":"dead","since":"2999-01-01T00:00:00Z"}`, 0}, {"", 5}, {"", 0}, {"{}", 0}, {`{"status":"delivered","since":"1999-01-01T00:00:00Z"}`, 26}} {
		var got map[string]int
		r.call(t, "POST", path+"/redeliver", tc.body, http.StatusAccepted, &got)
		if got["redelivered"] != tc.want {
			t.Errorf("%s: %v, want %d", tc.body, got, tc.want)
		}
		synctest.Wait()
	}
	if n := len(ids(r.pages(t, path+"/deliveries?status=delivered"))); n != 26 {
		t.Errorf("%d delivered in the end", n)
	}
}

func TestRedeliverInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, nil)
		r.receiver.status.Store(0)
		hook := r.create(t, hooksPath, `{"url":"https://receiver.example/","events":["job"]}`)["id"].(string)
		r.deliveries(t, 1)
		list := r.pages(t, hooksPath+"/"+hook+"/deliveries")[0]
		if len(list) != 1 || list[0]["status"] != "in_flight" {
			t.Fatalf("deliveries %v", list)
		}
		p := mustProblem(t, r.send(request("POST", deliverPath+"/"+list[0]["id"].(string)+"/redeliver", "")), http.StatusConflict)
		if p.Detail != "cannot redeliver a delivery that is in_flight" {
			t.Errorf("detail %q", p.Detail)
		}
	})
}
