package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/matric/matric-events/adapters/capture"
	"github.com/matric/matric-events/adapters/httpapi"
	"github.com/matric/matric-events/adapters/jobs"
	"github.com/matric/matric-events/adapters/mcp"
	"github.com/matric/matric-events/adapters/otlp"
	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/adapters/stream"
	"github.com/matric/matric-events/adapters/telemetry"
	"github.com/matric/matric-events/adapters/tokens"
	"github.com/matric/matric-events/adapters/webhook"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/app/trace"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/retry"
	hooks "github.com/matric/matric-events/domain/webhook"
)

// hub is the program put together.
type hub struct {
	settings *Settings
	logs     *telemetry.Logs
	log      zerolog.Logger
	observer *telemetry.Observer
	stores   *telemetry.Stores
	exporter *otlp.Exporter // nil without a collector
	listener net.Listener
	store    *sqlstore.DB
	events   *eventlog.Log
	mirror   *telemetry.Mirror
	registry *app.Registry
	monitor  *app.QueueMonitor
	bridge   *app.Bridge
	traces   *trace.Memory
	engine   *stream.Engine
	server   *http.Server
	sender   *webhook.Sender

	// What runs, in stages that end one after the other: what takes in first, then what passes on, and last what
	// delivers, so that nothing is left behind by something that has ended already. What only tells of it, to places that
	// may be stuck, outlives them all and is not waited for long.
	intake, passing, recording, delivering, telling []runner

	overdue chan struct{} // closed when the time to end in order is over
}

// runner blocks until ctx ends, or until it cannot go on.
type runner func(ctx context.Context) error

// newID makes a UUIDv7.
func newID() domain.UUID { return domain.UUID(uuid.Must(uuid.NewV7())) }

// open acquires what the hub needs and puts it together; close gives it back. Nothing runs yet.
func open(ctx context.Context, s *Settings, io console) (_ *hub, err error) {
	h := &hub{settings: s, logs: openLogs(s, io.err), overdue: make(chan struct{})}
	h.log = h.logs.Logger()
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	origins, err := httpapi.ParseOrigins(s.AllowedOrigins)
	if err != nil {
		return nil, fmt.Errorf("--%w", err)
	}
	auth, err := tokens.Open(s.AuthTokensFile)
	if err != nil {
		return nil, fmt.Errorf("--auth-tokens-file: %w", err)
	}
	// Streams have signs of life of their own, and requests end in time.
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	if h.listener, err = config.Listen(ctx, "tcp", s.Listen); err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if err = h.openStore(ctx, io); err != nil {
		return nil, err
	}
	if _, err := h.store.MigrateUp(ctx); err != nil {
		return nil, err
	}
	h.intake = append(h.intake, h.store.Run)
	release, commit := buildVersion()
	h.observer = telemetry.NewObserver(h.log, telemetry.NewRegistry(release))
	h.stores = h.observer.Stores()
	if err := h.openTraces(release); err != nil {
		return nil, err
	}
	h.openCore(origins)
	services := httpapi.Services{
		Publisher: h.observer.Publisher(h.bridge), Queue: h.monitor, Registry: h.registry, Auth: auth,
		WebSocket: http.HandlerFunc(h.engine.ServeWebSocket), Events: http.HandlerFunc(h.engine.ServeEvents),
		Poll: http.HandlerFunc(h.engine.ServePoll),
	}
	options := httpapi.Options{
		RequireAuth: s.RequireAuth, Origins: origins, Version: release, Commit: commit,
		Fault: func(r *http.Request, err error) { h.observer.Fault(r.Method, r.URL.Path, err) },
	}
	dispatcher, err := h.openWebhooks(ctx, &services, &options)
	if err != nil {
		return nil, err
	}
	h.openMetrics(&services, dispatcher)
	if err := h.openSources(ctx, &services); err != nil {
		return nil, err
	}
	h.openAgents(&services, release)
	h.openServer(httpapi.New(services, options))
	return h, nil
}

// openTraces sends spans to a collector, if there is one.
func (h *hub) openTraces(release string) (err error) {
	if h.settings.OTLPEndpoint == "" {
		return nil
	}
	if h.exporter, err = otlp.New(h.settings.OTLPEndpoint, otlp.Options{Version: release, Observer: h.observer}); err != nil {
		return err
	}
	h.observer.TraceTo(h.exporter)
	h.telling = append(h.telling, h.exporter.Run)
	return nil
}

// openMetrics serves what everything counts.
func (h *hub) openMetrics(services *httpapi.Services, dispatcher *delivery.Dispatcher) {
	sources := telemetry.Sources{
		Log: h.events, Bridge: h.bridge, Registry: h.registry, Streams: h.engine, Mirror: h.mirror, Logs: h.logs, Queue: h.monitor,
		Webhooks: dispatcher, Outbox: h.store.Outbox(), Backlog: h.store.Deliveries(),
	}
	if h.exporter != nil {
		sources.Spans = h.exporter
	}
	services.Metrics = h.observer.Metrics(sources)
}

