package domain_test

import (
	"slices"
	"testing"

	"github.com/matric/matric-events/domain"
)

func TestSuperseded(t *testing.T) {
	a, b := domain.UUID{1}, domain.UUID{2}
	job := func(t domain.Type, id domain.UUID) *domain.WorkerEvent {
		return &domain.WorkerEvent{Kind: domain.JobKind(t), JobID: id}
	}
	queued, progress, completed := domain.TypeJobQueued, domain.TypeJobProgress, domain.TypeJobCompleted
	worker := &domain.WorkerEvent{Kind: domain.WorkerStopped}
	for _, c := range []struct {
		why    string
		events []*domain.WorkerEvent
		want   []int64
	}{
		{"nothing", nil, nil},
		{"one progress", []*domain.WorkerEvent{job(queued, a), job(progress, a)}, nil},
		{"all but the last", []*domain.WorkerEvent{job(progress, a), job(progress, a), job(progress, a)}, []int64{1, 2}},
		{"jobs side by side", []*domain.WorkerEvent{job(progress, a), job(progress, b), job(completed, b), job(progress, a)}, []int64{1}},
		{"the last one before an end stays", []*domain.WorkerEvent{job(progress, a), job(completed, a), job(progress, a)}, nil},
		{"workers", []*domain.WorkerEvent{worker, job(progress, a), worker, worker}, []int64{1, 3}},
	} {
		var s domain.Superseded
		var got []int64
		for i, e := range c.events {
			if place, ok := s.By(int64(i+1), e); ok {
				got = append(got, place)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v; want %v", c.why, got, c.want)
		}
	}
}
