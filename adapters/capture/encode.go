package capture

// tree returns the mapping in the form that ParseMapping reads, without what is empty.
func (m *Mapping) tree() map[string]any {
	out := map[string]any{}
	if j := m.Jobs; j != nil {
		states := map[string]any{}
		for _, s := range j.States.all() {
			put(states, s.name, s.values)
		}
		jobs := map[string]any{"states": states, "progress_max": j.ProgressMax}
		for key, value := range map[string]string{
			"table": parseTable(j.Table).reference(), "id": j.ID, "type": j.Type, "note_id": j.NoteID, "status": j.Status, "progress": j.Progress,
			"message": j.Message, "error": j.Error, "retry_count": j.RetryCount, "max_retries": j.MaxRetries,
			"priority": j.Priority, "started_at": j.StartedAt, "completed_at": j.CompletedAt,
		} {
			put(jobs, key, value)
		}
		out["jobs"] = jobs
	}
	if n := m.Notes; n != nil {
		notes, tags := map[string]any{}, map[string]any{}
		for key, value := range map[string]string{
			"table": parseTable(n.Table).reference(), "id": n.ID, "title": n.Title, "user": n.User, "deleted": n.Deleted,
			"archived": n.Archived, "has_ai_content": n.HasAIContent, "has_links": n.HasLinks,
		} {
			put(notes, key, value)
		}
		put(notes, "watch", n.Watch)
		put(tags, "column", n.Tags.Column)
		if n.Tags.Table != "" {
			put(tags, "table", parseTable(n.Tags.Table).reference())
		}
		put(tags, "note", n.Tags.Note)
		put(tags, "tag", n.Tags.Tag)
		if len(tags) > 0 {
			notes["tags"] = tags
		}
		out["notes"] = notes
	}
	return out
}

// put adds what is not empty.
func put[T string | []string](into map[string]any, key string, value T) {
	if len(value) > 0 {
		into[key] = value
	}
}