// openCore makes the log, the bridge to it and the engine that reads from it.
func (h *hub) openCore(origins httpapi.Origins) {
	s := h.settings
	h.events = eventlog.New(newID(), eventlog.Options{Capacity: s.BusCapacity, Bytes: int(s.BusBytes)})
	h.registry = app.NewRegistry(app.Limits{
		Connections: s.MaxConnections, ConnectionsPerIP: s.MaxConnectionsPerIP, HandshakesPerSecond: s.MaxHandshakesPerSecond,
	}, h.observer)
	h.monitor = app.NewQueueMonitor(h.events, newID, h.observer, s.QueueStatusInterval)
	h.monitor.Listened(func() bool { return h.registry.Len() > 0 })
	h.mirror = telemetry.NewMirror(h.logs, h.events, h.registry.Len, s.LogSample)
	h.telling = append(h.telling, h.mirror.Run)
	h.traces = trace.NewMemory()
	h.bridge = app.NewBridge(h.events, newID, h.monitor, app.BridgeOptions{Traces: h.traces})
	h.monitor.Count(h.bridge)
	h.engine = stream.New(h.events, h.registry, h.monitor, stream.Options{
		Heartbeat: s.Heartbeat, IdleTimeout: s.IdleTimeout, WriteTimeout: s.WriteTimeout, Keepalive: s.SSEKeepalive,
		Origins: origins, NewID: newID, Goroutines: s.Poller == "off", Anomaly: h.observer.Anomaly,
	})
	h.passing = append(h.passing, h.engine.Run, h.monitor.Run)
}

// openWebhooks adds the delivery to webhooks.
func (h *hub) openWebhooks(ctx context.Context, services *httpapi.Services, options *httpapi.Options) (*delivery.Dispatcher, error) {
	s := h.settings
	ranges, err := webhook.ParseRanges(s.WebhookAllowCIDR...)
	if err != nil {
		return nil, fmt.Errorf("--webhook-allow-cidr: %w", err)
	}
	policy := retry.Policy{Initial: s.WebhookRetryInitial, Max: s.WebhookRetryMax}
	if err := policy.Validate(); err != nil {
		return nil, fmt.Errorf("--webhook-retry-initial, --webhook-retry-max: %w", err)
	}
	h.sender = webhook.New(&webhook.Options{
		Timeout: s.WebhookTimeout, AllowCIDR: ranges, IdlePerEndpoint: s.WebhookPerEndpoint,
		UserAgent: "matric-events/" + options.Version,
	})
	known, err := delivery.Load(ctx, h.stores.Webhooks(h.store.Webhooks()), newID)
	if err != nil {
		return nil, err
	}
	h.monitor.Listened(func() bool { return known.Wanted().Has(domain.TypeQueueStatus) })
	store := h.stores.Deliveries(h.store.Deliveries())
	log := h.store.Deliveries()
	dispatcher := delivery.NewDispatcher(known, store, h.observer.Sender(h.sender), newID(), h.observer, delivery.Options{
		MaxInFlight: s.WebhookMaxInFlight, PerEndpoint: s.WebhookPerEndpoint, Policy: policy, Grace: s.ShutdownTimeout / 3,
	})
	recorder := delivery.NewRecorder(h.events, known, store, dispatcher, newID, h.observer)
	h.recording = append(h.recording, recorder.Run)
	h.delivering = append(h.delivering, dispatcher.Run, delivery.NewJanitor(log, h.observer, delivery.Retention{}).Run)
	services.Webhooks, services.Deliveries = known, delivery.NewDesk(known, log, dispatcher, newID)
	options.WebhookRules = hooks.Rules{AllowHTTP: s.WebhookAllowHTTP, Blocked: h.sender.Guard().Blocked}
	return dispatcher, nil
}

// openSources adds what brings events from the database: the outbox, and the built-in notes and jobs.
func (h *hub) openSources(ctx context.Context, services *httpapi.Services) error {
	outbox := h.store.Outbox()
	canaries := app.NewCanaries(outbox, newID)
	health := app.NewHealth(h.events, h.engine, h.bridge, canaries, h.observer.Health)
	services.Ready, services.Live = health.Check, health.Live
	h.intake = append(h.intake, health.Run) // ends first: what stops is not ill
	h.passing = append(h.passing, h.store.Listen, app.NewDrain(h.stores.Outbox(outbox), h.bridge, h.observer, canaries).Run,
		app.NewOutboxGuard(outbox, h.observer, app.OutboxLimits{}).Run)
	h.openCapture()
	if h.settings.NoHost {
		return nil
	}
	queue, err := jobs.Open(ctx, h.store.SQL(), h.store.ReadSQL(), h.store, newID, nil)
	if err != nil {
		return err
	}
	h.store.OnCommit("river_job", queue.Wake)
	h.monitor.Count(h.stores.Counter(queue))
	notes := h.stores.Notes(h.store.Notes(queue.EnqueueTx))
	analyst := app.NewAnalyst(notes, h.observer)
	h.intake = append(h.intake, func(ctx context.Context) error { return queue.Run(ctx, analyst) })
	services.Notes = app.NewNotes(notes, newID, h.traces)
	services.Jobs = app.NewJobs(h.stores.Jobs(queue), notes, newID, h.monitor, h.traces)
	return nil
}

