package trace

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/matric/matric-events/domain"
)

func id(n int) (u domain.UUID) {
	binary.BigEndian.PutUint64(u[8:], uint64(n))
	return u
}

func TestContext(t *testing.T) {
	if got := From(context.Background()); got != nil {
		t.Errorf("a trace out of nothing: %s", got)
	}
	want := domain.Trace{ID: [16]byte{1}, Span: [8]byte{2}}
	if got := From(With(t.Context(), want)); got == nil || *got != want {
		t.Errorf("%v; want %s", got, want)
	}
}

func TestBelow(t *testing.T) {
	if Below(nil) != nil {
		t.Error("something below nothing")
	}
	parent := &domain.Trace{ID: [16]byte{1}, Span: [8]byte{2}, Flags: 1}
	one, two := Below(parent), Below(parent)
	if one.ID != parent.ID || one.Parent != parent.Span || one.Flags != 1 || one.Span == two.Span || one.Span == [8]byte{} {
		t.Errorf("%+v and %+v below %+v", one, two, parent)
	}
}

func TestMemory(t *testing.T) {
	m := NewMemory()
	one, two := &domain.Trace{Flags: 1}, &domain.Trace{Flags: 2}
	m.Remember(domain.UUID{}, one)
	m.Remember(id(1), nil)
	m.Remember(id(2), one)
	m.Remember(id(3), one)
	m.Remember(id(3), nil)
	m.Remember(id(4), one)
	m.Remember(id(4), two)
	for n, want := range []*domain.Trace{nil, nil, one, nil, two} {
		if got := m.Recall(id(n)); got != want {
			t.Errorf("%d: %v; want %v", n, got, want)
		}
	}
	var none *Memory
	none.Remember(id(1), one)
	if none.Recall(id(1)) != nil {
		t.Error("a memory that is none remembers")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := NewMemory()
	for n := range 3 * maxRemembered {
		m.Remember(id(n+1), &domain.Trace{})
		m.Remember(id(n+1), &domain.Trace{Flags: 1})
	}
	if len(m.byID) != maxRemembered || len(m.order) != maxRemembered {
		t.Errorf("%d remembered in %d places", len(m.byID), len(m.order))
	}
	if m.Recall(id(2*maxRemembered)) != nil || m.Recall(id(2*maxRemembered+1)) == nil {
		t.Error("not the newest are remembered")
	}
}

func BenchmarkRecallOfNothing(b *testing.B) {
	m := NewMemory()
	b.ReportAllocs()
	for b.Loop() {
		m.Recall(id(1))
	}
}
