package mcp_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/adapters/mcp"
)

// startProxy connects a client to a proxy of the hub at an address.
func startProxy(t *testing.T, hub, token, version string, o *sdk.ClientOptions) *sdk.ClientSession {
	t.Helper()
	p, err := mcp.NewProxy(hub, mcp.ProxyOptions{Token: token, Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	in, toProxy := io.Pipe()
	fromProxy, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background(), in, out) }()
	session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, o).Connect(t.Context(),
		&sdk.IOTransport{Reader: fromProxy, Writer: toProxy}, &sdk.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = session.Close()
		if err := await(t, "end of the proxy", ended); err != nil {
			t.Errorf("the proxy ended with %v", err)
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return session
}

func TestProxy(t *testing.T) {
	onBoth(t, func(t *testing.T, version string) {
		r := newRig(t, setup{auth: true, require: true})
		told := make(chan string, 64)
		session := startProxy(t, strings.TrimSuffix(r.url, "/mcp"), "for-ana", version, &sdk.ClientOptions{
			ResourceUpdatedHandler: func(_ context.Context, req *sdk.ResourceUpdatedNotificationRequest) { told <- req.Params.URI },
		})
		if _, names := tools(t, session); len(names) != 12 {
			t.Errorf("tools: %v", names)
		}
		if got := session.InitializeResult(); !strings.Contains(got.Instructions, "wait_for_event") || !got.Capabilities.Resources.Subscribe {
			t.Errorf("%+v", got)
		}
		job := newID()
		answer, about := r.waiting(t.Context(), session, object{"job_id": job.String()})
		if about.User != "ana" {
			t.Errorf("listed as %+v", about)
		}
		id := r.progress(job, 1)
		if got := text(await(t, "answer", answer)); !strings.Contains(got, id.String()) {
			t.Errorf("got %s", got)
		}
		if got := read(t, session, "event://recent"); !strings.Contains(got, id.String()) {
			t.Errorf("got %s", got)
		}
		result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "poll_events", Arguments: object{"limit": -1}})
		if err != nil || !result.IsError || !strings.HasPrefix(text(result), "limit: ") {
			t.Errorf("%+v, %v", result, err)
		}
		if err := session.Subscribe(t.Context(), &sdk.SubscribeParams{URI: "note://x"}); err == nil && version == withSessions {
			t.Error("subscribed to what cannot be")
		}
		subscribe(t, session, "job://"+job.String())
		if about := await(t, "stream", r.watcher.opened); about.Transport != "mcp" {
			t.Errorf("listed as %+v", about)
		}
		for told := told; len(told) == 0; { // until the stream and the subscription stand, of which nobody tells
			r.progress(job, 2)
		}
		if uri := <-told; uri != "job://"+job.String() {
			t.Errorf("told of %s", uri)
		}
	})
}

// TestProxyWithoutHub wants a client to be told what is wrong.
func TestProxyWithoutHub(t *testing.T) {
	session := startProxy(t, "http://127.0.0.1:1", "", withSessions, nil)
	result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "poll_events"})
	if err != nil || !result.IsError || !strings.Contains(text(result), "the hub at http://127.0.0.1:1/mcp did not answer") {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := session.ListTools(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "matric-events serve runs there") {
		t.Errorf("tools: %v", err)
	}
	if err := session.Subscribe(t.Context(), &sdk.SubscribeParams{URI: "event://recent"}); err == nil {
		t.Error("subscribed at nobody")
	}
}

func TestProxyIsGivenNonsense(t *testing.T) {
	for hub, token := range map[string]string{"hub": "", "ftp://hub": "", "http://hub?x": "", "http://": "", "http://hub": "a b"} {
		if _, err := mcp.NewProxy(hub, mcp.ProxyOptions{Token: token}); err == nil {
			t.Errorf("%s with token %q", hub, token)
		}
	}
}
