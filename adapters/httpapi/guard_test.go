package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/httpapi"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// TestForeignPagesMayNotAct covers what a browser sends without asking first: a POST that has no body.
func TestForeignPagesMayNotAct(t *testing.T) {
	origins, err := httpapi.ParseOrigins([]string{"https://notes.example"})
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, func(_ *httpapi.Services, o *httpapi.Options) { o.Origins = origins })
	fill := r.filled(t)
	calls := []string{
		"POST " + jobsPath + "/JOB/cancel", "POST " + hooksPath + "/HOOK/rotate-secret", "POST " + hooksPath + "/HOOK/test",
		"POST " + hooksPath + "/HOOK/redeliver", "DELETE " + notesPath + "/NOTE", "DELETE " + hooksPath + "/HOOK",
	}
	for _, origin := range []string{"https://evil.example", "null"} {
		for _, call := range calls {
			method, path, _ := strings.Cut(fill.Replace(call), " ")
			mustProblem(t, r.send(request(method, path, "", "Origin", origin)), http.StatusForbidden)
		}
		r.call(t, "GET", notesPath, "", http.StatusOK, nil) // reading is what CORS is for
	}
	if r.receiver.hits.Load() > 0 {
		t.Error("a foreign page has had something delivered")
	}
	for i, call := range calls { // nothing of all that has happened, and who may, can
		method, path, _ := strings.Cut(fill.Replace(call), " ")
		origin := []string{"https://notes.example", "http://example.com"}[i%2]
		if w := r.send(request(method, path, "", "Origin", origin)); w.Code > 299 {
			t.Errorf("%s from %s = %d: %s", call, origin, w.Code, w.Body)
		}
	}
}

// TestPanicWithinAnAnswer: what is cut off must not look complete.
func TestPanicWithinAnAnswer(t *testing.T) {
	r := open(t, func(s *httpapi.Services, _ *httpapi.Options) {
		s.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, strings.Repeat("half a page ", 1000))
			panic(errSecret)
		})
	})
	server := httptest.NewServer(r.handler)
	defer server.Close()
	resp, err := server.Client().Get(server.URL + "/metrics")
	if err == nil {
		defer resp.Body.Close()
		var body []byte
		if body, err = io.ReadAll(resp.Body); strings.Contains(string(body), "internal error") {
			t.Error("a problem was added to what had been written")
		}
	}
	if err == nil {
		t.Error("the answer looks complete")
	}
	if told := r.told(); len(told) != 1 {
		t.Errorf("told %v", told)
	}
}

// indexed is a publisher that finds fault with an item itself.
type indexed struct{ failing }

func (indexed) PublishNoteEvents(context.Context, []domain.NoteEvent) (ports.Receipt, error) {
	return ports.Receipt{}, domain.AtIndex(domain.Invalid("title", "is taken"), 0)
}

func TestOneItemByItselfHasNoIndex(t *testing.T) {
	r := open(t, func(s *httpapi.Services, _ *httpapi.Options) { s.Publisher = indexed{} })
	const note = `{"operation":"created",` + aNot + `}`
	if p := mustProblem(t, r.send(request("POST", notePath, note)), http.StatusBadRequest); p.Index != nil || p.Field != "title" {
		t.Errorf("by itself: %+v", p)
	}
	if p := mustProblem(t, r.send(request("POST", notePath, "["+note+"]")), http.StatusBadRequest); p.Index == nil || *p.Index != 0 {
		t.Errorf("in a batch: %+v", p)
	}
}

func TestWebhookStoreFails(t *testing.T) {
	r := open(t, nil)
	fill := r.filled(t)
	var delivery object
	r.call(t, "POST", fill.Replace(hooksPath+"/HOOK/test"), "", http.StatusOK, &delivery)
	r.hooks.Break(func(string) (bool, error) { return false, errSecret })
	defer r.hooks.Break(nil)
	for _, call := range [][3]string{
		{"POST", hooksPath, `{"url":"https://receiver.example/"}`},
		{"PATCH", hooksPath + "/HOOK", `{"description":"d"}`},
		{"DELETE", hooksPath + "/HOOK", ""},
		{"POST", hooksPath + "/HOOK/rotate-secret", ""},
		{"POST", hooksPath + "/HOOK/redeliver", ""},
		{"GET", hooksPath + "/HOOK/deliveries", ""},
		{"GET", fmt.Sprintf("%s/%v", deliverPath, delivery["id"]), ""},
		{"POST", fmt.Sprintf("%s/%v/redeliver", deliverPath, delivery["id"]), ""},
	} {
		w := r.send(request(call[0], fill.Replace(call[1]), call[2]))
		mustProblem(t, w, http.StatusInternalServerError)
		if strings.Contains(w.Body.String(), "SELECT") {
			t.Errorf("%v: the text got out: %s", call, w.Body)
		}
	}
	if told := r.told(); len(told) != 8 {
		t.Errorf("told %d faults: %v", len(told), told)
	}
}
