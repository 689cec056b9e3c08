// Package docs carries the API descriptions into the program, which serves them as they are: OpenAPI 3.1 for the HTTP
// interface, AsyncAPI 3.0 for WebSocket, server-sent events and webhook deliveries. tests/docs holds both to what the program
// does, in both directions. Callers must not change the bytes.
package docs

import _ "embed" // for the descriptions

// OpenAPI describes the HTTP interface (OpenAPI 3).
//
//go:embed openapi.yaml
var OpenAPI []byte

// AsyncAPI describes the streams (AsyncAPI 3.0).
//
//go:embed asyncapi.yaml
var AsyncAPI []byte
