package app_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

func newID() domain.UUID { return domain.UUID(uuid.Must(uuid.NewV7())) }

// silent is an observer that keeps the last anomaly.
type silent struct{ anomaly error }

func (*silent) ConnectionOpened(domain.Connection)         {}
func (*silent) ConnectionClosed(domain.Connection, string) {}
func (*silent) Refused(_, _ string)                        {}
func (s *silent) Anomaly(_ string, err error)              { s.anomaly = err }

// report is one call of a job's report.
type report struct {
	Percent int
	Message string
}

// analyze runs one job on a note with the content.
func analyze(t *testing.T, kind domain.JobType, title, content string) (*domain.Analysis, []report) {
	t.Helper()
	store := memory.New(newID)
	note, err := app.NewNotes(store.Notes(), newID, nil).Create(t.Context(), domain.NotePatch{Title: &title, Content: &content})
	if err != nil {
		t.Fatal(err)
	}
	var reports []report
	result, err := app.NewAnalyst(store.Notes(), &silent{}).Run(t.Context(), domain.Job{Type: kind, NoteID: note.ID}, func(percent int, message string) error {
		reports = append(reports, report{percent, message})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.NoteID != note.ID || result.Revision != note.Revision {
		t.Errorf("the result is of note %s, revision %d; want %s, %d", result.NoteID, result.Revision, note.ID, note.Revision)
	}
	return result, reports
}

func TestAnalyst(t *testing.T) {
	links := []domain.Link{{Title: "World"}, {URL: "https://example.org/x"}}
	tags := []string{"garden"}
	for _, tc := range []struct {
		kind    domain.JobType
		want    domain.Analysis
		reports []report
	}{
		{
			domain.JobNoteAnalysis,
			domain.Analysis{Links: &links, SuggestedTags: &tags, Index: true},
			[]report{{33, "links found: 2"}, {66, "words to index: 3"}, {100, "tags suggested: 1"}},
		},
		{domain.JobLinkExtraction, domain.Analysis{Links: &links}, []report{{100, "links found: 2"}}},
		{domain.JobFullTextIndexing, domain.Analysis{Index: true}, []report{{100, "words to index: 3"}}},
		{domain.JobTagSuggestion, domain.Analysis{SuggestedTags: &tags}, []report{{100, "tags suggested: 1"}}},
	} {
		t.Run(string(tc.kind), func(t *testing.T) {
			got, reports := analyze(t, tc.kind, "Garden", "See [[World]] and https://example.org/x. A garden.")
			got.NoteID, got.Revision = domain.UUID{}, 0
			if diff := cmp.Diff(tc.want, *got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.reports, reports); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnalystTellsOfLongWorkAsItGoes(t *testing.T) {
	_, reports := analyze(t, domain.JobNoteAnalysis, "Long", strings.Repeat("many words in a row ", 20_000))
	if n := len(reports); n < 8 || n > 25 {
		t.Errorf("%d reports for a long note; want several, but no flood", n)
	}
	if !slices.IsSortedFunc(reports, func(a, b report) int { return a.Percent - b.Percent }) || reports[len(reports)-1].Percent != 100 {
		t.Errorf("reports = %v; want them to rise to 100", reports)
	}
}

func TestAnalystOnAnEmptyNote(t *testing.T) {
	got, reports := analyze(t, domain.JobNoteAnalysis, "", "")
	if len(*got.Links) != 0 || len(*got.SuggestedTags) != 0 || reports[len(reports)-1].Percent != 100 {
		t.Errorf("got %+v, %v", got, reports)
	}
}

func TestAnalystErrors(t *testing.T) {
	store, observer := memory.New(newID), &silent{}
	title, content := "A note", "some content"
	note, err := app.NewNotes(store.Notes(), newID, nil).Create(t.Context(), domain.NotePatch{Title: &title, Content: &content})
	if err != nil {
		t.Fatal(err)
	}
	analyst := app.NewAnalyst(store.Notes(), observer)
	quiet := func(int, string) error { return nil }
	job := domain.Job{Type: domain.JobNoteAnalysis, NoteID: note.ID}

	if result, err := analyst.Run(t.Context(), domain.Job{Type: job.Type, NoteID: newID()}, quiet); result != nil || err != nil {
		t.Errorf("a note that is gone: %v, %v; want nothing to do", result, err)
	}
	if _, err := analyst.Run(t.Context(), domain.Job{Type: "Embedding", NoteID: note.ID}, quiet); err == nil {
		t.Error("a type without a worker is no error")
	}
	full := errors.New("outbox full")
	if _, err := analyst.Run(t.Context(), job, func(int, string) error { return full }); !errors.Is(err, full) {
		t.Errorf("a report that fails: %v; want its error", err)
	}
	canceled, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := analyst.Run(canceled, job, quiet); !errors.Is(err, stop) {
		t.Errorf("canceled: %v; want the cause", err)
	}
	store.Fail(errors.New("SELECT broke"))
	if _, err := analyst.Run(t.Context(), job, quiet); err == nil || strings.Contains(err.Error(), "SELECT") || observer.anomaly == nil {
		t.Errorf("an unreadable note: %v, observed %v; want words for clients and the cause for operators", err, observer.anomaly)
	}
}
