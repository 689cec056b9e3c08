package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

// jobInput asks for a job.
type jobInput struct {
	JobType     *string `json:"job_type"`
	NoteID      *string `json:"note_id"`
	Priority    *int    `json:"priority"`
	MaxAttempts *int    `json:"max_attempts"`
}

func (in *jobInput) spec() (s domain.JobSpec, err error) {
	if in.JobType == nil {
		return s, domain.Invalid("job_type", "is required")
	}
	if s.Type, err = domain.ParseJobType("job_type", *in.JobType); err != nil {
		return s, err
	}
	if in.NoteID != nil {
		if s.NoteID, err = domain.ParseUUID(*in.NoteID); err != nil {
			return s, domain.Invalid("note_id", "is not a UUID")
		}
	}
	for _, n := range []struct {
		field string
		in    *int
		out   *int
	}{{"priority", in.Priority, &s.Priority}, {"max_attempts", in.MaxAttempts, &s.MaxAttempts}} {
		if n.in == nil {
			continue
		}
		if *n.in == 0 { // zero stands for the default inside, not on the wire
			return s, domain.Invalid(n.field, "must be at least 1")
		}
		*n.out = *n.in
	}
	return s, nil
}

func (a *api) createJob(w http.ResponseWriter, r *http.Request) error {
	var in jobInput
	if err := decode(w, r, &in); err != nil {
		return err
	}
	spec, err := in.spec()
	if err != nil {
		return err
	}
	job, err := a.Jobs.Enqueue(r.Context(), spec)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/jobs/"+job.ID.String())
	web.JSON(w, http.StatusCreated, web.ViewJob(&job))
	return nil
}

func (a *api) getJob(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	job, err := a.Jobs.Job(r.Context(), id)
	return answerJob(w, &job, err)
}

func (a *api) cancelJob(w http.ResponseWriter, r *http.Request, id domain.UUID) error {
	job, err := a.Jobs.Cancel(r.Context(), id)
	if errors.Is(err, domain.ErrConflict) {
		err = &web.StatusError{Status: http.StatusConflict, Detail: "the job has finished"}
	}
	return answerJob(w, &job, err)
}

func (a *api) listJobs(w http.ResponseWriter, r *http.Request) error {
	p, err := paging(r)
	if err != nil {
		return err
	}
	q := domain.JobQuery{Before: p.before, Limit: p.limit}
	if q.NoteID, err = queryID(r, "note_id"); err != nil {
		return err
	}
	if s := r.URL.Query().Get("job_type"); s != "" {
		if q.Type, err = domain.ParseJobType("job_type", s); err != nil {
			return err
		}
	}
	if s := r.URL.Query().Get("state"); s != "" {
		if q.State = domain.JobState(s); !slices.Contains(domain.JobStates(), q.State) {
			return domain.Invalid("state", "must be one of %s", strings.Trim(fmt.Sprint(domain.JobStates()), "[]"))
		}
	}
	jobs, more, err := a.Jobs.Jobs(r.Context(), q)
	if err != nil {
		return p.found(err)
	}
	answer(w, r, jobs, more, func(j *domain.Job) domain.UUID { return j.ID }, web.ViewJob)
	return nil
}

func answerJob(w http.ResponseWriter, job *domain.Job, err error) error {
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, web.ViewJob(job))
	return nil
}
