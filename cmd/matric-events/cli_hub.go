package main

import (
	"fmt"
	"io"
	"time"

	"github.com/matric/matric-events/adapters/client"
)

// HubFlags say which hub a command talks to.
type HubFlags struct {
	URL   string `default:"http://127.0.0.1:8080" env:"MATRIC_URL" help:"The hub's address."`
	Token string `env:"MATRIC_TOKEN" help:"Bearer token; anonymous without."`
}

// connect returns a client that tells w of failures that it gets over by itself. before is called ahead of each message.
func (f HubFlags) connect(w io.Writer, before func()) (*client.Client, error) {
	release, _ := buildVersion()
	waiting := false
	return client.New(f.URL, &client.Options{
		Token:     f.Token,
		UserAgent: "matric-events/" + release,
		OnRetry: func(err error, pause time.Duration) {
			waiting = true
			before()
			fmt.Fprintf(w, "matric-events: %s; trying again in %s\n", oneLine(err.Error(), maxText), pause.Round(100*time.Millisecond))
		},
		OnConnect: func() {
			if waiting {
				before()
				fmt.Fprintln(w, "matric-events: connected")
			}
			waiting = false
		},
	})
}
