package httpapi

import (
	"net/http"
	"time"

	"github.com/matric/matric-events/adapters/internal/web"
)

// standbyRetry is when clients may ask a server that stands by again: it takes over in less than two.
const standbyRetry = time.Second

// Standby is the handler of a server that waits for another one's end: it lives, is not ready, and serves nothing else.
func Standby() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		web.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		web.JSON(w, http.StatusServiceUnavailable, map[string]string{"status": "standby"})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		web.Problem(w, &web.StatusError{
			Status: http.StatusServiceUnavailable, Detail: "this server stands by for another one", RetryAfter: standbyRetry,
		})
	})
	return mux
}
