package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// transport answers requests without a network, so that tests can run in a synctest bubble.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) { return t(req) }

func newClient(t testing.TB, answer transport, o Options) *Client {
	t.Helper()
	o.HTTPClient = &http.Client{Transport: answer}
	c, err := New("http://hub.test/prefix", &o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/problem+json"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// lines reads a request's body as the items that it carries.
func lines(t testing.TB, req *http.Request) []string {
	t.Helper()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > 1<<20 {
		t.Errorf("body of %d bytes; the hub takes 1 MiB", len(body))
	}
	items := strings.Split(string(body), "\n")
	want := "application/json"
	if len(items) > 1 {
		want = "application/x-ndjson"
	}
	if got := req.Header.Get("Content-Type"); got != want {
		t.Errorf("Content-Type of %d items = %q; want %q", len(items), got, want)
	}
	return items
}

func started(n int, message string) []domain.WorkerEvent {
	batch := make([]domain.WorkerEvent, n)
	for i := range batch {
		batch[i] = domain.WorkerEvent{Kind: domain.JobKind(domain.TypeJobStarted), JobID: NewEventID(), Message: message}
	}
	return batch
}

func TestPublishRequest(t *testing.T) {
	given := NewEventID()
	var got []domain.WorkerEvent
	c := newClient(t, func(req *http.Request) (*http.Response, error) {
		if where := req.Method + " " + req.URL.String(); where != "POST http://hub.test/prefix/api/v1/worker-events" {
			t.Errorf("request = %s", where)
		}
		if a := req.Header.Get("Authorization") + " " + req.Header.Get("User-Agent"); a != "Bearer s3cret tests" {
			t.Errorf("credentials and user agent = %q", a)
		}
		for _, line := range lines(t, req) {
			e, err := domain.DecodeWorkerEvent([]byte(line))
			if err != nil {
				t.Errorf("the hub could not read %s: %v", line, err)
			}
			got = append(got, e)
		}
		return answer(202, `{"accepted":1,"skipped":1}`), nil
	}, Options{Token: "s3cret", UserAgent: "tests"})
	batch := started(2, "")
	batch[1].EventID = given
	receipt, err := c.PublishWorkerEvents(t.Context(), batch)
	if want := (ports.Receipt{Accepted: 1, Skipped: 1}); err != nil || receipt != want {
		t.Errorf("PublishWorkerEvents() = %+v, %v; want %+v", receipt, err, want)
	}
	if got[0].EventID.IsZero() || got[1].EventID != given {
		t.Errorf("event IDs sent = %s, %s; want a new one, %s", got[0].EventID, got[1].EventID, given)
	}
	if !batch[0].EventID.IsZero() {
		t.Error("the caller's batch was changed")
	}
}

func TestPublishNothing(t *testing.T) {
	c := newClient(t, func(*http.Request) (*http.Response, error) {
		t.Error("an empty batch was sent")
		return answer(400, ""), nil
	}, Options{})
	if r, err := c.PublishWorkerEvents(t.Context(), nil); err != nil || r != (ports.Receipt{}) {
		t.Errorf("PublishWorkerEvents(nil) = %+v, %v", r, err)
	}
}

func TestPublishRepeatsTheSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies []string
		var pauses []time.Duration
		c := newClient(t, func(req *http.Request) (*http.Response, error) {
			bodies = append(bodies, strings.Join(lines(t, req), "\n"))
			switch len(bodies) {
			case 1:
				return nil, errors.New("connection reset")
			case 2:
				return answer(503, "", "Retry-After", "7"), nil
			case 3:
				return answer(429, "", "Retry-After", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat)), nil
			case 4:
				return answer(502, "<html>"), nil
			}
			return answer(202, `{"accepted":1}`), nil
		}, Options{OnRetry: func(_ error, pause time.Duration) { pauses = append(pauses, pause) }})
		note := domain.NoteEvent{Note: domain.NoteUpdated{NoteID: NewEventID(), Operation: domain.Deleted}}
		if _, err := c.PublishNoteEvents(t.Context(), []domain.NoteEvent{note}); err != nil {
			t.Fatal(err)
		}
		if distinct := slices.Compact(slices.Clone(bodies)); len(bodies) != 5 || len(distinct) != 1 {
			t.Errorf("%d attempts with %d different bodies; want 5 with one, or an event may be published twice", len(bodies), len(distinct))
		}
		if pauses[1] < 7*time.Second || pauses[2] < 19*time.Second {
			t.Errorf("pauses = %v; want at least what Retry-After says: 7s for the second, 20s for the third", pauses)
		}
	})
}

