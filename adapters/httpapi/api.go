// Package httpapi is the hub's HTTP interface: producers, notes, jobs, webhooks and deliveries, connections, health and
// descriptions. The endpoints that stream, and the one for agents, are handlers given to it.
//
// # What holds for every request
//
//  1. An answer is JSON, but for streams, metrics and descriptions; an error is an RFC 9457 problem that names the field at
//     fault where there is one, and an item of a batch by its index.
//  2. Bad input is a 4xx, never a 500: unknown members, wrong types, bodies over 1 MiB, malformed queries and identifiers.
//     The text of an internal fault goes to Options.Fault and not to the client.
//  3. HEAD works wherever GET does; other methods are 405 with Allow.
//  4. A token that is present must be valid; it is taken out of the request before anything behind can log it (RFC 6750).
//  5. A client that takes nothing of its answer for 10 s is cut off.
//  6. What changes something, a web page of a foreign origin may not ask for (RFC 6454); Options.Origins says whose may.
//
// Handlers keep no state but the last result of a health check, and are safe for concurrent use. docs/openapi.yaml has each
// route; tests/docs fails for one that is missing there.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/julienschmidt/httprouter"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/app/trace"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

// Services are what the endpoints lead to.
type Services struct {
	Publisher ports.Publisher
	Notes     *app.Notes // nil without the built-in host
	Jobs      *app.Jobs  // likewise
	Queue     ports.JobCounter

	Webhooks   *delivery.Webhooks
	Deliveries *delivery.Desk

	Registry *app.Registry
	Auth     ports.Authenticator
	Ready    func(ctx context.Context) error // the canary; its errors begin with the name of the part that failed
	Live     func(ctx context.Context) error // whether waiting may help; nil for always

	WebSocket, Events, Poll, MCP, Metrics http.Handler
}

// Options tune New.
type Options struct {
	RequireAuth bool    // refuse requests without a token, but for health, metrics, version and descriptions
	Origins     Origins // pages that may read answers from a browser
	Version     string
	Commit      string
	// WebhookRules are what URLs of webhooks must keep to.
	WebhookRules webhook.Rules
	// Fault is told of internal faults, whose text clients do not see. Required.
	Fault func(r *http.Request, err error)
}

type api struct {
	Services
	opts   Options
	router *httprouter.Router
	health checkup
	life   checkup
}

// New returns the handler of the whole interface.
func New(s Services, o Options) http.Handler {
	a := &api{Services: s, opts: o, router: httprouter.New(), health: newCheckup(s.Ready)}
	if s.Live == nil {
		s.Live = func(context.Context) error { return nil }
	}
	a.life = newCheckup(s.Live)
	a.router.RedirectTrailingSlash, a.router.RedirectFixedPath = false, false
	a.router.HandleOPTIONS = false
	a.router.NotFound = a.plain(func(http.ResponseWriter, *http.Request) error {
		return &web.StatusError{Status: http.StatusNotFound, Detail: "there is no such path; GET / lists what there is"}
	})
	a.router.MethodNotAllowed = a.plain(a.methodNotAllowed)
	a.routes()
	return a.recovering(bounded(a.cors(a.router)))
}

// Where WebSockets, event streams and agents go.
const (
	PathWebSocket = "/api/v1/ws"
	PathEvents    = "/api/v1/events"
	PathMCP       = "/mcp"
)

func (a *api) routes() {
	a.open("/", a.index)
	a.open("/livez", a.livez)
	a.open("/readyz", a.readyz)
	a.open("/version", a.version)
	a.open("/openapi.yaml", describe(openAPI))
	a.open("/asyncapi.yaml", describe(asyncAPI))
	a.open("/metrics", pass(a.Metrics))

	a.get(PathWebSocket, pass(a.WebSocket))
	a.get(PathEvents, pass(a.Events))
	a.get("/api/v1/events/poll", pass(a.Poll))
	a.get(PathMCP, a.familiar(pass(a.MCP)))
	a.on(http.MethodPost, PathMCP, pass(a.MCP))
	a.on(http.MethodDelete, PathMCP, pass(a.MCP))
	a.get("/api/v1/queue", a.queue)
	a.get("/api/v1/connections", a.connections)
	a.on(http.MethodDelete, "/api/v1/connections/:id", byID(a.kick))
	a.on(http.MethodPost, "/api/v1/worker-events", a.workerEvents)
	a.on(http.MethodPost, "/api/v1/note-events", a.noteEvents)

	a.get("/api/v1/webhooks", a.listWebhooks)
	a.on(http.MethodPost, "/api/v1/webhooks", a.createWebhook)
	a.get("/api/v1/webhooks/:id", byID(a.getWebhook))
	a.on(http.MethodPatch, "/api/v1/webhooks/:id", byID(a.updateWebhook))
	a.on(http.MethodDelete, "/api/v1/webhooks/:id", byID(a.deleteWebhook))
	a.on(http.MethodPost, "/api/v1/webhooks/:id/test", byID(a.testWebhook))
	a.on(http.MethodPost, "/api/v1/webhooks/:id/rotate-secret", byID(a.rotateSecret))
	a.on(http.MethodPost, "/api/v1/webhooks/:id/redeliver", byID(a.redeliverAll))
	a.get("/api/v1/webhooks/:id/deliveries", byID(a.listDeliveries))
	a.get("/api/v1/deliveries/:id", byID(a.getDelivery))
	a.on(http.MethodPost, "/api/v1/deliveries/:id/redeliver", byID(a.redeliver))

	a.get("/api/v1/notes", a.hosted(a.listNotes))
	a.on(http.MethodPost, "/api/v1/notes", a.hosted(a.createNote))
	a.get("/api/v1/notes/:id", a.hosted(byID(a.getNote)))
	a.on(http.MethodPatch, "/api/v1/notes/:id", a.hosted(byID(a.updateNote)))
	a.on(http.MethodDelete, "/api/v1/notes/:id", a.hosted(byID(a.deleteNote)))
	a.get("/api/v1/jobs", a.hosted(a.listJobs))
	a.on(http.MethodPost, "/api/v1/jobs", a.hosted(a.createJob))
	a.get("/api/v1/jobs/:id", a.hosted(byID(a.getJob)))
	a.on(http.MethodPost, "/api/v1/jobs/:id/cancel", a.hosted(byID(a.cancelJob)))
}