// openCapture counts the jobs of an application's tables, which are captured on PostgreSQL only.
func (h *hub) openCapture() {
	if strings.HasPrefix(h.settings.DatabaseURL, "postgres") {
		counter := capture.NewCounter(h.store.SQL(), h.observer.Anomaly)
		h.monitor.Count(counter)
		h.passing = append(h.passing, counter.Run)
	}
}

// openAgents adds what agents talk to.
func (h *hub) openAgents(services *httpapi.Services, release string) {
	agents := mcp.New(mcp.Services{
		Feed: h.events, Registry: h.registry, Queue: h.monitor, Notes: services.Notes, Jobs: services.Jobs,
		Webhooks: services.Webhooks, Deliveries: services.Deliveries,
	}, mcp.Options{
		NewID: newID, Version: release, WriteTimeout: h.settings.WriteTimeout,
		Fault: func(err error) { h.log.Error().Str("path", httpapi.PathMCP).Err(err).Msg("request failed") },
	})
	h.passing = append(h.passing, agents.Run)
	services.MCP = agents
}

// openServer makes the HTTP server: HTTP/1.1, and HTTP/2 for clients that know beforehand, as proxies do.
func (h *hub) openServer(handler http.Handler) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	h.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second, // longer than the longest poll
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    httpapi.MaxHead, // net/http reads somewhat more
		Protocols:         protocols,
		ErrorLog:          telemetry.StandardLog(h.log),
	}
	h.intake = append(h.intake, func(context.Context) error {
		if err := h.server.Serve(h.frontDoor()); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	}, h.stopServer)
}

// frontDoor is the listener, with WebSockets and event streams taken out of what comes to the server. When every request
// needs a token, they come to the server, too, which knows tokens.
func (h *hub) frontDoor() net.Listener {
	if h.settings.RequireAuth {
		return h.listener
	}
	return h.engine.Listen(h.listener, stream.Paths{WebSocket: httpapi.PathWebSocket, Events: httpapi.PathEvents})
}

// serve serves until ctx ends or a part fails, and closes the hub. What has not ended in order by then is left behind after
// --shutdown-timeout: the database is consistent at any moment, and the next start takes up what was under way.
func (h *hub) serve(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() {
		err := h.run(ctx)
		h.close()
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-h.overdue:
		return fmt.Errorf("--shutdown-timeout: not everything ended in order within %s", h.settings.ShutdownTimeout)
	}
}

// run serves until ctx ends or a part fails, and returns once everything has ended in order.
func (h *hub) run(ctx context.Context) error {
	intake, ctx := errgroup.WithContext(ctx)
	background := context.WithoutCancel(ctx)
	endings := []func() error{intake.Wait}
	for _, stage := range [][]runner{h.passing, h.recording, h.delivering} {
		endings = append(endings, start(background, stage, intake))
	}
	told := start(background, h.telling, intake)
	endings = append(endings, func() error { return h.briefly(told) })
	for _, f := range h.intake {
		intake.Go(func() error { return f(ctx) })
	}
	var errs []error
	for _, end := range endings {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// start runs a stage, and returns what ends it. A part that fails ends the intake, and with it everything.
func start(ctx context.Context, stage []runner, intake *errgroup.Group) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var parts errgroup.Group
	for _, f := range stage {
		parts.Go(func() error {
			err := f(ctx)
			if err != nil && ctx.Err() == nil {
				intake.Go(func() error { return err })
				return nil // told there
			}
			return err
		})
	}
	return func() error {
		cancel()
		return parts.Wait()
	}
}

// briefly calls what may wait for a place that takes nothing any more, and gives it up after a while.
func (h *hub) briefly(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(h.settings.ShutdownTimeout / 20):
		return nil
	}
}

// stopServer waits for ctx to end. It then refuses what is new, sends the clients away and waits for what is under way.
func (h *hub) stopServer(ctx context.Context) error {
	<-ctx.Done()
	time.AfterFunc(h.settings.ShutdownTimeout, func() { close(h.overdue) })
	h.log.Info().Int("connections", h.registry.Len()).Msg("stopping")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.settings.ShutdownTimeout/2) // the rest is for deliveries
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { return h.registry.Drain(ctx) })
	g.Go(func() error { return h.server.Shutdown(ctx) })
	if err := g.Wait(); err != nil { // what is left is cut; that is no failure of the program
		h.log.Warn().Err(err).Msg("connections did not end in time")
		return h.server.Close()
	}
	return nil
}

// close gives back what open acquired.
func (h *hub) close() {
	if h.listener != nil {
		_ = h.listener.Close() // the server has closed it already, if it ran
	}
	if h.sender != nil {
		h.sender.Close()
	}
	if h.store != nil {
		if err := h.store.Close(); err != nil {
			h.log.Error().Err(err).Msg("close the database")
		}
	}
	_ = h.briefly(h.logs.Close) // writes what is left, and has nowhere to say that it cannot
}
