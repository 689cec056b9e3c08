package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

const (
	workerPath  = "/api/v1/worker-events"
	notePath    = "/api/v1/note-events"
	notesPath   = "/api/v1/notes"
	jobsPath    = "/api/v1/jobs"
	hooksPath   = "/api/v1/webhooks"
	deliverPath = "/api/v1/deliveries"

	aJob = `"job_id":"01930000-0000-7000-8000-000000000001"`
	aNot = `"note_id":"01930000-0000-7000-8000-000000000002"`
)

// bodies are the routes that read one JSON object, with one that is fine.
var bodies = []struct{ method, path, good string }{
	{"POST", workerPath, `{"type":"JobStarted",` + aJob + `}`},
	{"POST", notePath, `{"operation":"created",` + aNot + `}`},
	{"POST", notesPath, `{"title":"t"}`},
	{"PATCH", notesPath + "/NOTE", `{"title":"t"}`},
	{"POST", jobsPath, `{"job_type":"NoteAnalysis","note_id":"NOTE"}`},
	{"POST", hooksPath, `{"url":"https://receiver.example/"}`},
	{"PATCH", hooksPath + "/HOOK", `{"description":"d"}`},
	{"POST", hooksPath + "/HOOK/rotate-secret", `{"overlap_seconds":0}`},
	{"POST", hooksPath + "/HOOK/redeliver", `{"status":"dead"}`},
}

// filled replaces the words NOTE, JOB and HOOK by identifiers of such.
func (r *rig) filled(t testing.TB) *strings.Replacer {
	t.Helper()
	note := r.create(t, notesPath, `{"title":"t"}`)["id"].(string)
	job := r.create(t, jobsPath, `{"job_type":"NoteAnalysis","note_id":"`+note+`"}`)["id"].(string)
	hook := r.create(t, hooksPath, `{"url":"https://receiver.example/","events":["job"]}`)["id"].(string)
	return strings.NewReplacer("NOTE", note, "JOB", job, "HOOK", hook)
}

func TestBadBodyOnEveryRoute(t *testing.T) {
	r := open(t, nil)
	fill := r.filled(t)
	huge := strings.Repeat(" ", 1<<20)
	for _, route := range bodies {
		path, good := fill.Replace(route.path), fill.Replace(route.good)
		member, _, _ := strings.Cut(good[2:], `"`)
		capitals := strings.ToUpper(member)
		optional := strings.HasSuffix(path, "rotate-secret") || strings.HasSuffix(path, "redeliver")
		array := path == workerPath || path == notePath
		for _, tc := range []struct {
			why, body string
			status    int
			field     string
			header    []string
			skip      bool
		}{
			{why: "an unknown member", body: `{"shoe_size":9,` + good[1:], status: 400, field: "shoe_size"},
			{why: "an empty body", status: 400, skip: optional},
			{why: "only spaces", body: "  \n", status: 400, skip: optional},
			{why: "a number", body: `5`, status: 400},
			{why: "a string", body: `"x"`, status: 400},
			{why: "null", body: " null\n", status: 400, skip: optional},
			{why: "a member in capitals", body: `{"` + capitals + good[2+len(capitals):], status: 400, field: capitals},
			{why: "a truth", body: `true`, status: 400},
			{why: "an array where an object is wanted", body: `[` + good + `]`, status: 400, skip: array},
			{why: "trailing data", body: good + `{}`, status: 400},
			{why: "trailing bracket", body: good + `]`, status: 400},
			{why: "not JSON", body: `{'a':1}`, status: 400},
			{why: "a bare word", body: `nope`, status: 400},
			{why: "cut short", body: good[:len(good)-1], status: 400},
			{why: "a byte order mark", body: "\ufeff" + good, status: 400},
			{why: "invalid UTF-8", body: `{"x":"` + "\xff" + `"}`, status: 400},
			{why: "deep nesting", body: strings.Repeat("[", 100_000), status: 400, skip: array},
			{why: "deep nesting in a member", body: `{"x":` + strings.Repeat(`{"x":`, 100_000), status: 400},
			{why: "no media type", body: good, status: 415, header: []string{"Content-Type", ""}},
			{why: "a form", body: good, status: 415, header: []string{"Content-Type", "application/x-www-form-urlencoded"}},
			{why: "text", body: good, status: 415, header: []string{"Content-Type", "text/plain"}},
			{why: "two media types", body: good, status: 415, header: []string{"Content-Type", "application/json, text/plain"}},
			{why: "another charset", body: good, status: 415, header: []string{"Content-Type", "application/json; charset=utf-16"}},
			{why: "NDJSON of a single thing", body: good, status: 415, header: []string{"Content-Type", "application/x-ndjson"}, skip: array},
			{why: "compressed", body: good, status: 415, header: []string{"Content-Encoding", "gzip"}},
			{why: "one byte over 1 MiB", body: good + huge[len(good)-1:], status: 413},
		} {
			if tc.skip {
				continue
			}
			t.Run(route.method+" "+route.path+" "+tc.why, func(t *testing.T) {
				w := r.send(request(route.method, path, tc.body, tc.header...))
				if p := mustProblem(t, w, tc.status); p.Field != tc.field || p.Index != nil {
					t.Errorf("problem %+v, want field %q", p, tc.field)
				}
				if got := w.Header().Get("Accept"); tc.status == 415 && got == "" && w.Header().Get("Accept-Encoding") == "" &&
					!strings.Contains(tc.why, "charset") {
					t.Error("a 415 must say what would do")
				}
			})
		}
	}
	if told := r.told(); len(told) > 0 {
		t.Errorf("bad input was taken for a fault: %v", told)
	}
}

