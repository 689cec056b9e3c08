package docs_test

import (
	"net/http"
	"strings"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// agent sends a message as clients of MCP do.
func (c *client) agent(want int, method, body string, headers ...string) answer {
	c.t.Helper()
	req := c.request(method, "/mcp", body, append([]string{"Accept: application/json, text/event-stream"}, headers...)...)
	read := reader(readAll)
	if method == "GET" && want == 200 {
		read = upTo(": ok") // a stream does not end
	}
	return c.send(want, req, body, read)
}

func callAgents(c *client) {
	opened := c.agent(200, "POST", initialize)
	const revision = "MCP-Protocol-Version: 2026-07-28" // which has no sessions
	c.agent(200, "POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_queue_status","arguments":{},"_meta":{`+
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
		revision, "Mcp-Method: tools/call", "Mcp-Name: get_queue_status")
	session := "Mcp-Session-Id: " + opened.header.Get("Mcp-Session-Id")
	if !strings.Contains(string(opened.body), `"protocolVersion":"2025-11-25"`) {
		c.t.Errorf("initialize: %s", opened.body)
	}
	c.agent(202, "POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, session)
	c.agent(200, "POST", `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, session)
	c.agent(200, "GET", "", session, "MCP-Protocol-Version: 2025-11-25")
	c.listed(session)
	for _, method := range []string{"POST", "GET", "DELETE"} {
		body := ""
		if method == "POST" {
			body = `{"jsonrpc":"2.0","id":3,"method":"ping"}`
		}
		c.agent(403, method, body, session, "Origin: https://elsewhere.example")
		c.agent(404, method, body, "Mcp-Session-Id: nobody")
	}
	c.agent(400, "GET", "")
	c.agent(400, "DELETE", "")
	c.agent(204, "DELETE", "", session, "MCP-Protocol-Version: 2025-11-25")
}

// listed wants an open stream among the connections.
func (c *client) listed(session string) {
	c.t.Helper()
	res, err := http.DefaultTransport.RoundTrip(c.request("GET", "/mcp", "", "Accept: text/event-stream", session))
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	if got := c.call(200, "GET", "/api/v1/connections?transport=mcp", ""); !strings.Contains(string(got.body), `"transport":"mcp"`) {
		c.t.Errorf("connections: %s", got.body)
	}
}
