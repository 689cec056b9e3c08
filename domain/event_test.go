package domain_test

import (
	"bytes"
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain"
)

var goldenEvents = map[string]domain.Payload{
	"job_queued.full":    domain.JobQueued{JobRef: fullRef(), Priority: ptr(0)},
	"job_started.full":   domain.JobStarted{JobRef: fullRef()},
	"job_progress.full":  domain.JobProgress{JobRef: fullRef(), Percent: 65, Message: `half "way" <b> & \ é 😀` + "\n\t\x01\u2028"},
	"job_completed.full": domain.JobCompleted{JobRef: fullRef(), DurationMS: ptr(int64(0))},
	"job_failed.full":    domain.JobFailed{JobRef: fullRef(), Error: "model gone", WillRetry: true},
	"note_updated.full": domain.NoteUpdated{
		NoteID: id(2), Operation: domain.Created, UserID: "ana", Title: "A note", Tags: []string{"go", `"x"`},
		HasAIContent: true, HasLinks: true,
	},
	"queue_status.full": domain.QueueStatus{Running: 2, Pending: 3},

	"job_queued.minimal":    domain.JobQueued{JobRef: minimalRef()},
	"job_started.minimal":   domain.JobStarted{JobRef: minimalRef()},
	"job_progress.minimal":  domain.JobProgress{JobRef: domain.JobRef{JobID: id(1)}},
	"job_completed.minimal": domain.JobCompleted{JobRef: minimalRef()},
	"job_failed.minimal":    domain.JobFailed{JobRef: minimalRef()},
	"note_updated.minimal":  domain.NoteUpdated{NoteID: id(2), Operation: domain.Deleted},
	"queue_status.minimal":  domain.QueueStatus{},
}

func fullRef() domain.JobRef {
	return domain.JobRef{JobID: id(1), JobType: "AiRevision", NoteID: id(2)}
}

func minimalRef() domain.JobRef { return domain.JobRef{JobID: id(1), JobType: "Embedding"} }

// The files are the contract: one line each, the event's bytes and a newline.
func TestEventGolden(t *testing.T) {
	types := domain.TypeSet(0)
	for name, payload := range goldenEvents {
		t.Run(name, func(t *testing.T) {
			e := domain.Event{ID: id(0xE0), OccurredAt: noon, Payload: payload}
			if name == "queue_status.minimal" {
				e.ID = domain.UUID{} // the snapshot for one client
			}
			golden(t, filepath.Join("testdata", "events", name+".json"), string(e.AppendJSON(nil))+"\n")
		})
		types |= domain.Set(payload.Type())
	}
	if types != domain.AllTypes || len(goldenEvents) != 2*domain.AllTypes.Len() {
		t.Errorf("golden files for %v, want each type in full and in minimal form", types.Names())
	}
}

// members lists the members of each type as the contract orders them; ? marks those left out when absent.
var members = map[domain.Type]string{
	domain.TypeJobQueued:    "job_id job_type note_id? priority?",
	domain.TypeJobStarted:   "job_id job_type note_id?",
	domain.TypeJobProgress:  "job_id job_type? note_id? progress progress_percent message?",
	domain.TypeJobCompleted: "job_id job_type note_id? duration_ms?",
	domain.TypeJobFailed:    "job_id job_type note_id? error will_retry",
	domain.TypeNoteUpdated:  "note_id operation user_id? title? tags has_ai_content has_links",
	domain.TypeQueueStatus:  "total_jobs running pending",
}

func TestEventMembersStandInContractOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEvent.Draw(t, "event")
		keys := objectKeys(t, e.AppendJSON(nil))
		for want := range strings.FieldsSeq("type event_id? occurred_at " + members[e.Type()]) {
			name, mayMiss := strings.CutSuffix(want, "?")
			if len(keys) > 0 && keys[0] == name {
				keys = keys[1:]
			} else if !mayMiss {
				t.Fatalf("%s comes without %s at its place: %s", e.Type(), name, e.AppendJSON(nil))
			}
		}
		if len(keys) > 0 {
			t.Fatalf("%s has members %q that the contract does not have there", e.Type(), keys)
		}
	})
}