func TestGoodBodyOnEveryRoute(t *testing.T) {
	for _, route := range bodies {
		for _, media := range []string{
			"application/json", "Application/JSON", "application/json; charset=utf-8", `application/json;charset="UTF-8"`,
		} {
			r := open(t, nil)
			fill := r.filled(t)
			good := fill.Replace(route.good)
			good += strings.Repeat(" ", 1<<20-len(good)) // exactly 1 MiB
			w := r.send(request(route.method, fill.Replace(route.path), good, "Content-Type", media, "Content-Encoding", "identity"))
			if w.Code < 200 || w.Code > 299 {
				t.Errorf("%s %s as %s = %d: %s", route.method, route.path, media, w.Code, w.Body)
			}
		}
	}
}

// wrong is a value of each JSON type but the one named, as members.
func wrong(kind string) (values []string) {
	for k, v := range map[string]string{
		"string": `"x"`, "number": `7`, "fraction": `1.5`, "huge": `1e999`, "long": `123456789012345678901234567890`,
		"bool": `true`, "array": `[[]]`, "object": `{"a":1}`,
	} {
		if k != kind {
			values = append(values, v)
		}
	}
	return values
}

func TestWrongTypeOfEveryMember(t *testing.T) {
	r := open(t, nil)
	fill := r.filled(t)
	for _, route := range []struct{ method, path, members string }{
		{"POST", workerPath, "type:string event_id:string occurred_at:string job_id:string job_type:string note_id:string percent:number " +
			"progress:number priority:number message:string duration_ms:number error:string will_retry:bool"},
		{"POST", notePath, "event_id:string occurred_at:string operation:string note_id:string user_id:string title:string tags:strings has_ai_content:bool has_links:bool"},
		{"POST", notesPath, "title:string content:string tags:strings user_id:string"},
		{"PATCH", notesPath + "/NOTE", "title:string content:string tags:strings user_id:string"},
		{"POST", jobsPath, "job_type:string note_id:string priority:number max_attempts:number"},
		{"POST", hooksPath, "url:string secret:string events:strings max_retries:number description:string headers:map is_active:bool"},
		{"PATCH", hooksPath + "/HOOK", "url:string secret:string events:strings max_retries:number description:string headers:map is_active:bool"},
		{"POST", hooksPath + "/HOOK/rotate-secret", "overlap_seconds:number"},
		{"POST", hooksPath + "/HOOK/redeliver", "status:string since:string"},
	} {
		for member := range strings.FieldsSeq(route.members) {
			name, kind, _ := strings.Cut(member, ":")
			for _, value := range wrong(kind) {
				body := fmt.Sprintf(`{%q:%s}`, name, value)
				p := mustProblem(t, r.send(request(route.method, fill.Replace(route.path), body)), http.StatusBadRequest)
				if !strings.HasPrefix(p.Field, name) {
					t.Errorf("%s %s %s: field %q, %s", route.method, route.path, body, p.Field, p.Detail)
				}
			}
		}
	}
}

