package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

// without returns an object less some members, which must be there.
func without(t *testing.T, o object, names ...string) object {
	t.Helper()
	rest := object{}
	for k, v := range o {
		rest[k] = v
	}
	for _, name := range names {
		if rest[name] == nil {
			t.Errorf("there is no %s in %v", name, o)
		}
		delete(rest, name)
	}
	return rest
}

func TestNote(t *testing.T) {
	r := open(t, nil)
	made := r.create(t, notesPath, `{"title":"A <b>","content":"see [[B]]","tags":["x"," x ","y"],"user_id":"ann"}`)
	want := object{
		"title": "A <b>", "content": "see [[B]]", "tags": []any{"x", "y"}, "user_id": "ann",
		"has_ai_content": false, "has_links": false, "suggested_tags": []any{},
	}
	if diff := cmp.Diff(want, without(t, made, "id", "created_at", "updated_at")); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	for _, name := range []string{"created_at", "updated_at"} {
		if at, err := domain.ParseTime(made[name].(string)); err != nil || !strings.HasSuffix(made[name].(string), "Z") || at.IsZero() {
			t.Errorf("%s = %v", name, made[name])
		}
	}
	path := notesPath + "/" + made["id"].(string)
	var got object
	r.call(t, "GET", strings.ToUpper(path[len(notesPath):]), "", http.StatusNotFound, nil) // not a path
	r.call(t, "GET", notesPath+strings.ToUpper(path[len(notesPath):]), "", http.StatusOK, &got)
	if diff := cmp.Diff(made, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	r.call(t, "PATCH", path, `{"title":"B","tags":[],"user_id":null}`, http.StatusOK, &got)
	want["title"], want["tags"] = "B", []any{}
	if diff := cmp.Diff(want, without(t, got, "id", "created_at", "updated_at")); diff != "" {
		t.Errorf("patched (-want +got):\n%s", diff)
	}
	if w := r.call(t, "DELETE", path, "", http.StatusNoContent, nil); w.Body.Len() > 0 {
		t.Errorf("a 204 with a body: %s", w.Body)
	}
	r.call(t, "DELETE", path, "", http.StatusNotFound, nil)
	if bare := r.create(t, notesPath, `{"content":"c"}`); bare["title"] != "" || bare["user_id"] != nil {
		t.Errorf("a note without a title: %v", bare)
	}
}

func TestOnlyContentCallsForAJob(t *testing.T) {
	r := open(t, nil)
	note := notesPath + "/" + r.create(t, notesPath, `{"title":"t","tags":["a"]}`)["id"].(string)
	for _, tc := range []struct {
		body string
		jobs int // that the note has had by then
	}{
		{`{"title":"u"}`, 0},
		{`{"content":"c"}`, 1},
		{`{"title":"v","tags":[],"user_id":"ann"}`, 1},
		{`{"content":"c"}`, 1}, // as it was
		{`{"content":"d"}`, 2},
	} {
		r.call(t, "PATCH", note, tc.body, http.StatusOK, nil)
		var jobs []object
		r.call(t, "GET", jobsPath+"?note_id="+note[len(notesPath)+1:], "", http.StatusOK, &jobs)
		if len(jobs) != tc.jobs {
			t.Errorf("after %s there have been %d jobs, want %d", tc.body, len(jobs), tc.jobs)
		}
	}
	id := r.create(t, notesPath, `{"content":"c"}`)["id"].(string)
	var jobs []object
	if r.call(t, "GET", jobsPath+"?note_id="+id, "", http.StatusOK, &jobs); len(jobs) != 1 {
		t.Errorf("a new note with content has %d jobs", len(jobs))
	}
}

func TestNoteStoreFails(t *testing.T) {
	r := open(t, nil)
	fill := r.filled(t)
	r.store.Fail(errSecret)
	for _, call := range [][3]string{
		{"GET", notesPath, ""},
		{"POST", notesPath, `{"title":"t"}`},
		{"GET", notesPath + "/NOTE", ""},
		{"PATCH", notesPath + "/NOTE", `{"title":"t"}`},
		{"DELETE", notesPath + "/NOTE", ""},
		{"GET", jobsPath, ""},
		{"GET", jobsPath + "/JOB", ""},
		{"POST", jobsPath, `{"job_type":"NoteAnalysis","note_id":"NOTE"}`},
		{"POST", jobsPath + "/JOB/cancel", ""},
		{"GET", "/api/v1/queue", ""},
	} {
		w := r.send(request(call[0], fill.Replace(call[1]), fill.Replace(call[2])))
		mustProblem(t, w, http.StatusInternalServerError)
		if strings.Contains(w.Body.String(), "SELECT") {
			t.Errorf("%v: the text got out: %s", call, w.Body)
		}
	}
	if told := r.told(); len(told) != 10 {
		t.Errorf("told %d faults, want 10: %v", len(told), told)
	}
}

// next returns where the Link header of an answer leads, and the empty string at the end.
func next(t testing.TB, h http.Header) string {
	t.Helper()
	link := h.Get("Link")
	if link == "" {
		return ""
	}
	target, ok := strings.CutSuffix(link, `>; rel="next"`)
	if !ok || target[0] != '<' || strings.ContainsAny(target[1:], "<> ") {
		t.Fatalf("Link = %s", link)
	}
	return target[1:]
}

// pages follows the Links from target on, and returns the items of each page. Other parameters of the query must stay.
func (r *rig) pages(t testing.TB, target string) (pages [][]object) {
	t.Helper()
	first, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	for target != "" {
		var page []object
		w := r.call(t, "GET", target, "", http.StatusOK, &page)
		if page == nil {
			t.Fatalf("GET %s = %s, want an array", target, w.Body)
		}
		pages = append(pages, page)
		if target = next(t, w.Header()); target == "" {
			return pages
		}
		u, err := url.Parse(target)
		if err != nil || u.Path != first.Path {
			t.Fatalf("Link leads to %s from %s: %v", target, first, err)
		}
		q := u.Query()
		q.Del("cursor")
		if diff := cmp.Diff(first.Query(), q); diff != "" {
			t.Errorf("parameters of the query (-want +got):\n%s", diff)
		}
	}
	return pages
}

// ids joins the identifiers of all pages.
func ids(pages [][]object) (all []string) {
	for _, page := range pages {
		for _, item := range page {
			all = append(all, item["id"].(string))
		}
	}
	return all
}

func TestListOfNotes(t *testing.T) {
	r := open(t, nil)
	if w := r.call(t, "GET", notesPath, "", http.StatusOK, nil); strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("an empty list is %s", w.Body)
	}
	var all, tagged, found []string // newest first
	for i := range 120 {
		body := fmt.Sprintf(`{"title":"note %d","tags":["%s"]}`, i, []string{"a", "b&c"}[i%2])
		id := r.create(t, notesPath, body)["id"].(string)
		all = append([]string{id}, all...)
		if i%2 == 1 {
			tagged = append([]string{id}, tagged...)
		}
		if i == 17 {
			found = append(found, id)
		}
	}
	for _, tc := range []struct {
		why, query string
		pages      []int
		want       []string
	}{
		{"the default limit", "", []int{50, 50, 20}, all},
		{"a limit that ends with the list", "?limit=60", []int{60, 60}, all},
		{"a limit of the whole list", "?limit=120", []int{120}, all},
		{"the largest limit", "?limit=500", []int{120}, all},
		{"one more than a page", "?limit=119", []int{119, 1}, all},
		{"a tag", "?tag=b%26c&limit=25", []int{25, 25, 10}, tagged},
		{"a search", "?q=note+17", []int{1}, found},
		{"a search and a tag", "?q=17&tag=a", []int{0}, nil},
		{"an unknown tag", "?tag=zzz", []int{0}, nil},
		{"a search that is syntax elsewhere", "?q=%22%20OR%20(*%20NEAR", []int{0}, nil},
		{"a parameter that we do not know", "?limit=100&colour=red&colour=blue", []int{100, 20}, all},
		{"empty parameters", "?q=&tag=&limit=", []int{50, 50, 20}, all},
	} {
		t.Run(tc.why, func(t *testing.T) {
			pages := r.pages(t, notesPath+tc.query)
			var sizes []int
			for _, p := range pages {
				sizes = append(sizes, len(p))
			}
			if diff := cmp.Diff(tc.pages, sizes); diff != "" {
				t.Errorf("sizes of pages (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.want, ids(pages)); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoHost(t *testing.T) {
	r := open(t, withoutHost)
	for _, call := range []string{
		"GET " + notesPath, "HEAD " + notesPath, "POST " + notesPath, "GET " + notesPath + "/" + unknownID, "PATCH " + notesPath + "/x",
		"DELETE " + notesPath + "/x", "GET " + jobsPath, "POST " + jobsPath, "GET " + jobsPath + "/x", "POST " + jobsPath + "/x/cancel",
	} {
		method, target, _ := strings.Cut(call, " ")
		if p := mustProblem(t, r.send(request(method, target, "")), http.StatusNotFound); !strings.Contains(p.Detail, "--no-host") {
			t.Errorf("%s: detail %q", call, p.Detail)
		}
	}
	var index struct{ Endpoints map[string]string }
	r.call(t, "GET", "/", "", http.StatusOK, &index)
	if index.Endpoints["notes"] != "" || index.Endpoints["jobs"] != "" || index.Endpoints["webhooks"] == "" {
		t.Errorf("the index lists %v", index.Endpoints)
	}
	var queue json.RawMessage
	r.call(t, "GET", "/api/v1/queue", "", http.StatusOK, &queue)
}

// TestPagesOfLargeNotes follows Link through notes of which a page holds fewer than the limit.
func TestPagesOfLargeNotes(t *testing.T) {
	r := open(t, nil)
	body := `{"content":"` + strings.Repeat(".", domain.MaxPage/5) + `"}`
	var want []string // newest first
	for range 11 {
		want = append([]string{r.create(t, notesPath, body)["id"].(string)}, want...)
	}
	for _, limit := range []int{500, 5} {
		pages := r.pages(t, fmt.Sprint(notesPath, "?limit=", limit))
		var sizes []int
		for _, p := range pages {
			sizes = append(sizes, len(p))
		}
		if !slices.Equal(sizes, []int{5, 5, 1}) {
			t.Errorf("limit %d: pages of %v", limit, sizes)
		}
		if diff := cmp.Diff(want, ids(pages)); diff != "" {
			t.Errorf("limit %d: items (-want +got):\n%s", limit, diff)
		}
	}
}
