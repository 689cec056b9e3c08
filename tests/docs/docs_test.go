// Package docs_test holds the descriptions in docs to what the real program does: every operation of openapi.yaml is called
// and every message of asyncapi.yaml seen, and nothing comes over the wire that the descriptions do not have.
package docs_test

import (
	"os"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/matric/matric-events/tests/harness"
)

func TestMain(m *testing.M) {
	for _, media := range []string{"application/x-ndjson", "text/event-stream"} {
		openapi3filter.RegisterBodyDecoder(media, openapi3filter.PlainBodyDecoder)
	}
	code := m.Run()
	harness.CleanUp()
	os.Exit(code)
}

// webhooksOnLoopback are the flags that let webhooks go to a harness.Receiver.
var webhooksOnLoopback = []string{"--webhook-allow-http", "--webhook-allow-cidr", "127.0.0.0/8"}