func TestPublishRefused(t *testing.T) {
	field := func(name string, index int, detail string) *domain.FieldError {
		return &domain.FieldError{Field: name, Index: index, Detail: detail}
	}
	tests := []struct {
		reason string
		status int
		body   string
		is     error
		field  *domain.FieldError
	}{
		{"a field of an item", 400, `{"detail":"item 1: percent: must be from 0 to 100","field":"percent","index":1}`, domain.ErrInvalid, field("percent", 1, "must be from 0 to 100")},
		{"no field", 400, `{"title":"Bad Request"}`, domain.ErrInvalid, field("", -1, "Bad Request")},
		{"not a problem document", 413, `<html>`, domain.ErrInvalid, field("", -1, "Request Entity Too Large")},
		{"a gateway's content type rule", 415, ``, domain.ErrInvalid, field("", -1, "Unsupported Media Type")},
		{"no credentials", 401, `{"detail":"who are you"}`, domain.ErrUnauthorized, nil},
		{"wrong credentials", 403, ``, domain.ErrUnauthorized, nil},
		{"no such route", 404, ``, domain.ErrNotFound, nil},
		{"a finished job", 409, `{"detail":"finished"}`, domain.ErrConflict, nil},
		{"anything else", 418, ``, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			attempts := 0
			c := newClient(t, func(*http.Request) (*http.Response, error) {
				attempts++
				return answer(tt.status, tt.body), nil
			}, Options{})
			receipt, err := c.PublishWorkerEvents(t.Context(), started(2, ""))
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || errors.Is(err, domain.ErrUnavailable) {
				t.Errorf("error = %v; want %v", err, tt.is)
			}
			got, _ := errors.AsType[*domain.FieldError](err)
			if diff := cmp.Diff(tt.field, got); diff != "" {
				t.Errorf("FieldError (-want +got):\n%s", diff)
			}
			if attempts != 1 || receipt != (ports.Receipt{}) {
				t.Errorf("%d attempts, receipt %+v; want one, and nothing", attempts, receipt)
			}
		})
	}
}

func TestPublishGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			return answer(503, `{"detail":"starting"}`), nil
		}, Options{RetryFor: time.Minute})
		begin := time.Now()
		_, err := c.PublishWorkerEvents(t.Context(), started(1, ""))
		if !errors.Is(err, domain.ErrUnavailable) || !strings.Contains(err.Error(), "starting") {
			t.Errorf("error = %v; want ErrUnavailable with what the hub said", err)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("gave up after %v; want within a minute", took)
		}
	})
}

func TestPublishDoesNotWaitInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			attempts++
			return answer(503, "", "Retry-After", "3600"), nil
		}, Options{RetryFor: time.Minute})
		begin := time.Now()
		if _, err := c.PublishWorkerEvents(t.Context(), started(1, "")); !errors.Is(err, domain.ErrUnavailable) {
			t.Errorf("error = %v; want ErrUnavailable", err)
		}
		if took := time.Since(begin); took != 0 || attempts != 1 {
			t.Errorf("%d attempts in %v; the pause asked for is longer than there is time", attempts, took)
		}
	})
}

func TestPublishEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }, Options{RetryFor: -1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := c.PublishWorkerEvents(ctx, started(1, ""))
		if !errors.Is(err, domain.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v; want ErrUnavailable and the context's", err)
		}
	})
}

