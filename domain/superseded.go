package domain

// Superseded finds the reports that nobody will miss when too many wait to be published: the progress of a job which a
// newer progress of the same job follows, with nothing between them that is about the job, so that the last progress
// before an attempt's end remains; and a worker's coming or going that another one follows, for all that these do is to
// have the queue counted. The zero value is ready.
type Superseded struct {
	progress map[UUID]int64
	worker   int64 // place of the newest coming or going, 0 for none
}

// By takes the reports in their order, each with its place, a positive number. It returns the place of the earlier one
// that this report makes superfluous.
func (s *Superseded) By(place int64, e *WorkerEvent) (superfluous int64, ok bool) {
	switch e.Kind {
	case WorkerStarted, WorkerStopped:
		superfluous, s.worker = s.worker, place
	case JobKind(TypeJobProgress):
		if s.progress == nil {
			s.progress = map[UUID]int64{}
		}
		superfluous, s.progress[e.JobID] = s.progress[e.JobID], place
	default:
		delete(s.progress, e.JobID)
	}
	return superfluous, superfluous != 0
}
