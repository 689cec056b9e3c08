package domain_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

func TestParseJobType(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want domain.JobType
	}{
		"pascal case stays":           {"AiRevision", "AiRevision"},
		"snake case":                  {"ai_revision", "AiRevision"},
		"kebab case":                  {"ai-revision", "AiRevision"},
		"mixed separators":            {"full-text_indexing", "FullTextIndexing"},
		"one word":                    {"embedding", "Embedding"},
		"one letter":                  {"x", "X"},
		"camel case":                  {"aiRevision", "AiRevision"},
		"acronym stays":               {"OCR", "OCR"},
		"acronym inside":              {"RunOCRNow", "RunOCRNow"},
		"shouting snake case":         {"AI_REVISION", "AiRevision"},
		"shouting kebab case":         {"AI-REVISION", "AiRevision"},
		"digits":                      {"step2_of_3", "Step2Of3"},
		"longest":                     {strings.Repeat("a", 100), domain.JobType("A" + strings.Repeat("a", 99))},
		"capitals in some words stay": {"run_OCR", "RunOCR"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := domain.ParseJobType("job_type", tt.in); err != nil || got != tt.want {
				t.Errorf("ParseJobType(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestParseJobTypeRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"empty":               "",
		"too long":            strings.Repeat("a", 101),
		"digit first":         "2step",
		"separator first":     "_ai",
		"separator last":      "ai_",
		"only a separator":    "-",
		"two separators":      "ai__revision",
		"space":               "ai revision",
		"dot":                 "ai.revision",
		"letter beyond ASCII": "Überprüfung",
		"control character":   "ai\x00",
		"not UTF-8":           "ai\xff",
		"markup":              `<b>"`,
		"megabyte":            strings.Repeat("é", 1<<19),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := domain.ParseJobType("type", in)
			fe := fieldError(t, err, "type")
			if got != "" || len(fe.Detail) > 200 {
				t.Errorf("ParseJobType = %q, %q", got, fe.Detail)
			}
		})
	}
}

func TestBuiltinJobTypesAreCanonical(t *testing.T) {
	for _, typ := range domain.BuiltinJobTypes() {
		if got, err := domain.ParseJobType("type", string(typ)); err != nil || got != typ {
			t.Errorf("ParseJobType(%q) = %q, %v", typ, got, err)
		}
	}
}

func TestJobStatesFinal(t *testing.T) {
	final := map[domain.JobState]bool{
		domain.JobStateQueued: false, domain.JobStateRunning: false, domain.JobStateRetrying: false,
		domain.JobStateCompleted: true, domain.JobStateFailed: true, domain.JobStateCanceled: true,
	}
	got := map[domain.JobState]bool{}
	for _, s := range domain.JobStates() {
		got[s] = s.Final()
	}
	if diff := cmp.Diff(final, got); diff != "" {
		t.Errorf("states and whether they are final (-want +got):\n%s", diff)
	}
}

func TestJobSpecValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		in            domain.JobSpec
		wantPriority  int
		wantAttempts  int
		wantErrorOver string
	}{
		"defaults":              {domain.JobSpec{}, domain.DefaultPriority, domain.DefaultJobAttempts, ""},
		"lowest":                {domain.JobSpec{Priority: 1, MaxAttempts: 1}, 1, 1, ""},
		"highest":               {domain.JobSpec{Priority: 4, MaxAttempts: 25}, 4, 25, ""},
		"negative priority":     {domain.JobSpec{Priority: -1}, 0, 0, "priority"},
		"priority too high":     {domain.JobSpec{Priority: 5}, 0, 0, "priority"},
		"negative max_attempts": {domain.JobSpec{MaxAttempts: -1}, 0, 0, "max_attempts"},
		"max_attempts too high": {domain.JobSpec{MaxAttempts: 26}, 0, 0, "max_attempts"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.in.Validate()
			if tt.wantErrorOver != "" {
				refused(t, err, tt.wantErrorOver)
				return
			}
			if err != nil || got.Priority != tt.wantPriority || got.MaxAttempts != tt.wantAttempts {
				t.Errorf("Validate(%+v) = %+v, %v", tt.in, got, err)
			}
		})
	}
}
