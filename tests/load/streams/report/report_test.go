package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func run(deliveries float64, lost int64, why string) *Result {
	return &Result{
		Server: "hub", Clients: 1000, Rate: "max",
		Load:   &Load{Deliveries: deliveries},
		Faults: &Faults{Lost: lost, Disconnected: map[string]int64{why: 1}},
	}
}

func TestMergeTakesMediansAndAddsFaults(t *testing.T) {
	runs := []*Result{run(300, 1, "EOF"), run(100, 0, "EOF"), run(120, 2, "reset")}
	want := run(120, 3, "")
	want.Faults.Disconnected = map[string]int64{"EOF": 2, "reset": 1}
	want.Runs, want.EachRun = 3, runs
	if diff := cmp.Diff(want, Merge(runs)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestMergeOfAnEvenNumberAndOfPartsThatOneRunLacks(t *testing.T) {
	a, b := run(100, 0, "EOF"), run(200, 0, "EOF")
	b.Idle = &Idle{Remain: 7}
	got := Merge([]*Result{a, b})
	if got.Load.Deliveries != 150 || got.Idle.Remain != 7 || got.Open != nil {
		t.Errorf("deliveries %v, idle %+v, open %+v; want 150, 7 remaining and nil", got.Load.Deliveries, got.Idle, got.Open)
	}
	if got := Merge([]*Result{a}); got != a || got.Runs != 1 {
		t.Errorf("one run: %+v", got)
	}
}

func TestTable(t *testing.T) {
	good := run(1234567, 0, "")
	good.Faults = &Faults{}
	results := []*Result{run(99.25, 2, "EOF"), good, {Server: "a server", Clients: 20, Open: &Open{PerSecond: 3}}}
	columns := []Column{}
	for _, c := range Columns(results) {
		switch c.Head {
		case "server", "clients", "deliveries/s", "conns/s", "remain", "faults":
			columns = append(columns, c)
		}
	}
	var b strings.Builder
	if err := Table(&b, columns, results); err != nil {
		t.Fatal(err)
	}
	const want = `
| server   | clients | deliveries/s | conns/s |                 faults |
|:---------|--------:|-------------:|--------:|-----------------------:|
| hub      |   1,000 |         99.2 |         | 2 lost, 1 disconnected |
| hub      |   1,000 |    1,234,567 |         |                   none |
| a server |      20 |              |    3.00 |                   none |
`
	if diff := cmp.Diff(want, "\n"+b.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
