// Package peer is what the peers have in common, so that they differ by nothing but the library: the flag -listen, the line
// that says that a server is ready, and POST /publish, which takes an event as its body and is answered once the library
// has taken it.
package peer

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

// maxEvent bounds the body of a published event.
const maxEvent = 1 << 20

// Serve runs a server of subscribers at a path until the process is ended.
func Serve(path string, subscribers http.Handler, publish func(event []byte) error) {
	http.Handle("GET "+path, subscribers)
	http.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		event, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
		if err == nil {
			err = publish(event)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	Exit(listen())
}

func listen() error {
	addr := flag.String("listen", "127.0.0.1:0", "address; port 0 picks one")
	flag.Parse()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "listening on http://%s\n", l.Addr())
	return http.Serve(l, nil)
}

// Exit ends the process if there is an error.
func Exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
