package delivery

import (
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// What a sample says of itself, where its type has room for words, and otherwise in the type of its job.
const (
	sampleText                   = "Test delivery from matric-events"
	sampleJobType domain.JobType = "TestDelivery"
)

// sample returns a payload of the first type that the webhook is sent, about a job or a note that there is not.
func sample(hook *webhook.Webhook, subject domain.UUID) domain.Payload {
	ref := domain.JobRef{JobID: subject, JobType: sampleJobType}
	first := domain.TypeQueueStatus
	for t := range hook.Types().All() {
		first = t
		break
	}
	switch first {
	case domain.TypeJobQueued:
		return domain.JobQueued{JobRef: ref}
	case domain.TypeJobStarted:
		return domain.JobStarted{JobRef: ref}
	case domain.TypeJobProgress:
		return domain.JobProgress{JobRef: ref, Percent: 50, Message: sampleText}
	case domain.TypeJobCompleted:
		ms := int64(1234)
		return domain.JobCompleted{JobRef: ref, DurationMS: &ms}
	case domain.TypeJobFailed:
		return domain.JobFailed{JobRef: ref, Error: sampleText}
	case domain.TypeNoteUpdated:
		return domain.NoteUpdated{NoteID: subject, Operation: domain.Updated, Title: sampleText}
	default:
		return domain.QueueStatus{}
	}
}
