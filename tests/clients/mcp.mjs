// Uses the hub as an agent does, with the stock client of the Model Context Protocol: node mcp.mjs TARGET, where TARGET is a
// URL, or a command and its arguments for a server on standard input and output. Reads commands, one JSON array a line, and
// answers each with a JSON line: {"ok": …}, or {"error": …}. Says {"updated": URI} when it is told of a changed resource and
// {"progress": …} when a call tells of its progress.
import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const [, , target, ...args] = process.argv;
const say = (o) => console.log(JSON.stringify(o));

let client;
const commands = {
  async connect() {
    client = new Client({ name: "test", version: "1" });
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, (n) => say({ updated: n.params.uri }));
    await client.connect(
      target.startsWith("http")
        ? new StreamableHTTPClientTransport(new URL(target))
        : new StdioClientTransport({ command: target, args, env: process.env }), // which it would pass on a few variables of
    );
    return { server: client.getServerVersion(), capabilities: client.getServerCapabilities(), instructions: client.getInstructions() };
  },
  tools: async () => (await client.listTools()).tools,
  resources: async () => [...(await client.listResources()).resources, ...(await client.listResourceTemplates()).resourceTemplates],
  // The client checks what is answered against the tool's schema, once it has listed the tools.
  call: (name, arguments_) => client.callTool({ name, arguments: arguments_ }, undefined, { onprogress: (p) => say({ progress: p }) }),
  read: (uri) => client.readResource({ uri }),
  subscribe: (uri) => client.subscribeResource({ uri }),
  close: () => client.close(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...rest] = JSON.parse(line);
  Promise.resolve(commands[name](...rest)).then(
    (ok) => say({ ok: ok ?? null }),
    (e) => say({ error: String(e.message ?? e) }),
  );
}