// badRequests are the rules of single members, and of identifiers and queries.
var badRequests = []struct{ call, body, field string }{
	{"POST " + workerPath, `{}`, "type"},
	{"POST " + workerPath, `null`, ""},
	{"POST " + workerPath, `{"type":null}`, "type"},
	{"POST " + workerPath, `{"type":"NoteUpdated"}`, "type"},
	{"POST " + workerPath, `{"type":"QueueStatus"}`, "type"},
	{"POST " + workerPath, `{"type":"JobStarted"}`, "job_id"},
	{"POST " + workerPath, `{"type":"JobStarted","job_id":""}`, "job_id"},
	{"POST " + workerPath, `{"type":"JobStarted","job_id":"7"}`, "job_id"},
	{"POST " + workerPath, `{"type":"JobStarted","job_id":"00000000-0000-0000-0000-000000000000"}`, "job_id"},
	{"POST " + workerPath, `{"type":"JobStarted","job_id":"01930000-0000-7000-8000-00000000000g"}`, "job_id"},
	{"POST " + workerPath, `{"type":"JobStarted",` + aJob + `,"note_id":"x"}`, "note_id"},
	{"POST " + workerPath, `{"type":"JobStarted",` + aJob + `,"event_id":"x"}`, "event_id"},
	{"POST " + workerPath, `{"type":"JobStarted",` + aJob + `,"occurred_at":"yesterday"}`, "occurred_at"},
	{"POST " + workerPath, `{"type":"JobStarted",` + aJob + `,"job_type":"a b"}`, "job_type"},
	{"POST " + workerPath, `{"type":"JobStarted",` + aJob + `,"job_type":""}`, "job_type"},
	{"POST " + workerPath, `{"type":"JobProgress",` + aJob + `}`, "percent"},
	{"POST " + workerPath, `{"type":"JobProgress",` + aJob + `,"percent":101}`, "percent"},
	{"POST " + workerPath, `{"type":"JobProgress",` + aJob + `,"progress":-1}`, "progress"},
	{"POST " + workerPath, `{"type":"JobProgress",` + aJob + `,"progress":1,"percent":2}`, "progress"},
	{"POST " + workerPath, `{"type":"JobCompleted",` + aJob + `,"duration_ms":-1}`, "duration_ms"},
	{"POST " + workerPath, `{"type":"JobFailed",` + aJob + `,"error":"\u0000"}`, "error"},
	{"POST " + notePath, `{` + aNot + `}`, "operation"},
	{"POST " + notePath, `{"operation":"burnt",` + aNot + `}`, "operation"},
	{"POST " + notePath, `{"operation":"created"}`, "note_id"},
	{"POST " + notePath, `{"operation":"created","note_id":"x"}`, "note_id"},
	{"POST " + notePath, `{"operation":"created",` + aNot + `,"tags":[" "]}`, "tags"},
	{"POST " + notePath, `{"operation":"created",` + aNot + `,"user_id":"` + strings.Repeat("é", 201) + `"}`, "user_id"},
	{"POST " + notesPath, `{}`, "title"},
	{"POST " + notesPath, `null`, ""},
	{"POST " + notesPath, `{"title":"a\u0000b"}`, "title"},
	{"POST " + notesPath, `{"content":"a\u0000b"}`, "content"},
	{"POST " + notesPath, `{"title":"` + strings.Repeat("x", 1001) + `"}`, "title"},
	{"POST " + notesPath, `{"title":"t","tags":[""]}`, "tags"},
	{"POST " + notesPath, `{"title":"t","id":"` + unknownID + `"}`, "id"},
	{"PATCH " + notesPath + "/NOTE", `{}`, ""},
	{"PATCH " + notesPath + "/NOTE", `{"title":null}`, ""},
	{"PATCH " + notesPath + "/seven", `{"title":"t"}`, "id"},
	{"GET " + notesPath + "/seven", ``, "id"},
	{"DELETE " + notesPath + "/00000000-0000-0000-0000-000000000000", ``, "id"},
	{"GET " + notesPath + "?limit=0", ``, "limit"},
	{"GET " + notesPath + "?limit=501", ``, "limit"},
	{"GET " + notesPath + "?limit=many", ``, "limit"},
	{"GET " + notesPath + "?limit=99999999999999999999", ``, "limit"},
	{"GET " + notesPath + "?cursor=x", ``, "cursor"},
	{"GET " + notesPath + "?cursor=" + unknownID, ``, "cursor"},
	{"GET " + notesPath + "?q=%00", ``, "q"},
	{"GET " + notesPath + "?q=%ff", ``, "q"},
	{"GET " + notesPath + "?tag=%00", ``, "tag"},
	{"GET " + notesPath + "?q=%zz", ``, ""},
	{"GET " + notesPath + "?q=a;b", ``, ""},
	{"POST " + jobsPath, `{}`, "job_type"},
	{"POST " + jobsPath, `{"job_type":"!"}`, "job_type"},
	{"POST " + jobsPath, `{"job_type":"Embedding","note_id":"NOTE"}`, "job_type"},
	{"POST " + jobsPath, `{"job_type":"NoteAnalysis"}`, "note_id"},
	{"POST " + jobsPath, `{"job_type":"NoteAnalysis","note_id":"x"}`, "note_id"},
	{"POST " + jobsPath, `{"job_type":"NoteAnalysis","note_id":"` + unknownID + `"}`, "note_id"},
	{"POST " + jobsPath, `{"job_type":"NoteAnalysis","note_id":"NOTE","priority":0}`, "priority"},
	{"POST " + jobsPath, `{"job_type":"NoteAnalysis","note_id":"NOTE","priority":5}`, "priority"},
	{"POST " + jobsPath, `{"job_type":"NoteAnalysis","note_id":"NOTE","priority":-1}`, "priority"},
	{"POST " + jobsPath, `{"job_type":"NoteAnalysis","note_id":"NOTE","max_attempts":0}`, "max_attempts"},
	{"POST " + jobsPath, `{"job_type":"NoteAnalysis","note_id":"NOTE","max_attempts":26}`, "max_attempts"},
	{"GET " + jobsPath + "/seven", ``, "id"},
	{"POST " + jobsPath + "/seven/cancel", ``, "id"},
	{"GET " + jobsPath + "?state=lost", ``, "state"},
	{"GET " + jobsPath + "?note_id=x", ``, "note_id"},
	{"GET " + jobsPath + "?job_type=!", ``, "job_type"},
	{"GET " + jobsPath + "?limit=-1", ``, "limit"},
	{"GET " + jobsPath + "?cursor=" + unknownID, ``, "cursor"},
	{"DELETE /api/v1/connections/seven", ``, "id"},
	{"GET /api/v1/connections?sort=color", ``, "sort"},
	{"GET /api/v1/connections?limit=0", ``, "limit"},
	{"GET /api/v1/connections?transport=telex", ``, "transport"},
	{"POST " + hooksPath, `{}`, "url"},
	{"POST " + hooksPath, `{"url":""}`, "url"},
	{"POST " + hooksPath, `{"url":"http://receiver.example/"}`, "url"},
	{"POST " + hooksPath, `{"url":"https://u:p@receiver.example/"}`, "url"},
	{"POST " + hooksPath, `{"url":"https://r.example/","events":["shoes"]}`, "events"},
	{"POST " + hooksPath, `{"url":"https://r.example/","max_retries":21}`, "max_retries"},
	{"POST " + hooksPath, `{"url":"https://r.example/","max_retries":-1}`, "max_retries"},
	{"POST " + hooksPath, `{"url":"https://r.example/","secret":"short"}`, "secret"},
	{"POST " + hooksPath, `{"url":"https://r.example/","description":"` + strings.Repeat("x", 501) + `"}`, "description"},
	{"POST " + hooksPath, `{"url":"https://r.example/","headers":{"Host":"x"}}`, "headers"},
	{"POST " + hooksPath, `{"url":"https://r.example/","headers":{"X-Key":"a\r\nb"}}`, "headers"},
	{"PATCH " + hooksPath + "/HOOK", `{"url":"ftp://r.example/"}`, "url"},
	{"PATCH " + hooksPath + "/HOOK", `{"secret":"0123456789abcdef0123"}`, "secret"},
	{"PATCH " + hooksPath + "/HOOK", `{"events":["shoes"]}`, "events"},
	{"PATCH " + hooksPath + "/seven", `{}`, "id"},
	{"GET " + hooksPath + "/seven", ``, "id"},
	{"DELETE " + hooksPath + "/seven", ``, "id"},
	{"POST " + hooksPath + "/seven/test", ``, "id"},
	{"POST " + hooksPath + "/seven/rotate-secret", ``, "id"},
	{"POST " + hooksPath + "/HOOK/rotate-secret", `{"overlap_seconds":-1}`, "overlap_seconds"},
	{"POST " + hooksPath + "/HOOK/rotate-secret", `{"overlap_seconds":99999999}`, "overlap_seconds"},
	{"POST " + hooksPath + "/seven/redeliver", ``, "id"},
	{"POST " + hooksPath + "/HOOK/redeliver", `{"status":"pending"}`, "status"},
	{"POST " + hooksPath + "/HOOK/redeliver", `{"since":"yesterday"}`, "since"},
	{"GET " + hooksPath + "/seven/deliveries", ``, "id"},
	{"GET " + hooksPath + "/HOOK/deliveries?status=lost", ``, "status"},
	{"GET " + hooksPath + "/HOOK/deliveries?event_type=shoes", ``, "event_type"},
	{"GET " + hooksPath + "/HOOK/deliveries?limit=x", ``, "limit"},
	{"GET " + hooksPath + "/HOOK/deliveries?cursor=" + unknownID, ``, "cursor"},
	{"GET " + deliverPath + "/seven", ``, "id"},
	{"POST " + deliverPath + "/seven/redeliver", ``, "id"},
}

