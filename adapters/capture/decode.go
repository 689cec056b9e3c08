package capture

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ParseMapping reads a mapping from YAML and from settings of the form KEY=VALUE, such as jobs.table=public.task, which
// come on top. The key preset names a mapping that all else changes key by key. Problems are listed by the path of their
// key. Either source may be empty.
func ParseMapping(source []byte, settings ...string) (*Mapping, error) {
	var tree any
	if err := yaml.Load(source, &tree); err != nil && !errors.Is(err, io.EOF) {
		if len(strings.TrimSpace(string(source))) > 0 {
			return nil, fmt.Errorf("mapping: not valid YAML: %w", err)
		}
	}
	var p problems
	overlays := []any{tree}
	for _, s := range settings {
		overlay, err := overlay(s)
		p.merge(err)
		overlays = append(overlays, overlay)
	}
	m := &Mapping{}
	for _, o := range overlays { // before anything that changes it, wherever it is written
		if o, ok := o.(map[string]any); ok && o["preset"] != nil {
			p.merge(m.preset(o["preset"]))
		}
	}
	for _, o := range overlays {
		if o != nil {
			m.decode(&p, o)
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return m, m.Validate()
}

// overlay makes a tree of jobs.table=public.task.
func overlay(setting string) (any, error) {
	key, value, ok := strings.Cut(setting, "=")
	if !ok || key == "" {
		return nil, Problems{fmt.Sprintf("%q is not of the form KEY=VALUE", setting)}
	}
	var tree any = value
	for _, name := range slices.Backward(strings.Split(key, ".")) {
		tree = map[string]any{name: tree}
	}
	return tree, nil
}

func (m *Mapping) preset(name any) error {
	text, _ := name.(string)
	preset, ok := presets[text]
	if !ok {
		return Problems{fmt.Sprintf("preset: %v is not known; there are matric and river", name)}
	}
	*m = preset()
	return nil
}

// member decodes one value of an object.
type member func(p *problems, path string, value any)

func (m *Mapping) decode(p *problems, tree any) {
	object(p, "", tree, map[string]member{
		"preset": func(*problems, string, any) {}, // has been seen to
		"jobs": func(p *problems, path string, value any) {
			if value == nil || value == false || value == "" {
				m.Jobs = nil
				return
			}
			if m.Jobs == nil {
				m.Jobs = &Jobs{ProgressMax: 100}
			}
			m.Jobs.decode(p, path, value)
		},
		"notes": func(p *problems, path string, value any) {
			if value == nil || value == false || value == "" {
				m.Notes = nil
				return
			}
			if m.Notes == nil {
				m.Notes = &Notes{}
			}
			m.Notes.decode(p, path, value)
		},
	})
}

func (j *Jobs) decode(p *problems, path string, value any) {
	s := &j.States
	object(p, path, value, map[string]member{
		"table": text(&j.Table), "id": text(&j.ID), "type": text(&j.Type), "note_id": text(&j.NoteID), "status": text(&j.Status),
		"progress": text(&j.Progress), "progress_max": number(&j.ProgressMax), "message": text(&j.Message), "error": text(&j.Error),
		"retry_count": text(&j.RetryCount), "max_retries": text(&j.MaxRetries), "priority": text(&j.Priority),
		"started_at": text(&j.StartedAt), "completed_at": text(&j.CompletedAt),
		"states": func(p *problems, path string, value any) {
			object(p, path, value, map[string]member{
				"queued": texts(&s.Queued), "retrying": texts(&s.Retrying), "running": texts(&s.Running),
				"completed": texts(&s.Completed), "failed": texts(&s.Failed), "canceled": texts(&s.Canceled),
			})
		},
	})
}

func (n *Notes) decode(p *problems, path string, value any) {
	object(p, path, value, map[string]member{
		"table": text(&n.Table), "id": text(&n.ID), "title": text(&n.Title), "user": text(&n.User), "deleted": text(&n.Deleted),
		"archived": text(&n.Archived), "has_ai_content": text(&n.HasAIContent), "has_links": text(&n.HasLinks), "watch": texts(&n.Watch),
		"tags": func(p *problems, path string, value any) {
			if value == nil || value == false || value == "" {
				n.Tags = Tags{}
				return
			}
			object(p, path, value, map[string]member{
				"column": text(&n.Tags.Column), "table": text(&n.Tags.Table), "note": text(&n.Tags.Note), "tag": text(&n.Tags.Tag),
			})
		},
	})
}

func object(p *problems, path string, value any, members map[string]member) {
	tree, ok := value.(map[string]any)
	if !ok {
		p.add(path, "must be a mapping, not %s", kindOf(value))
		return
	}
	names := make([]string, 0, len(tree))
	for name := range tree {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		full := strings.TrimPrefix(path+"."+name, ".")
		if decode, ok := members[name]; ok {
			decode(p, full, tree[name])
			continue
		}
		known := make([]string, 0, len(members))
		for name := range members {
			known = append(known, name)
		}
		slices.Sort(known)
		p.add(full, "unknown key; there are %s", strings.Join(known, ", "))
	}
}

func text(into *string) member {
	return func(p *problems, path string, value any) {
		switch v := value.(type) {
		case nil:
			*into = ""
		case string:
			*into = v
		default:
			p.add(path, "must be a name, not %s", kindOf(value))
		}
	}
}

func number(into *int) member {
	return func(p *problems, path string, value any) {
		switch v := value.(type) {
		case int:
			*into = v
			return
		case string: // from KEY=VALUE
			if n, err := fmt.Sscanf(v, "%d", into); n == 1 && err == nil && fmt.Sprint(*into) == v {
				return
			}
		}
		p.add(path, "must be a whole number, not %s", kindOf(value))
	}
}

// texts also takes one value without a list, and one string with commas, which the command line gives. Values of a status
// may be numbers.
func texts(into *[]string) member {
	return func(p *problems, path string, value any) {
		*into = nil
		list, ok := value.([]any)
		if s, isText := value.(string); isText {
			for one := range strings.SplitSeq(s, ",") {
				if one = strings.TrimSpace(one); one != "" {
					list = append(list, one)
				}
			}
		} else if !ok && value != nil {
			list = []any{value}
		}
		for i, v := range list {
			switch v := v.(type) {
			case string, int, bool:
				*into = append(*into, fmt.Sprint(v))
			default:
				p.add(fmt.Sprintf("%s[%d]", path, i), "must be a value, not %s", kindOf(v))
			}
		}
	}
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "nothing"
	case string:
		return "text"
	case bool:
		return "true or false"
	case int, int64, uint64, float64:
		return "a number"
	case []any:
		return "a list"
	}
	return "a mapping"
}
