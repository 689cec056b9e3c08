package domain_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain"
)

const uuidText = "019ab3f2-7c01-7d4e-8a5b-012345678901" // id(1)

// badBodies is wrong for every kind of producer event, whatever the members.
var badBodies = map[string]string{
	"empty body":            "",
	"white space":           " \n\t",
	"array":                 `[]`,
	"string":                `"JobQueued"`,
	"number":                `7`,
	"truth":                 `true`,
	"cut short":             `{"title":"x"`,
	"cut within a string":   `{"title":"`,
	"no JSON":               `type=JobQueued`,
	"form of JavaScript":    `{type:'JobQueued'}`,
	"NUL byte":              "\x00",
	"byte order mark":       "\ufeff{}",
	"raw newline in string": "{\"title\":\"a\nb\"}",
	"too deep":              `{"title":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
	"number of no form":     `{"percent":01}`,
	"not a number":          `{"percent":NaN}`,
}

func TestDecodersRefuseWhatIsNoObject(t *testing.T) {
	for name, in := range badBodies {
		t.Run(name, func(t *testing.T) {
			_, workerErr := domain.DecodeWorkerEvent([]byte(in))
			_, noteErr := domain.DecodeNoteEvent([]byte(in))
			for _, err := range []error{workerErr, noteErr} {
				fe := fieldError(t, err, "")
				noGoWords(t, fe.Detail)
				if len(fe.Detail) > 200 {
					t.Errorf("message of %d bytes", len(fe.Detail))
				}
			}
		})
	}
}

type badInput struct{ in, field, says string }

// refuse checks a table of bad input. in is the members, without the braces.
func refuse(t *testing.T, table map[string]badInput, decode func(data []byte) error) {
	t.Helper()
	for name, tt := range table {
		t.Run(name, func(t *testing.T) {
			fe := fieldError(t, decode([]byte("{"+tt.in+"}")), tt.field)
			noGoWords(t, fe.Error())
			if !strings.Contains(fe.Detail, tt.says) {
				t.Errorf("message %q does not say %q", fe.Detail, tt.says)
			}
			if len(fe.Error()) > 400 {
				t.Errorf("message of %d bytes repeats the input", len(fe.Error()))
			}
		})
	}
}

func TestDecodeWorkerEventRefuses(t *testing.T) {
	const (
		job      = `"job_id":"` + uuidText + `"`
		queued   = `"type":"JobQueued",` + job
		progress = `"type":"JobProgress",` + job
	)
	refuse(t, map[string]badInput{
		"no members":                      {``, "type", "required"},
		"no type":                         {job, "type", "required"},
		"null type":                       {`"type":null,` + job, "type", "required"},
		"empty type":                      {`"type":"",` + job, "type", "JobQueued"},
		"unknown type lists the names":    {`"type":"JobPaused",` + job, "type", "WorkerStopped"},
		"type that producers do not send": {`"type":"NoteUpdated",` + job, "type", "NoteUpdated"},
		"dotted type":                     {`"type":"job.queued",` + job, "type", "job.queued"},
		"very long type":                  {`"type":"` + strings.Repeat("é", 5000) + `"`, "type", "…"},
		"type with NUL":                   {`"type":"JobQueued\u0000",` + job, "type", `\x00`},

		"no job_id":              {`"type":"JobQueued"`, "job_id", "required"},
		"null job_id":            {`"type":"JobStarted","job_id":null`, "job_id", "required for JobStarted"},
		"empty job_id":           {`"type":"JobQueued","job_id":""`, "job_id", "UUID"},
		"bad job_id":             {`"type":"JobQueued","job_id":"42"`, "job_id", `"42" is not a UUID`},
		"nil job_id":             {`"type":"JobQueued","job_id":"00000000-0000-0000-0000-000000000000"`, "job_id", "UUID"},
		"bad job_id of a worker": {`"type":"WorkerStarted","job_id":"42"`, "job_id", "UUID"},
		"bad note_id":            {queued + `,"note_id":"x"`, "note_id", "UUID"},
		"bad event_id":           {queued + `,"event_id":"x"`, "event_id", "UUID"},
		"very long event_id":     {queued + `,"event_id":"` + strings.Repeat("7", 9000) + `"`, "event_id", "…"},
		"bad occurred_at":        {queued + `,"occurred_at":"yesterday"`, "occurred_at", "RFC 3339"},
		"occurred_at past 9999":  {queued + `,"occurred_at":"9999-12-31T23:30:00-01:00"`, "occurred_at", "RFC 3339"},
		"bad job_type":           {queued + `,"job_type":"ai revision"`, "job_type", "AiRevision"},
		"empty job_type":         {queued + `,"job_type":""`, "job_type", "1 to 100"},
		"job_type with NUL":      {queued + `,"job_type":"ai\u0000"`, "job_type", `\x00`},

		"no percent":                    {progress, "percent", "required"},
		"null percent":                  {progress + `,"percent":null`, "percent", "required"},
		"percent below 0":               {progress + `,"percent":-1`, "percent", "0 to 100"},
		"percent above 100":             {progress + `,"percent":101`, "percent", "101"},
		"percent of another event":      {queued + `,"percent":101`, "percent", "0 to 100"},
		"percent with a fraction":       {progress + `,"percent":65.5`, "percent", "whole number, not 65.5"},
		"percent as a whole float":      {progress + `,"percent":65.0`, "percent", "whole number, not 65.0"},
		"percent with an exponent":      {progress + `,"percent":1e2`, "percent", "whole number"},
		"percent past int64":            {progress + `,"percent":9223372036854775808`, "percent", "whole number"},
		"percent of 5000 digits":        {progress + `,"percent":` + strings.Repeat("9", 5000), "percent", "…"},
		"percent past float64":          {progress + `,"percent":1e400`, "percent", "whole number"},
		"percent as text":               {progress + `,"percent":"65"`, "percent", "a whole number, not a string"},
		"percent as a truth":            {progress + `,"percent":true`, "percent", "a whole number, not true or false"},
		"percent as an array":           {progress + `,"percent":[65]`, "percent", "a whole number, not an array"},
		"percent as an object":          {progress + `,"percent":{}`, "percent", "a whole number, not an object"},
		"percent differs from progress": {progress + `,"percent":1,"progress":2`, "progress", "differ"},
		"progress as text":              {progress + `,"progress":"65"`, "progress", "whole number"},
		"negative duration":             {queued + `,"duration_ms":-1`, "duration_ms", "negative"},
		"duration past int64":           {queued + `,"duration_ms":1e30`, "duration_ms", "whole number"},
		"priority as text":              {queued + `,"priority":"high"`, "priority", "whole number"},

		"type as a number":         {`"type":7`, "type", "a string, not a number"},
		"job_id as a number":       {`"type":"JobQueued","job_id":7`, "job_id", "a string, not a number"},
		"job_type as an array":     {queued + `,"job_type":["a"]`, "job_type", "a string, not an array"},
		"note_id as a truth":       {queued + `,"note_id":false`, "note_id", "a string, not true or false"},
		"event_id as an object":    {queued + `,"event_id":{}`, "event_id", "a string, not an object"},
		"occurred_at as a number":  {queued + `,"occurred_at":1700000000`, "occurred_at", "a string, not a number"},
		"message as an object":     {queued + `,"message":{"a":1}`, "message", "a string, not an object"},
		"error as an array":        {queued + `,"error":[]`, "error", "a string, not an array"},
		"will_retry as text":       {queued + `,"will_retry":"yes"`, "will_retry", "true or false, not a string"},
		"will_retry as a number":   {queued + `,"will_retry":1`, "will_retry", "true or false, not a number"},
		"duration_ms as text":      {queued + `,"duration_ms":"1s"`, "duration_ms", "whole number"},
		"NUL in message":           {queued + `,"message":"a\u0000b"`, "message", "NUL"},
		"NUL in error":             {queued + `,"error":"\u0000"`, "error", "NUL"},
		"unknown field":            {queued + `,"retries":3`, "retries", "unknown field"},
		"unknown nested field":     {queued + `,"x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500), "x", "unknown field"},
		"type in capitals":         {`"TYPE":"JobQueued"`, "TYPE", "lower case"},
		"job_id in mixed case":     {`"type":"JobQueued","Job_Id":"01930000-0000-7000-8000-000000000001"`, "Job_Id", "lower case"},
		"a letter that folds":      {queued + `,"me\u017Fsage":"m"`, "meſsage", "lower case"},
		"behind text with quotes":  {queued + `,"message":"a\"}\\","ERROR":"b"`, "ERROR", "lower case"},
		"trailing object":          {queued + `} {`, "", "after the JSON value"},
		"trailing text":            {queued + `} x{`, "", "after the JSON value"},
		"trailing NUL and newline": {queued + "}\n\x00{", "", "after the JSON value"},
	}, func(data []byte) error {
		_, err := domain.DecodeWorkerEvent(data)
		return err
	})
}

