package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"net/http"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// accepted is the answer to producers.
type accepted struct {
	Accepted int `json:"accepted"`
	Skipped  int `json:"skipped,omitempty"`
}

func (a *api) workerEvents(w http.ResponseWriter, r *http.Request) error {
	batch, single, err := items(w, r, domain.DecodeWorkerEvent)
	if err != nil {
		return err
	}
	receipt, err := a.Publisher.PublishWorkerEvents(r.Context(), batch)
	if !single && errors.Is(err, domain.ErrConflict) { // a batch of one
		receipt, err = ports.Receipt{Skipped: len(batch)}, nil
	}
	return acknowledge(w, receipt, single, err)
}

func (a *api) noteEvents(w http.ResponseWriter, r *http.Request) error {
	batch, single, err := items(w, r, domain.DecodeNoteEvent)
	if err != nil {
		return err
	}
	receipt, err := a.Publisher.PublishNoteEvents(r.Context(), batch)
	return acknowledge(w, receipt, single, err)
}

func acknowledge(w http.ResponseWriter, receipt ports.Receipt, single bool, err error) error {
	if err != nil {
		if single {
			return domain.AtIndex(err, domain.NoIndex)
		}
		return err
	}
	web.JSON(w, http.StatusAccepted, accepted(receipt))
	return nil
}

// items reads one item, an array of them, or NDJSON. single says that it was one item by itself, which has no index.
func items[T any](w http.ResponseWriter, r *http.Request, decode func([]byte) (T, error)) (batch []T, single bool, err error) {
	media, err := mediaType(w, r, mediaJSON, mediaNDJSON)
	if err != nil {
		return nil, false, err
	}
	data, err := read(w, r)
	if err != nil {
		return nil, false, err
	}
	data = bytes.TrimSpace(data)
	var raws iter.Seq[[]byte]
	switch {
	case media == mediaNDJSON:
		raws = lines(data)
	case len(data) > 0 && data[0] == '[':
		var array []json.RawMessage
		if err := domain.DecodeStrict(data, &array); err != nil {
			return nil, false, domain.AtIndex(err, broken(data))
		}
		raws = func(yield func([]byte) bool) {
			for _, raw := range array {
				if !yield(raw) {
					return
				}
			}
		}
	default:
		if err := checkText(data); err != nil {
			return nil, true, err
		}
		item, err := decode(data)
		return []T{item}, true, err
	}
	for raw := range raws {
		err := checkText(raw)
		var item T
		if err == nil {
			item, err = decode(raw)
		}
		if err != nil {
			return nil, false, domain.AtIndex(err, len(batch))
		}
		batch = append(batch, item)
	}
	return batch, false, nil
}

// broken returns the index of the item in which an array stops to be JSON, or NoIndex when that is between items.
func broken(array []byte) int {
	dec := json.NewDecoder(bytes.NewReader(array))
	_, _ = dec.Token() // the bracket
	for i := 0; dec.More(); i++ {
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return i
		}
	}
	return domain.NoIndex
}

// lines yields the lines that are not blank.
func lines(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for line := range bytes.Lines(data) {
			if line = bytes.TrimSpace(line); len(line) > 0 && !yield(line) {
				return
			}
		}
	}
}