// action answers a request, or returns what is wrong.
type action func(w http.ResponseWriter, r *http.Request) error

// plain turns an action into a handler.
func (a *api) plain(f action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil && web.Problem(w, err) && r.Context().Err() == nil { // else the client has gone
			a.opts.Fault(r, err)
		}
	}
}

// on routes a method of a path, for callers who are who they say they are. What changes something, a web page of a foreign
// origin may not ask for: not all such requests have a body whose type would make the browser ask first.
func (a *api) on(method, path string, f action) {
	safe := method == http.MethodGet || method == http.MethodHead
	a.router.Handler(method, path, a.plain(func(w http.ResponseWriter, r *http.Request) error {
		if !safe && !a.opts.Origins.Allow(r) {
			return errForeign
		}
		if err := checkQuery(r); err != nil {
			return err
		}
		r, err := a.authenticate(r, path)
		if err != nil {
			return err
		}
		r = traced(r)
		return f(w, r)
	}))
}

// traced returns the request with the trace in its context that it says it is in (W3C Trace Context). What is not valid, or
// said twice, counts as not said.
func traced(r *http.Request) *http.Request {
	if said := r.Header.Values("Traceparent"); len(said) == 1 {
		if t, ok := domain.ParseTrace(said[0]); ok {
			return r.WithContext(trace.With(r.Context(), t))
		}
	}
	return r
}

var errForeign = &web.StatusError{Status: http.StatusForbidden, Detail: "pages of this origin may not do that; see --allowed-origins"}

// familiar refuses web pages of a foreign origin what they may otherwise ask for and only not read.
func (a *api) familiar(f action) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !a.opts.Origins.Allow(r) {
			return errForeign
		}
		return f(w, r)
	}
}

// get is on for GET, and for HEAD, which net/http answers without the body.
func (a *api) get(path string, f action) {
	a.on(http.MethodGet, path, f)
	a.on(http.MethodHead, path, f)
}

// open routes GET and HEAD of a path that needs no token.
func (a *api) open(path string, f action) {
	a.router.Handler(http.MethodGet, path, a.plain(f))
	a.router.Handler(http.MethodHead, path, a.plain(f))
}

// hosted guards what only the built-in host has.
func (a *api) hosted(f action) action {
	if a.Notes != nil {
		return f
	}
	return func(http.ResponseWriter, *http.Request) error {
		return &web.StatusError{Status: http.StatusNotFound, Detail: "this server runs with --no-host: it keeps no notes and jobs of its own"}
	}
}

func pass(h http.Handler) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// methodNotAllowed answers for a path that has other methods; httprouter has set Allow to them.
func (a *api) methodNotAllowed(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return &web.StatusError{Status: http.StatusMethodNotAllowed, Detail: r.Method + " is not possible here; see the Allow header"}
}

// cors lets allowed pages read the answers, and answers their preflights.
func (a *api) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.opts.Origins.CORS(w.Header(), r)
		if r.Method == http.MethodOptions && w.Header().Get("Access-Control-Allow-Origin") != "" {
			h := w.Header()
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PATCH, DELETE")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, Traceparent, Cache-Control, Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name")
			h.Set("Access-Control-Max-Age", "600")
		}
		next.ServeHTTP(w, r)
	})
}

// MaxHead bounds the head of a request, in bytes.
const MaxHead = 8 << 10

// bounded refuses heads that are too long. The HTTP server has a limit that it applies by and by, to a connection rather than
// to a request, so it keeps off what would fill the memory, and the exact limit is here.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if headSize(r) > MaxHead {
			web.Problem(w, &web.StatusError{Status: http.StatusRequestHeaderFieldsTooLarge, Detail: "the head of a request must be at most 8 KiB"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// headSize returns how long the head was, but for space that has no meaning.
func headSize(r *http.Request) int {
	const spaces, colon, crlf = 2, 2, 2
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + spaces + crlf + len("Host") + colon + len(r.Host) + crlf + crlf
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + colon + len(v) + crlf
		}
	}
	return n
}

// recovering answers a request whose handler panicked.
func (a *api) recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v) // how a handler asks net/http to cut the connection
			default:
				a.opts.Fault(r, fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
				if w.Header().Get("Content-Type") != "" {
					panic(http.ErrAbortHandler) // an answer has begun: what is cut off must not look complete
				}
				web.Problem(w, errors.New("panic"))
			}
		}()
		next.ServeHTTP(w, r)
	})
}