func TestPublishValidatesBeforeItSends(t *testing.T) {
	c := newClient(t, func(*http.Request) (*http.Response, error) {
		t.Error("something was sent")
		return answer(202, `{}`), nil
	}, Options{})
	large := started(3, strings.Repeat("x", 600<<10))
	for reason, spoil := range map[string]func(*domain.WorkerEvent){
		"an invalid member":    func(e *domain.WorkerEvent) { e.JobID = domain.UUID{} },
		"too large for a body": func(e *domain.WorkerEvent) { e.Message = strings.Repeat("x", 1<<20) },
	} {
		batch := slices.Clone(large)
		spoil(&batch[2])
		_, err := c.PublishWorkerEvents(t.Context(), batch)
		if fe, ok := errors.AsType[*domain.FieldError](err); !ok || fe.Index != 2 {
			t.Errorf("%s: error = %v; want a FieldError with index 2", reason, err)
		}
	}
}

// TestPublishSplits sends a batch that takes several bodies: 400 KiB each, so two events a request and one left over.
func TestPublishSplits(t *testing.T) {
	batch := started(5, strings.Repeat("x", 400<<10))
	ok := func(n int) *http.Response { return answer(202, fmt.Sprintf(`{"accepted":%d}`, n)) }
	tests := []struct {
		reason  string
		third   func() *http.Response // of the request with the last event
		receipt ports.Receipt
		index   int // of the FieldError; -1 for none
		is      error
	}{
		{"all is well", func() *http.Response { return ok(1) }, ports.Receipt{Accepted: 5}, -1, nil},
		{"the last job has finished", func() *http.Response { return answer(409, "") }, ports.Receipt{Accepted: 4, Skipped: 1}, -1, nil},
		{"the last is invalid, without index", func() *http.Response { return answer(400, `{"field":"job_id"}`) }, ports.Receipt{Accepted: 4}, 4, domain.ErrInvalid},
		{"the last is invalid, with index", func() *http.Response { return answer(400, `{"field":"job_id","index":0}`) }, ports.Receipt{Accepted: 4}, 4, domain.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			var jobs []string
			requests := 0
			c := newClient(t, func(req *http.Request) (*http.Response, error) {
				items := lines(t, req)
				for _, item := range items {
					var job struct {
						ID string `json:"job_id"`
					}
					if err := json.Unmarshal([]byte(item), &job); err != nil {
						t.Fatal(err)
					}
					jobs = append(jobs, job.ID)
				}
				if requests++; requests == 3 {
					return tt.third(), nil
				}
				return ok(len(items)), nil
			}, Options{})
			receipt, err := c.PublishWorkerEvents(t.Context(), batch)
			if receipt != tt.receipt || !errors.Is(err, tt.is) {
				t.Errorf("PublishWorkerEvents() = %+v, %v; want %+v, %v", receipt, err, tt.receipt, tt.is)
			}
			if fe, _ := errors.AsType[*domain.FieldError](err); tt.index >= 0 && fe.Index != tt.index {
				t.Errorf("index = %d; want %d, counted over the whole batch", fe.Index, tt.index)
			}
			for i, job := range jobs {
				if job != batch[i].JobID.String() {
					t.Errorf("event %d was sent out of order", i)
				}
			}
			if len(jobs) != 5 || requests != 3 {
				t.Errorf("%d events in %d requests; want 5 in 3", len(jobs), requests)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for reason, tt := range map[string]struct{ url, token string }{
		"no scheme":            {"127.0.0.1:8080", ""},
		"another scheme":       {"ws://127.0.0.1:8080", ""},
		"no host":              {"http:///x", ""},
		"a query":              {"http://h/?token=x", ""},
		"not a URL":            {"http://h:port", ""},
		"a token with newline": {"http://h", "abc\n"},
	} {
		if _, err := New(tt.url, &Options{Token: tt.token}); !errors.Is(err, domain.ErrInvalid) {
			t.Errorf("%s: New(%q) = %v; want ErrInvalid", reason, tt.url, err)
		}
	}
	if _, err := New("https://h/prefix/", nil); err != nil {
		t.Errorf("New with nil options = %v", err)
	}
}
