package otlp

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

type quiet struct{ anomalies []string }

func (*quiet) ConnectionOpened(domain.Connection)         {}
func (*quiet) ConnectionClosed(domain.Connection, string) {}
func (*quiet) Refused(string, string)                     {}
func (q *quiet) Anomaly(kind string, err error) {
	q.anomalies = append(q.anomalies, kind+": "+err.Error())
}

// transport answers requests without a network, so that a bubble's clock goes on.
type transport func(ctx context.Context, request string) (int, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status, err := f(r.Context(), r.Method+" "+r.URL.String()+" "+r.Header.Get("Content-Type")+"\n"+string(data))
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	w.WriteHeader(status)
	return w.Result(), nil
}

func sampled(n byte) ports.Span {
	start := time.Unix(1, int64(n))
	return ports.Span{Trace: domain.Trace{ID: [16]byte{1}, Span: [8]byte{7: n}, Flags: 1}, Name: "publish", Start: start, End: start.Add(time.Millisecond)}
}

// exporting runs an exporter in a bubble until stop is called.
func exporting(t *testing.T, send transport) (e *Exporter, q *quiet, stop func()) {
	q = &quiet{}
	e, err := New("http://collector:4318/", Options{Version: "1.2.3", Observer: q, Client: &http.Client{Transport: send}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return e, q, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
}

// Every byte of a request, as opentelemetry-proto's examples have it.
func TestRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got string
		e, _, stop := exporting(t, func(_ context.Context, request string) (int, error) { got = request; return 200, nil })
		root := sampled(1)
		e.Span(root)
		below := sampled(2)
		below.Trace.Parent, below.Client, below.Name, below.Failed = root.Trace.Span, true, "webhook attempt", "timeout"
		below.Attributes = map[string]string{"b": "2", "a": "1"}
		e.Span(below)
		stop()
		head, body, _ := strings.Cut(got, "\n")
		if head != "POST http://collector:4318/v1/traces application/json" {
			t.Error(head)
		}
		var pretty any
		if err := json.Unmarshal([]byte(body), &pretty); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("testdata/request.json")
		if err != nil {
			t.Fatal(err)
		}
		var expected any
		if err := json.Unmarshal(want, &expected); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(expected, pretty); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		var at []time.Time
		e, _, stop := exporting(t, func(_ context.Context, request string) (int, error) {
			sizes, at = append(sizes, strings.Count(request, `"spanId"`)), append(at, time.Now())
			return 200, nil
		})
		start := time.Now()
		e.Span(sampled(1))
		unsampled := sampled(2)
		unsampled.Trace.Flags = 0
		e.Span(unsampled)
		time.Sleep(maxDelay / 2)
		e.Span(sampled(3))
		time.Sleep(maxDelay)
		for range maxBatch + 1 {
			e.Span(sampled(4))
		}
		stop()
		if d := cmp.Diff([]int{2, maxBatch, 1}, sizes); d != "" || at[0].Sub(start) != maxDelay {
			t.Errorf("batches after %v, -want +got:\n%s", at[0].Sub(start), d)
		}
	})
}

// A collector that is away, refuses or hangs costs spans, which are counted, and nothing else.
func TestLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		e, q, stop := exporting(t, func(ctx context.Context, _ string) (int, error) {
			switch calls++; calls {
			case 1:
				return 0, io.ErrUnexpectedEOF
			case 2:
				return 503, nil
			case 3:
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return 200, nil
		})
		for range 3 {
			e.Span(sampled(1))
			time.Sleep(2 * maxDelay)
		}
		const more = 10
		for range maxWaiting + more { // nobody takes them while the collector hangs
			e.Span(sampled(1))
		}
		if got := e.Dropped(); got != 2+more {
			t.Errorf("%d are lost; want %d", got, 2+more)
		}
		stop()
		if got := e.Dropped(); got != 3+more || calls != 3+maxWaiting/maxBatch {
			t.Errorf("%d are lost after %d calls; want %d after %d", got, calls, 3+more, 3+maxWaiting/maxBatch)
		}
		if len(q.anomalies) != 3 || !strings.HasPrefix(q.anomalies[1], "otlp: 1 spans are lost: the collector answers 503") {
			t.Errorf("%q", q.anomalies)
		}
	})
}

// A collector that hangs does not hold up the end, however much waits for it.
func TestEndOfAHungCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, stop := exporting(t, func(ctx context.Context, _ string) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		e.Span(sampled(1))
		time.Sleep(2 * maxDelay) // it is being sent
		for range maxWaiting {
			e.Span(sampled(1))
		}
		end := time.Now()
		stop()
		if took := time.Since(end); took > 2*parting { // of the bubble's clock: one under way, and one more
			t.Errorf("Run ended %v after its context", took)
		}
		if got := e.Dropped(); got != 1+maxWaiting {
			t.Errorf("%d are lost; want %d", got, 1+maxWaiting)
		}
	})
}

func TestEndpoint(t *testing.T) {
	for _, bad := range []string{"", "collector:4318", "ftp://c", "http://", "http://u:p@c", "http://c?k=v", "http://c\n"} {
		if _, err := New(bad, Options{}); err == nil || len(bad) > len("http://") && strings.Contains(err.Error(), bad) {
			t.Errorf("New(%q) = %v", bad, err)
		}
	}
}
