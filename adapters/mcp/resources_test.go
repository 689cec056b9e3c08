package mcp_test

import (
	"context"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/domain"
)

// subscriber connects a client that passes on what it is told of changed resources.
func (r *rig) subscriber(version string) (*sdk.ClientSession, <-chan string) {
	told := make(chan string, 4096)
	return r.connect(version, "", &sdk.ClientOptions{
		ResourceUpdatedHandler: func(_ context.Context, req *sdk.ResourceUpdatedNotificationRequest) { told <- req.Params.URI },
	}), told
}

func subscribe(t *testing.T, session *sdk.ClientSession, uri string) {
	t.Helper()
	if err := session.Subscribe(t.Context(), &sdk.SubscribeParams{URI: uri}); err != nil {
		t.Fatalf("subscribe to %s: %v", uri, err)
	}
}

func read(t *testing.T, session *sdk.ClientSession, uri string) string {
	t.Helper()
	result, err := session.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri})
	if err != nil || len(result.Contents) != 1 || result.Contents[0].MIMEType != "application/json" {
		t.Fatalf("read %s: %+v, %v", uri, result, err)
	}
	return result.Contents[0].Text
}

func TestResources(t *testing.T) {
	onBoth(t, func(t *testing.T, version string) {
		r := newRig(t, setup{})
		session := r.connect(version, "", nil)
		created := call[object](t, session, "create_note", object{"title": "Plan", "content": "words of a user"})
		note := created["id"].(string)
		call[page](t, session, "wait_for_event", object{"note_id": note, "types": []string{"note"}, "cursor": created["cursor"]})
		job := call[object](t, session, "enqueue_job", object{"job_type": "NoteAnalysis", "note_id": note})["id"].(string)
		outside := newID()
		r.progress(outside, 5)
		for uri, want := range map[string][]string{
			"event://recent":            {`{"events":[{"type":"NoteUpdated"`, outside.String(), `"cursor":"`},
			"job://" + job:              {`{"job":{"id":"` + job, `"state":"queued"`, `"events":[`},
			"job://" + outside.String(): {`{"events":[{"type":"JobProgress"`, `"progress":5`},
			"note://" + note:            {`"content":"words of a user"`, `"type":"NoteUpdated"`},
		} {
			for _, part := range want {
				if got := read(t, session, uri); !strings.Contains(got, part) {
					t.Errorf("%s: %s; want %s", uri, got, part)
				}
			}
		}
		if got := read(t, session, "event://recent"); strings.Contains(got, "words of a user") {
			t.Errorf("content that nobody asked for: %s", got)
		}
		for _, uri := range []string{"job://" + newID().String(), "note://" + newID().String(), "note://x", "note://" + strings.ToUpper(newID().String()), "event://old", "file:///etc/passwd"} {
			if _, err := session.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri}); err == nil {
				t.Errorf("%s was read", uri)
			}
		}
		templates, err := session.ListResourceTemplates(t.Context(), nil)
		if err != nil || len(templates.ResourceTemplates) != 2 {
			t.Errorf("%+v, %v", templates, err)
		}
	})
}

// TestSubscriptions wants subscribers to be told of what they subscribed to and of nothing else.
func TestSubscriptions(t *testing.T) {
	onBoth(t, func(t *testing.T, version string) {
		r := newRig(t, setup{})
		mine, other := newID(), newID()
		r.progress(mine, 1)
		r.progress(other, 1)
		session, told := r.subscriber(version)
		subscribe(t, session, "job://"+mine.String())
		r.settled(version, 1)
		r.progress(other, 2)
		r.progress(mine, 2)
		if uri := await(t, "notification", told); uri != "job://"+mine.String() {
			t.Errorf("told of %s", uri)
		}
		subscribe(t, session, "event://recent")
		r.settled(version, 2)
		r.progress(other, 3)
		if uri := await(t, "notification", told); uri != "event://recent" {
			t.Errorf("told of %s", uri)
		}
		if err := session.Unsubscribe(t.Context(), &sdk.UnsubscribeParams{URI: "job://" + mine.String()}); err != nil {
			t.Fatal(err)
		}
		if version == withoutSessions { // the stream is the subscription
			await(t, "end of the stream", r.watcher.closed)
		}
		r.progress(mine, 3)
		if uri := await(t, "notification", told); uri != "event://recent" {
			t.Errorf("told of %s", uri)
		}
	})
}

// settled waits until the streams that carry notifications are open: one for each session, or one for each subscription.
func (r *rig) settled(version string, n int) {
	r.t.Helper()
	if version == withoutSessions || n == 1 {
		await(r.t, "stream", r.watcher.opened)
	}
}

// TestBurst wants many changes to be told of a few times, the last one included.
func TestBurst(t *testing.T) {
	onBoth(t, func(t *testing.T, version string) {
		const events = 3000
		r := newRig(t, setup{capacity: 1024}) // smaller than the burst
		job := newID()
		r.progress(job, 0)
		session, told := r.subscriber(version)
		subscribe(t, session, "job://"+job.String())
		r.settled(version, 1)
		for i := range events {
			r.progress(job, i%100)
		}
		await(t, "notification", told)
		last := r.progress(job, 100)
		for n := 1; !strings.Contains(read(t, session, "job://"+job.String()), last.String()); n++ {
			if await(t, "notification of the last change", told); n > events/100 {
				t.Fatalf("%d notifications", n)
			}
		}
	})
}

// TestSubscriptionsRefused wants nobody to wait for what cannot come.
func TestSubscriptionsRefused(t *testing.T) {
	r := newRig(t, setup{})
	session := r.connect(withSessions, "", nil)
	for _, uri := range []string{"job://" + newID().String(), "note://" + newID().String(), "note://x", "event://old", "", "job://"} {
		err := session.Subscribe(t.Context(), &sdk.SubscribeParams{URI: uri})
		if err == nil {
			t.Errorf("%q: subscribed", uri)
		} else if strings.HasSuffix(uri, "old") && !strings.Contains(err.Error(), "there are event://recent, job://{id} and note://{id}") {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

// TestWithoutHost has no notes and jobs of its own, but knows what events say of those of others.
func TestWithoutHost(t *testing.T) {
	r := newRig(t, setup{noHost: true})
	session := r.connect(withoutSessions, "", nil)
	job := newID()
	if err := r.log.Publish(t.Context(), domain.Event{ID: newID(), Payload: domain.JobStarted{JobRef: domain.JobRef{JobID: job, JobType: "Embedding"}}}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, session, "job://"+job.String()); !strings.HasPrefix(got, `{"events":[{"type":"JobStarted"`) {
		t.Errorf("got %s", got)
	}
}
