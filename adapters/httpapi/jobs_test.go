package httpapi_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/adapters/httpapi"
)

func withoutHost(s *httpapi.Services, _ *httpapi.Options) { s.Notes, s.Jobs = nil, nil }

func TestJob(t *testing.T) {
	r := open(t, nil)
	note := r.create(t, notesPath, `{"title":"t"}`)["id"].(string)
	made := r.create(t, jobsPath, fmt.Sprintf(`{"job_type":"note_analysis","note_id":%q,"priority":1,"max_attempts":3}`, note))
	want := object{
		"job_type": "NoteAnalysis", "note_id": note, "state": "queued", "priority": 1.0, "progress": 0.0, "attempt": 0.0, "max_attempts": 3.0,
	}
	if diff := cmp.Diff(want, without(t, made, "id", "created_at")); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	path := jobsPath + "/" + made["id"].(string)
	var got object
	r.call(t, "GET", path, "", http.StatusOK, &got)
	if diff := cmp.Diff(made, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	r.call(t, "POST", path+"/cancel", "", http.StatusOK, &got)
	want["state"], want["error"] = "canceled", "canceled"
	if diff := cmp.Diff(want, without(t, got, "id", "created_at", "finished_at")); diff != "" {
		t.Errorf("canceled (-want +got):\n%s", diff)
	}
	p := mustProblem(t, r.send(request("POST", path+"/cancel", "")), http.StatusConflict)
	if p.Detail != "the job has finished" {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestListOfJobs(t *testing.T) {
	r := open(t, nil)
	var notes, all, canceled, ofSecond []string
	for range 2 {
		notes = append(notes, r.create(t, notesPath, `{"title":"t"}`)["id"].(string))
	}
	for i := range 30 {
		id := r.create(t, jobsPath, fmt.Sprintf(`{"job_type":"NoteAnalysis","note_id":%q}`, notes[i%2]))["id"].(string)
		all = append([]string{id}, all...)
		if i%2 == 1 {
			ofSecond = append([]string{id}, ofSecond...)
		}
		if i%3 == 0 {
			r.call(t, "POST", jobsPath+"/"+id+"/cancel", "", http.StatusOK, nil)
			canceled = append([]string{id}, canceled...)
		}
	}
	for _, tc := range []struct {
		why, query string
		want       []string
	}{
		{"all", "?limit=7", all},
		{"of a note", "?limit=4&note_id=" + notes[1], ofSecond},
		{"of a state", "?limit=3&state=canceled", canceled},
		{"of a type, in another form", "?job_type=note_analysis&limit=30", all},
		{"of a type that there is none of", "?job_type=Embedding", nil},
		{"of a state that there is none of", "?state=completed", nil},
		{"of a note that is not there", "?note_id=" + unknownID, nil},
	} {
		if diff := cmp.Diff(tc.want, ids(r.pages(t, jobsPath+tc.query))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.why, diff)
		}
	}
	var queue map[string]int
	r.call(t, "GET", "/api/v1/queue", "", http.StatusOK, &queue)
	if diff := cmp.Diff(map[string]int{"total_jobs": 20, "running": 0, "pending": 20}, queue); diff != "" {
		t.Errorf("queue (-want +got):\n%s", diff)
	}
}
