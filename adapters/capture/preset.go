package capture

// presets are mappings of known applications. Each call makes a new one.
var presets = map[string]func() Mapping{"matric": matric, "river": river}

func matric() Mapping {
	return Mapping{
		Jobs: &Jobs{
			Table: "public.job_queue", ID: "id", Type: "job_type", NoteID: "note_id", Status: "status",
			States: States{
				Queued: []string{"pending"}, Running: []string{"processing", "running"}, Completed: []string{"completed"},
				Failed: []string{"failed"}, Canceled: []string{"cancelled"},
			},
			Progress: "progress_percent", ProgressMax: 100, Message: "progress_message", Error: "error_message",
			RetryCount: "retry_count", MaxRetries: "max_retries", StartedAt: "started_at", CompletedAt: "completed_at",
		},
		Notes: &Notes{
			Table: "public.note", ID: "id", Title: "title", User: "owner_id", Deleted: "deleted_at", Archived: "archived",
			Tags: Tags{Table: "public.note_tag", Note: "note_id", Tag: "tag_name"},
		},
	}
}

// river is the job queue for Go (riverqueue.com). A worker tells its progress with
// river.RecordOutput(ctx, map[string]any{"progress": 40, "message": "…"}), which is stored when JobUpdate is called or the
// job ends; a job tells its note by a member note_id of its arguments.
func river() Mapping {
	return Mapping{Jobs: &Jobs{
		Table: "public.river_job", ID: "id", Type: "kind", NoteID: "args->note_id", Status: "state",
		States: States{
			Queued: []string{"available", "pending", "scheduled"}, Retrying: []string{"retryable"}, Running: []string{"running"},
			Completed: []string{"completed"}, Failed: []string{"discarded"}, Canceled: []string{"cancelled"},
		},
		Progress: "metadata->output->progress", ProgressMax: 100, Message: "metadata->output->message", Error: "errors",
		Priority: "priority", StartedAt: "attempted_at", CompletedAt: "finalized_at",
	}}
}
