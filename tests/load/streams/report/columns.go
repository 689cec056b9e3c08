package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Columns returns those that say something about any of the results.
func Columns(results []*Result) []Column {
	return told(slices.Concat(what, found), results)
}

func told(columns []Column, results []*Result) []Column {
	return slices.DeleteFunc(slices.Clone(columns), func(c Column) bool {
		return !slices.ContainsFunc(results, func(r *Result) bool { return c.Cell(r) != "" })
	})
}

// what was measured, and what was found.
var (
	what = []Column{
		{Head: "server", Cell: func(r *Result) string { return r.Server }},
		{Head: "clients", Cell: func(r *Result) string { return count(float64(r.Clients)) }},
		{Head: "events/s", Cell: func(r *Result) string { return r.Rate }},
	}
	found = slices.Concat(
		loadColumns("", func(r *Result) *Load { return r.Load }),
		openColumns, idleColumns,
		loadColumns("alone: ", without), loadColumns("with a slow one: ", with), slowColumns,
		resumeColumns,
		[]Column{{Head: "faults", Cell: faults}},
	)
)

// of makes a column of a number in a part of a result; it is empty where the result does not have the part.
func of[P any](head string, part func(*Result) *P, number func(*P) float64) Column {
	return Column{Head: head, Cell: func(r *Result) string {
		if p := part(r); p != nil {
			return Number(number(p))
		}
		return ""
	}}
}

// counting is of for whole numbers.
func counting[P any](head string, part func(*Result) *P, number func(*P) float64) Column {
	return Column{Head: head, Cell: func(r *Result) string {
		if p := part(r); p != nil {
			return count(number(p))
		}
		return ""
	}}
}

// detail makes a column one that is left out where there is little room.
func detail(c Column) Column {
	c.Detail = true
	return c
}

func loadColumns(prefix string, load func(*Result) *Load) []Column {
	return []Column{
		of(prefix+"deliveries/s", load, func(l *Load) float64 { return l.Deliveries }),
		of(prefix+"CPU s/M", load, func(l *Load) float64 { return l.ServerCPU }),
		of(prefix+"p50 ms", load, func(l *Load) float64 { return l.P50 }),
		of(prefix+"p99 ms", load, func(l *Load) float64 { return l.P99 }),
		detail(of(prefix+"p99.9 ms", load, func(l *Load) float64 { return l.P999 })),
		detail(of(prefix+"max ms", load, func(l *Load) float64 { return l.Max })),
		detail(of(prefix+"MiB", load, func(l *Load) float64 { return l.MemoryMiB })),
		of(prefix+"client s/M", load, func(l *Load) float64 { return l.ClientCPU }),
		of(prefix+"other cores", load, func(l *Load) float64 { return l.OtherCores }),
	}
}

func open(r *Result) *Open { return r.Open }

var openColumns = []Column{
	of("conns/s", open, func(o *Open) float64 { return o.PerSecond }),
	detail(of("handshake p50 ms", open, func(o *Open) float64 { return o.P50 })),
	detail(of("handshake p99 ms", open, func(o *Open) float64 { return o.P99 })),
	of("CPU s/10,000", open, func(o *Open) float64 { return o.ServerCPU }),
	of("KiB/conn", open, func(o *Open) float64 { return o.KiBEach }),
}

func idle(r *Result) *Idle { return r.Idle }

var idleColumns = []Column{
	of("idle s", idle, func(i *Idle) float64 { return i.Seconds }),
	of("server cores", idle, func(i *Idle) float64 { return i.ServerCores }),
	of("KiB/conn then", idle, func(i *Idle) float64 { return i.KiBEach }),
	counting("remain", idle, func(i *Idle) float64 { return i.Remain }),
	counting("reached by the last event", idle, func(i *Idle) float64 { return i.Reached }),
}

func without(r *Result) *Load {
	if r.Slow == nil {
		return nil
	}
	return &r.Slow.Without
}

func with(r *Result) *Load {
	if r.Slow == nil {
		return nil
	}
	return &r.Slow.With
}

var slowColumns = []Column{{Head: "the slow one", Cell: func(r *Result) string {
	if r.Slow == nil {
		return ""
	}
	return r.Slow.HowEnded
}}}

func resume(r *Result) *Resume { return r.Resume }

var resumeColumns = []Column{
	of("all back s", resume, func(x *Resume) float64 { return x.BackSeconds }),
	of("level s", resume, func(x *Resume) float64 { return x.LevelSeconds }),
	counting("events missed", resume, func(x *Resume) float64 { return x.Missed }),
	of("CPU s", resume, func(x *Resume) float64 { return x.ServerCPU }),
	of("MiB before", resume, func(x *Resume) float64 { return x.BeforeMiB }),
	of("peak", resume, func(x *Resume) float64 { return x.PeakMiB }),
	of("after", resume, func(x *Resume) float64 { return x.AfterMiB }),
}

// faults tells what went wrong, in words; "none" is what one wants to read.
func faults(r *Result) string {
	var list []string
	note := func(n int64, what string) {
		if n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, what))
		}
	}
	if r.Open != nil {
		note(total(r.Open.Failed), "not connected")
	}
	if f := r.Faults; f != nil {
		note(f.Lost, "lost")
		note(f.Duplicated, "duplicated")
		note(f.Reordered, "reordered")
		note(total(f.Disconnected), "disconnected")
		note(total(f.Publish), "not published")
		note(f.Stalls, "stalls")
	}
	if list == nil {
		return "none"
	}
	return strings.Join(list, ", ")
}

// Reasons tells why connections failed or ended and events were refused.
func (r *Result) Reasons() (list []string) {
	for _, counts := range r.byReason() {
		for _, why := range slices.Sorted(maps.Keys(counts)) {
			list = append(list, fmt.Sprintf("%d x %s", counts[why], why))
		}
	}
	return list
}

func (r *Result) byReason() (all []map[string]int64) {
	if r.Open != nil {
		all = append(all, r.Open.Failed)
	}
	if r.Faults != nil {
		all = append(all, r.Faults.Disconnected, r.Faults.Publish)
	}
	return all
}

func total(counts map[string]int64) (n int64) {
	for v := range maps.Values(counts) {
		n += v
	}
	return n
}

// Line returns a result in one line, for those who watch.
func (r *Result) Line() string {
	var b strings.Builder
	for _, c := range told(found, []*Result{r}) {
		if b.Len() > 0 {
			b.WriteString("  ")
		}
		fmt.Fprintf(&b, "%s %s", c.Head, c.Cell(r))
	}
	return b.String()
}
