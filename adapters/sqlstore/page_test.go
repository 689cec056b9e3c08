package sqlstore

import (
	"strings"
	"testing"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// TestPagesReadWhatFits counts the rows that the database hands over of 9 notes and of 9 deliveries, two of which fill a
// page: these, and one more.
func TestPagesReadWhatFits(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			db := openKind(t, kind.create(t))
			addHooks(t, db, 1)
			ds := newDeliveries(0, 9, 1, 0, false)
			for i := range ds {
				ds[i].Payload = []byte(strings.Repeat(".", domain.MaxPage/2))
				note := domain.Note{ID: testID(i), Content: string(ds[i].Payload)}
				w := ports.NoteWrite{Note: note, Event: domain.NoteEvent{EventID: testID(100 + i), Note: note.Event(domain.Created)}}
				if err := db.Notes(nil).Write(t.Context(), note.ID, func(*domain.Note) (ports.NoteWrite, error) { return w, nil }); err != nil {
					t.Fatal(err)
				}
			}
			record(t, db, ds)
			deliveries, args := (&ranges{webhook: testID(0), order: "DESC", limit: 501}).page(db.engine)
			for _, q := range []struct {
				query string
				args  []any
			}{{deliveries, args}, {pageOfNotes(db.engine, "true"), []any{501}}} {
				var n int
				if err := db.read.GetContext(t.Context(), &n, db.read.Rebind(`SELECT count(*) FROM (`+q.query+`) AS page`), q.args...); err != nil || n != 3 {
					t.Errorf("%d rows, %v; want 3, of %s", n, err, q.query)
				}
			}
		})
	}
}
