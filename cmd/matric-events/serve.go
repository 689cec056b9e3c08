package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/matric/matric-events/adapters/httpapi"
	"github.com/matric/matric-events/adapters/jobs"
	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/adapters/stream"
	"github.com/matric/matric-events/adapters/telemetry"
	"github.com/matric/matric-events/adapters/tokens"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// ServeCmd runs the hub.
type ServeCmd struct{ Settings }

// Run implements the command: it serves until ctx ends, then ends in good order.
func (c *ServeCmd) Run(ctx context.Context, io console) error {
	h, err := open(ctx, &c.Settings, io)
	if err != nil {
		return err
	}
	defer h.close()
	fmt.Fprint(io.out, h.welcome())
	fmt.Fprintf(io.err, "listening on http://%s\n", h.listener.Addr())
	return h.run(ctx)
}

// hub is the program put together: every part of it, in the order of their dependence.
type hub struct {
	settings *Settings
	log      zerolog.Logger
	listener net.Listener
	store    *sqlstore.DB

	events   *eventlog.Log
	registry *app.Registry
	monitor  *app.QueueMonitor
	drain    *app.Drain
	engine   *stream.Engine
	jobs     *jobs.Queue // nil without the host
	analyst  app.Analyst
	server   *http.Server
}

// newID makes a UUIDv7.
func newID() domain.UUID { return domain.UUID(uuid.Must(uuid.NewV7())) }

// open acquires what the hub needs and puts it together; close gives it back. Nothing runs yet.
func open(ctx context.Context, s *Settings, io console) (_ *hub, err error) {
	h := &hub{settings: s, log: newLogger(s, io.err)}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	origins, err := httpapi.ParseOrigins(s.AllowedOrigins)
	if err != nil {
		return nil, err
	}
	auth, err := tokens.Open(s.AuthTokensFile)
	if err != nil {
		return nil, err
	}
	if h.listener, err = net.Listen("tcp", s.Listen); err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if h.store, err = sqlstore.Open(ctx, s.DatabaseURL, nil); err != nil {
		return nil, err
	}
	if _, err := h.store.MigrateUp(ctx); err != nil {
		return nil, err
	}
	release, commit := buildVersion()
	metrics := telemetry.NewRegistry(release)
	observer := telemetry.NewObserver(h.log, metrics)
	h.events = eventlog.New(newID(), eventlog.Options{Capacity: s.BusCapacity, Bytes: int(s.BusBytes)})
	h.registry = app.NewRegistry(app.Limits{
		Connections: s.MaxConnections, ConnectionsPerIP: s.MaxConnectionsPerIP, HandshakesPerSecond: s.MaxHandshakesPerSecond,
	}, observer)
	h.monitor = app.NewQueueMonitor(h.events, newID, observer, s.QueueStatusInterval, func() bool { return h.registry.Len() > 0 })
	bridge := app.NewBridge(h.events, newID, h.monitor, app.BridgeOptions{})
	h.monitor.Count(bridge)
	canaries := app.NewCanaries(h.store.Outbox(), newID)
	h.drain = app.NewDrain(h.store.Outbox(), bridge, observer, canaries)
	h.engine = stream.New(h.events, h.registry, h.monitor, stream.Options{
		Heartbeat: s.Heartbeat, IdleTimeout: s.IdleTimeout, WriteTimeout: s.WriteTimeout, Keepalive: s.SSEKeepalive,
		Origins: origins, NewID: newID,
	})
	services := httpapi.Services{
		Publisher: bridge, Queue: h.monitor, Registry: h.registry, Auth: auth, Ready: canaries.Check,
		WebSocket: http.HandlerFunc(h.engine.ServeWebSocket), Events: http.HandlerFunc(h.engine.ServeEvents),
		Poll:    http.HandlerFunc(h.engine.ServePoll),
		Metrics: telemetry.Handler(metrics, telemetry.Sources{Log: h.events, Registry: h.registry, Queue: h.monitor}),
	}
	if !s.NoHost {
		if err := h.openHost(ctx, &services, observer); err != nil {
			return nil, err
		}
	}
	h.server = &http.Server{
		Handler: httpapi.New(services, httpapi.Options{
			RequireAuth: s.RequireAuth, Origins: origins, Version: release, Commit: commit,
			Fault: func(r *http.Request, err error) {
				h.log.Error().Str("method", r.Method).Str("path", r.URL.Path).Err(err).Msg("request failed")
			},
		}),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second, // longer than the longest poll
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxRequestHead - headSlop,
		Protocols:         protocols(),
		ErrorLog:          telemetry.StandardLog(h.log),
	}
	return h, nil
}

