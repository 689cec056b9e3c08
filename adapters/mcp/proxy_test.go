package mcp_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
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

// TestProxyEndsDuringACall wants a proxy that is told to end not to wait for the hub.
func TestProxyEndsDuringACall(t *testing.T) {
	called, release := make(chan struct{}, 16), make(chan struct{})
	hub := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		called <- struct{}{}
		<-release
	}))
	defer hub.Close()
	defer close(release)
	p, err := mcp.NewProxy(hub.URL, mcp.ProxyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in, toProxy := io.Pipe()
	defer toProxy.Close()
	fromProxy, out := io.Pipe()
	defer fromProxy.Close()
	go func() { _, _ = io.Copy(io.Discard, fromProxy) }()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, in, out) }()
	for _, message := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"poll_events"}}`,
	} {
		if _, err := io.WriteString(toProxy, message+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "call", called)
	cancel()
	if err := await(t, "end of the proxy", ended); err != nil {
		t.Errorf("the proxy ended with %v", err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// TestProxyKeepsItsSecrets wants a token to go to the hub alone, and a password in the hub's address to nobody.
func TestProxyKeepsItsSecrets(t *testing.T) {
	seen := make(chan string, 16)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		w.WriteHeader(http.StatusTeapot)
	}))
	defer other.Close()
	hub := httptest.NewServer(http.RedirectHandler(other.URL+"/mcp", http.StatusTemporaryRedirect))
	defer hub.Close()
	session := startProxy(t, strings.Replace(hub.URL, "http://", "http://user:pass-word@", 1), "for-ana", withSessions, nil)
	result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "poll_events"})
	if err != nil || !result.IsError || strings.Contains(text(result), "pass-word") {
		t.Errorf("%s, %v", text(result), err)
	}
	if got := await(t, "request", seen); got != "" {
		t.Errorf("the other server got Authorization %q", got)
	}
}

func TestProxyIsGivenNonsense(t *testing.T) {
	for hub, token := range map[string]string{"hub": "", "ftp://hub": "", "http://hub?x": "", "http://": "", "http://hub": "a b"} {
		if _, err := mcp.NewProxy(hub, mcp.ProxyOptions{Token: token}); err == nil {
			t.Errorf("%s with token %q", hub, token)
		}
	}
}