// objectKeys returns the member names of an object whose members are no objects, in their order.
func objectKeys(t *rapid.T, data []byte) (keys []string) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.(string))
		var value any
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
		if value == nil {
			t.Fatalf("%s is null", key)
		}
	}
	return keys
}

func TestEventSurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEvent.Draw(t, "event")
		data := e.AppendJSON([]byte("before"))
		if !bytes.HasPrefix(data, []byte("before{")) {
			t.Fatalf("AppendJSON did not append: %q", data)
		}
		data = data[len("before"):]
		checkWireBytes(t, data)
		if viaJSON, err := json.Marshal(e); err != nil || !jsonEqual(viaJSON, data) {
			t.Fatalf("json.Marshal = %s, %v; want %s", viaJSON, err, data)
		}
		got, err := domain.DecodeEvent(data)
		if err != nil {
			t.Fatalf("DecodeEvent(%s): %v", data, err)
		}
		want := e
		want.Payload = withReplaced(e.Payload)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s changed on the way (-sent +received):\n%s", data, diff)
		}
	})
}

// checkWireBytes fails unless data may stand as one SSE data line and one WebSocket text message.
func checkWireBytes(t interface{ Fatalf(string, ...any) }, data []byte) {
	if !json.Valid(data) {
		t.Fatalf("not JSON: %q", data)
	}
	if i := bytes.IndexFunc(data, func(r rune) bool { return r < ' ' }); i >= 0 {
		t.Fatalf("raw control character at byte %d: %q", i, data)
	}
	if !bytes.Equal(data, bytes.ToValidUTF8(data, nil)) {
		t.Fatalf("not UTF-8: %q", data)
	}
}

func jsonEqual(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
}

// withReplaced is the payload with its text as a receiver of JSON gets it.
func withReplaced(p domain.Payload) domain.Payload {
	switch p := p.(type) {
	case domain.JobProgress:
		p.Message = replaced(p.Message)
		return p
	case domain.JobFailed:
		p.Error = replaced(p.Error)
		return p
	case domain.NoteUpdated:
		p.UserID, p.Title, p.Tags = replaced(p.UserID), replaced(p.Title), slices.Clone(p.Tags)
		for i, tag := range p.Tags {
			p.Tags[i] = replaced(tag)
		}
		return p
	}
	return p
}

func TestEventTimeIsUTCWithMilliseconds(t *testing.T) {
	cest := time.FixedZone("CEST", 2*60*60)
	for name, tt := range map[string]struct {
		at   time.Time
		want string
	}{
		"other zone":            {time.Date(2026, 7, 1, 1, 0, 0, 0, cest), "2026-06-30T23:00:00.000Z"},
		"digits beyond are cut": {time.Date(2026, 7, 1, 1, 0, 0, 1_999_999, time.UTC), "2026-07-01T01:00:00.001Z"},
	} {
		e := domain.Event{OccurredAt: tt.at, Payload: domain.QueueStatus{}}
		if got := string(e.AppendJSON(nil)); !strings.Contains(got, `"occurred_at":"`+tt.want+`"`) {
			t.Errorf("%s: %s, want the time %s", name, got, tt.want)
		}
	}
}

func TestQueueStatusTotalDoesNotOverflowInt32(t *testing.T) {
	got := string(domain.Event{Payload: domain.QueueStatus{Running: math.MaxInt32, Pending: math.MaxInt32}}.AppendJSON(nil))
	if !strings.Contains(got, `"total_jobs":4294967294,`) {
		t.Errorf("%s, want the sum of running and pending", got)
	}
}