// net/http reads this much beyond MaxHeaderBytes.
const (
	maxRequestHead = 8 << 10
	headSlop       = 4 << 10
)

// protocols are HTTP/1.1, and HTTP/2 for clients that know beforehand, as proxies do.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// openHost adds the built-in notes and jobs.
func (h *hub) openHost(ctx context.Context, services *httpapi.Services, observer ports.Observer) (err error) {
	if h.jobs, err = jobs.Open(ctx, h.store.SQL(), h.store.ReadSQL(), h.store, newID, nil); err != nil {
		return err
	}
	h.store.OnCommit("river_job", h.jobs.Wake)
	h.monitor.Count(h.jobs)
	notes := h.store.Notes(h.jobs.EnqueueTx)
	h.analyst = app.NewAnalyst(notes, observer)
	services.Notes = app.NewNotes(notes, newID)
	services.Jobs = app.NewJobs(h.jobs, notes, newID, h.monitor)
	return nil
}

// run serves until ctx ends or a part fails, and returns once everything has ended.
func (h *hub) run(ctx context.Context) error {
	// The stages end one after the other: what produces events first, then the connections, then what delivers to them.
	delivery, endDelivery := context.WithCancel(context.WithoutCancel(ctx))
	defer endDelivery()
	work, ctx := errgroup.WithContext(ctx)
	var deliver errgroup.Group
	deliver.Go(func() error { return h.engine.Run(delivery) })
	deliver.Go(func() error { return h.drain.Run(delivery) })
	deliver.Go(func() error { return h.monitor.Run(delivery) })
	if h.jobs != nil {
		work.Go(func() error { return h.jobs.Run(ctx, h.analyst) })
	}
	work.Go(func() error {
		if err := h.server.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	work.Go(func() error {
		<-ctx.Done()
		return h.stop()
	})
	err := work.Wait()
	endDelivery()
	return errors.Join(err, deliver.Wait())
}

// stop refuses what is new, sends the clients away and waits for what is under way.
func (h *hub) stop() error {
	h.log.Info().Int("connections", h.registry.Len()).Msg("stopping")
	ctx, cancel := context.WithTimeout(context.Background(), h.settings.ShutdownTimeout)
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
	if h.store != nil {
		if err := h.store.Close(); err != nil {
			h.log.Error().Err(err).Msg("close the database")
		}
	}
}

// welcome tells what there is and what to try.
func (h *hub) welcome() string {
	at := h.listener.Addr().String()
	text := fmt.Sprintf(`matric-events, database %s

  WebSocket  ws://%[2]s/api/v1/ws
  SSE        http://%[2]s/api/v1/events
  Poll       http://%[2]s/api/v1/events/poll
  API        http://%[2]s/openapi.yaml
  Metrics    http://%[2]s/metrics

Watch events:   curl -N http://%[2]s/api/v1/events
`, redactURL(h.settings.DatabaseURL), at)
	if h.settings.NoHost {
		return text + fmt.Sprintf("Make one:       curl --json '{\"type\":\"JobQueued\",\"job_id\":\"%s\",\"job_type\":\"Embedding\"}' http://%s/api/v1/worker-events\n", newID(), at)
	}
	return text + fmt.Sprintf("Make some:      curl --json '{\"title\":\"Hello\",\"content\":\"See [[World]]\"}' http://%s/api/v1/notes\n", at)
}

// newLogger logs to standard error, for people when that is a terminal.
func newLogger(s *Settings, w interface{ Write([]byte) (int, error) }) zerolog.Logger {
	format := s.LogFormat
	if format == "auto" {
		format = "json"
		if f, ok := w.(*os.File); ok && isTerminal(f) {
			format = "console"
		}
	}
	return telemetry.NewLogger(w, s.LogLevel, format == "console")
}