func TestDecodeStrictClipsAnUnknownFieldsName(t *testing.T) {
	_, err := domain.DecodeWorkerEvent([]byte(`{"x` + strings.Repeat("é", 5000) + `":1}`))
	if fe := fieldError(t, err, "x"+strings.Repeat("é", 31)+"…"); fe.Detail != "unknown field" {
		t.Errorf("message %q", fe.Detail)
	}
}

func TestDecodeWorkerEvent(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want domain.WorkerEvent
	}{
		"everything": {
			`{"type":"JobProgress","event_id":"019ab3f2-7c01-7d4e-8a5b-0123456789e0","occurred_at":"2026-11-23T13:41:48.123+01:00",
			  "job_id":"019AB3F2-7C01-7D4E-8A5B-012345678901","job_type":"ai_revision","note_id":"019ab3f2-7c01-7d4e-8a5b-012345678902",
			  "percent":65,"priority":-3,"message":"é😀","duration_ms":0,"error":"e","will_retry":true}`,
			domain.WorkerEvent{
				Kind: domain.JobKind(domain.TypeJobProgress), EventID: id(0xE0), OccurredAt: noon, JobID: id(1), JobType: "AiRevision",
				NoteID: id(2), Percent: ptr(65), Priority: ptr(-3), Message: "é😀", DurationMS: ptr(int64(0)), Error: "e", WillRetry: true,
			},
		},
		"snake case type":           {`{"type":"job_queued","job_id":"` + uuidText + `"}`, worker(domain.TypeJobQueued)},
		"progress for percent":      {`{"type":"JobProgress","job_id":"` + uuidText + `","progress":0}`, withPercent(0)},
		"both names with one value": {`{"type":"JobProgress","job_id":"` + uuidText + `","progress":100,"percent":100}`, withPercent(100)},
		"null counts as absent": {
			`{"type":"JobQueued","job_id":"` + uuidText + `","job_type":null,"note_id":null,"event_id":null,"occurred_at":null,"percent":null,` +
				`"progress":null,"priority":null,"message":null,"duration_ms":null,"error":null,"will_retry":null}`,
			worker(domain.TypeJobQueued),
		},
		"worker without a job":         {`{"type":"WorkerStarted"}`, domain.WorkerEvent{Kind: domain.WorkerStarted}},
		"worker in snake case":         {`{"type":"worker_stopped"}`, domain.WorkerEvent{Kind: domain.WorkerStopped}},
		"white space around":           {" \n{\"type\":\"WorkerStarted\"}\r\n ", domain.WorkerEvent{Kind: domain.WorkerStarted}},
		"half a surrogate is replaced": {`{"type":"WorkerStarted","message":"\ud83d"}`, domain.WorkerEvent{Kind: domain.WorkerStarted, Message: "\ufffd"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := domain.DecodeWorkerEvent([]byte(tt.in))
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(sameKind)); err != nil || diff != "" {
				t.Errorf("DecodeWorkerEvent: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func sameKind(a, b domain.WorkerKind) bool { return a == b }

func worker(typ domain.Type) domain.WorkerEvent {
	return domain.WorkerEvent{Kind: domain.JobKind(typ), JobID: id(1)}
}

func withPercent(percent int) domain.WorkerEvent {
	w := worker(domain.TypeJobProgress)
	w.Percent = &percent
	return w
}

// genStorable is hostile text without NUL, which the decoders refuse.
var genStorable = rapid.Map(genHostile, func(s string) string { return strings.ReplaceAll(s, "\x00", "") })

var genWorkerEvent = rapid.Custom(func(t *rapid.T) domain.WorkerEvent {
	kinds := []domain.WorkerKind{domain.WorkerStarted, domain.WorkerStopped}
	for typ := range domain.AllTypes.All() {
		if kind := domain.JobKind(typ); kind != (domain.WorkerKind{}) {
			kinds = append(kinds, kind)
		}
	}
	w := domain.WorkerEvent{
		Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), JobID: genUUID.Draw(t, "job"),
		Percent: ptr(rapid.IntRange(0, 100).Draw(t, "percent")), Priority: optional(t, rapid.Int(), "priority"),
		Message: genStorable.Draw(t, "message"), DurationMS: optional(t, rapid.Int64Min(0), "duration"),
		Error: genStorable.Draw(t, "error"), WillRetry: rapid.Bool().Draw(t, "retry"),
	}
	if rapid.Bool().Draw(t, "complete") {
		w.EventID, w.NoteID, w.JobType = genUUID.Draw(t, "event"), genUUID.Draw(t, "note"), genJobType.Draw(t, "type")
		w.OccurredAt = genTime.Draw(t, "at")
	}
	return w
})

func TestWorkerEventSurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := genWorkerEvent.Draw(t, "event")
		for _, marshal := range []func() ([]byte, error){w.MarshalJSON, func() ([]byte, error) { return json.Marshal(w) }} {
			data, err := marshal()
			if err != nil {
				t.Fatal(err)
			}
			checkWireBytes(t, data)
			got, err := domain.DecodeWorkerEvent(data)
			if err != nil {
				t.Fatalf("DecodeWorkerEvent(%s): %v", data, err)
			}
			want := w
			want.Message, want.Error = replaced(w.Message), replaced(w.Error)
			if diff := cmp.Diff(want, got, cmp.Comparer(sameKind)); diff != "" {
				t.Fatalf("%s changed on the way (-sent +received):\n%s", data, diff)
			}
		}
	})
}