func TestDecodeEventRefuses(t *testing.T) {
	const (
		head = `{"type":"JobQueued","occurred_at":"2026-11-23T12:41:48.123Z"`
		job  = `,"job_id":"019ab3f2-7c01-7d4e-8a5b-0123456789ab"`
		note = `{"type":"NoteUpdated","occurred_at":"2026-11-23T12:41:48.123Z"`
	)
	for name, tt := range map[string]struct{ in, field string }{
		"empty":                          {``, ""},
		"an array":                       {`[]`, ""},
		"cut short":                      {`{"type":`, ""},
		"trailing data":                  {head + job + `,"job_type":"X"} {}`, ""},
		"no type":                        {`{}`, "type"},
		"type outside the seven":         {`{"type":"JobPaused"}`, "type"},
		"type in another form":           {`{"type":"job.queued"}`, "type"},
		"type of the wrong kind":         {`{"type":7}`, "type"},
		"very long type":                 {`{"type":"` + strings.Repeat("é", 5000) + `"}`, "type"},
		"no time":                        {`{"type":"QueueStatus"}`, "occurred_at"},
		"time of another form":           {`{"type":"QueueStatus","occurred_at":"yesterday"}`, "occurred_at"},
		"time after year 9999 in UTC":    {`{"type":"QueueStatus","occurred_at":"9999-12-31T23:59:59-01:00"}`, "occurred_at"},
		"time before year 0 in UTC":      {`{"type":"QueueStatus","occurred_at":"0000-01-01T00:00:00+01:00"}`, "occurred_at"},
		"job without job_id":             {head + `,"job_type":"X"}`, "job_id"},
		"job without job_type":           {head + job + `}`, "job_type"},
		"identifier that is none":        {head + `,"job_id":"7"}`, ""},
		"identifier that is a number":    {head + `,"job_id":7}`, "job_id"},
		"progress without a value":       {strings.Replace(head, "JobQueued", "JobProgress", 1) + job + `}`, "progress"},
		"progress that is a fraction":    {strings.Replace(head, "JobQueued", "JobProgress", 1) + job + `,"progress":0.5}`, "progress"},
		"note without operation":         {note + `,"note_id":"019ab3f2-7c01-7d4e-8a5b-0123456789ab"}`, "operation"},
		"note with another operation":    {note + `,"operation":"renamed","note_id":"019ab3f2-7c01-7d4e-8a5b-0123456789ab"}`, "operation"},
		"note without note_id":           {note + `,"operation":"created"}`, "note_id"},
		"tags that are no array":         {note + `,"tags":"a"}`, "tags"},
		"flag that is neither yes or no": {note + `,"has_links":"yes"}`, "has_links"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := domain.DecodeEvent([]byte(tt.in))
			fe := fieldError(t, err, tt.field)
			noGoWords(t, fe.Error())
			if len(fe.Detail) > 200 {
				t.Errorf("message of %d bytes repeats the input", len(fe.Detail))
			}
		})
	}
}

func TestDecodeEventSaysWhenAnIdentifierIsNone(t *testing.T) {
	_, err := domain.DecodeEvent([]byte(`{"type":"JobQueued","job_id":"7"}`))
	if fe := fieldError(t, err, ""); !strings.Contains(fe.Detail, "UUID") {
		t.Errorf("message %q, want it to speak of the UUID", fe)
	}
}

func TestDecodeEventIgnoresWhatANewerServerSends(t *testing.T) {
	in := `{"type":"QueueStatus","occurred_at":"2026-11-23T12:41:48.123Z","region":{"a":[1]},"running":1,"pending":2}`
	got, err := domain.DecodeEvent([]byte(in))
	want := domain.Event{OccurredAt: noon, Payload: domain.QueueStatus{Running: 1, Pending: 2}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("DecodeEvent: %v\n%s", err, diff)
	}
}

func TestPayloadSubject(t *testing.T) {
	for name, payload := range goldenEvents {
		job, note := payload.Subject()
		_, isNote := payload.(domain.NoteUpdated)
		_, isQueue := payload.(domain.QueueStatus)
		if hasJob := !isNote && !isQueue; hasJob != (job == id(1)) || (job.IsZero() == hasJob) {
			t.Errorf("%s: Subject() job = %v", name, job)
		}
		if hasNote := isNote || !isQueue && strings.HasSuffix(name, ".full"); hasNote != (note == id(2)) || note.IsZero() == hasNote {
			t.Errorf("%s: Subject() note = %v", name, note)
		}
	}
}
