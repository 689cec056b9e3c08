// Follows a hub from Node.js 18 or later, without packages:
//
//   node subscribe.mjs http://127.0.0.1:8080 'types=job,note' [cursor-file]
//
// Prints each event as a line of JSON, and what happens to the connection on standard error. It reconnects by itself and resumes
// after the last event; with a cursor file also after its own restart. HUB_TOKEN is sent as bearer token.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const [hub = "http://127.0.0.1:8080", query = "", cursorFile] = process.argv.slice(2);
const silence = 45_000; // three of the hub's keepalives
const headers = process.env.HUB_TOKEN ? { Authorization: `Bearer ${process.env.HUB_TOKEN}` } : {};

let cursor = cursorFile && existsSync(cursorFile) ? readFileSync(cursorFile, "utf8").trim() : "";
let retry = 1000; // milliseconds; the hub names its own
let failures = 0;

// handle is where your own work goes. The cursor moves on once it is done: after a crash in between the event comes again.
async function handle(event) {
  console.log(JSON.stringify(event));
}

function keep(id) {
  cursor = id;
  if (!cursorFile) return;
  writeFileSync(cursorFile + ".new", id); // a crash leaves the old one or the new one
  renameSync(cursorFile + ".new", cursorFile);
}

// blocks parses an event stream as the HTML standard says (section 9.2.6): it yields {name, id, data} for each event.
async function* blocks(body, alive) {
  const text = new TextDecoder(); // drops a byte order mark, and joins characters that are cut in two
  let rest = "", name = "", data = [], id = "";
  for await (const chunk of body) {
    alive();
    rest += text.decode(chunk, { stream: true });
    const lines = rest.split(/\r\n|\n|\r(?!$)/); // a CR at the very end may be half a CRLF
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (data.length) yield { name: name || "message", id, data: data.join("\n") };
        name = "";
        data = [];
        continue;
      }
      const [, field, value] = line.match(/^([^:]*)(?:: ?)?(.*)$/s);
      if (field === "event") name = value;
      else if (field === "data") data.push(value);
      else if (field === "id" && !value.includes("\0")) id = value;
      else if (field === "retry" && /^\d+$/.test(value)) retry = Number(value);
    }
  }
}

async function follow() {
  const url = new URL("/api/v1/events?" + query, hub);
  const patience = new AbortController();
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => patience.abort(new Error("the hub went silent")), silence);
  };
  alive();
  try {
    const answer = await fetch(url, { signal: patience.signal, headers: { ...headers, ...(cursor && { "Last-Event-ID": cursor }) } });
    if (answer.status >= 400 && answer.status < 500 && ![408, 425, 429].includes(answer.status)) {
      console.error(`refused: ${answer.status} ${(await answer.json()).error}`);
      process.exit(1); // it would be refused again
    }
    if (!answer.ok) throw new Error(`the hub answers ${answer.status}`);
    console.error("connected");
    for await (const { name, id, data } of blocks(answer.body, alive)) {
      failures = 0;
      const object = JSON.parse(data);
      if (name === "resync_required") {
        console.error(`events are missing (${object.reason}): read your state anew`);
      } else if (name === "events.lagged") {
        console.error(`${object.dropped_count} events were left out: too slow`);
      } else {
        await handle(object);
        if (id && id !== cursor) keep(id);
      }
    }
    throw new Error("the hub closed the connection");
  } finally {
    clearTimeout(timer);
  }
}

// Without a cursor a connection that breaks before its first event would have nothing to resume from: ask where the log stands.
async function locate() {
  const answer = await fetch(new URL("/api/v1/events/poll?limit=1", hub), { headers });
  if (answer.ok) cursor = (await answer.json()).cursor;
}

for (;;) {
  try {
    if (!cursor) await locate();
    await follow();
  } catch (error) {
    const pause = Math.min(30_000, retry * 2 ** Math.min(failures++, 5)) * (0.75 + Math.random() / 2);
    console.error(`${error.cause?.code ?? error.message}; again in ${Math.round(pause)} ms`);
    await sleep(pause);
  }
}