// Events that come from elsewhere than the decoders are checked by the same rules.
func TestValidate(t *testing.T) {
	done := worker(domain.TypeJobCompleted)
	done.DurationMS = ptr(int64(-1))
	for name, tt := range map[string]struct {
		event interface{ Validate() error }
		field string
	}{
		"worker event without a job":      {&domain.WorkerEvent{Kind: domain.JobKind(domain.TypeJobQueued)}, "job_id"},
		"progress without a value":        {ptr(worker(domain.TypeJobProgress)), "percent"},
		"progress out of range":           {ptr(withPercent(101)), "percent"},
		"negative duration":               {&done, "duration_ms"},
		"note event without an operation": {&domain.NoteEvent{Note: domain.NoteUpdated{NoteID: id(2)}}, "operation"},
		"note event without a note":       {&domain.NoteEvent{Note: domain.NoteUpdated{Operation: domain.Created}}, "note_id"},
		"note event with an empty tag": {
			&domain.NoteEvent{Note: domain.NoteUpdated{NoteID: id(2), Operation: domain.Created, Tags: []string{""}}}, "tags",
		},
	} {
		t.Run(name, func(t *testing.T) { refused(t, tt.event.Validate(), tt.field) })
	}
	for name, event := range map[string]interface{ Validate() error }{
		"worker coming": &domain.WorkerEvent{Kind: domain.WorkerStarted},
		"progress":      ptr(withPercent(0)),
		"note event":    &domain.NoteEvent{Note: domain.NoteUpdated{NoteID: id(2), Operation: domain.Deleted}},
	} {
		if err := event.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
