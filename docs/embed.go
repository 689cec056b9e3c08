// Package docs carries the API descriptions into the program, which serves them.
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