func TestBadMembersIdentifiersAndQueries(t *testing.T) {
	r := open(t, nil)
	fill := r.filled(t)
	for _, tc := range badRequests {
		t.Run(tc.call+" "+tc.body[:min(len(tc.body), 60)], func(t *testing.T) {
			method, target, _ := strings.Cut(fill.Replace(tc.call), " ")
			p := mustProblem(t, r.send(request(method, target, fill.Replace(tc.body))), http.StatusBadRequest)
			if p.Field != tc.field || p.Index != nil {
				t.Errorf("field %q, index %v, want field %q: %s", p.Field, p.Index, tc.field, p.Detail)
			}
		})
	}
	if told := r.told(); len(told) > 0 {
		t.Errorf("bad input was taken for a fault: %v", told)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	r := open(t, nil)
	for _, call := range []string{
		"GET " + notesPath + "/ID", "PATCH " + notesPath + "/ID", "DELETE " + notesPath + "/ID", "GET " + jobsPath + "/ID",
		"POST " + jobsPath + "/ID/cancel", "DELETE /api/v1/connections/ID", "GET " + hooksPath + "/ID", "PATCH " + hooksPath + "/ID",
		"DELETE " + hooksPath + "/ID", "POST " + hooksPath + "/ID/test", "POST " + hooksPath + "/ID/rotate-secret",
		"POST " + hooksPath + "/ID/redeliver", "GET " + hooksPath + "/ID/deliveries",
		"GET " + hooksPath + "/ID/deliveries?cursor=" + unknownID, "GET " + deliverPath + "/ID", "POST " + deliverPath + "/ID/redeliver",
	} {
		method, target, _ := strings.Cut(strings.Replace(call, "ID", unknownID, 1), " ")
		body := ""
		if method == http.MethodPatch {
			body = `{"title":"t"}`
			if strings.HasPrefix(target, hooksPath) {
				body = `{"description":"d"}`
			}
		}
		t.Run(call, func(t *testing.T) { mustProblem(t, r.send(request(method, target, body)), http.StatusNotFound) })
	}
}

func TestDuplicateKeysTakeTheLast(t *testing.T) {
	r := open(t, nil)
	if got := r.create(t, notesPath, `{"title":"first","title":"last"}`)["title"]; got != "last" {
		t.Errorf("title = %v", got)
	}
}

// endless is a body of unknown length.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// broken is a body whose client goes away.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errSecret }

func TestBodiesWithoutALength(t *testing.T) {
	r := open(t, nil)
	hook := r.create(t, hooksPath, `{"url":"https://r.example/"}`)["id"].(string)
	for _, path := range []string{workerPath, notePath, notesPath, jobsPath, hooksPath, hooksPath + "/" + hook + "/rotate-secret"} {
		req := request("POST", path, "")
		req.ContentLength, req.Body = -1, io.NopCloser(endless{})
		mustProblem(t, r.send(req), http.StatusRequestEntityTooLarge)
		req = request("POST", path, "")
		req.ContentLength, req.Body = -1, io.NopCloser(broken{})
		mustProblem(t, r.send(req), http.StatusBadRequest)
	}
	req := request("POST", hooksPath+"/"+hook+"/rotate-secret", "", "Content-Type", "") // chunked, and then no chunk
	req.ContentLength, req.Body = -1, io.NopCloser(strings.NewReader(""))
	if w := r.send(req); w.Code != http.StatusOK {
		t.Errorf("no body at all, but its length was not announced: %d %s", w.Code, w.Body)
	}
}
