package httpapi

import "github.com/matric/matric-events/adapters/internal/web"

// Origins decides which web pages may use the server from a browser.
type Origins = web.Origins

// ParseOrigins reads a list such as https://notes.example, or *, for any. No Origins are needed for pages of the server's
// own host.
func ParseOrigins(list []string) (Origins, error) { return web.ParseOrigins(list) }
