// hub.js follows a matric-events hub from a browser page: no dependencies, no build step, and a plain script, so that it also
// works in a page that was opened as a file.
//
//   const feed = followHub({
//     url: "http://127.0.0.1:8080",            // the hub
//     transport: "sse",                        // or "ws"
//     types: ["job", "note"],                  // all when left out
//     onEvent: (event) => …,                   // each event once, in order
//     onResync: async () => …,                 // read your state anew; called at the start as well
//     onNotice: (notice) => …,                 // some events were left out: {type: "EventsLagged", dropped_count: 12}
//     onState: (state, seconds) => …,          // "connecting", "live", or "waiting" for so many seconds
//   });
//   feed.close();
//
// What makes it complete: it asks for the log's place before it asks for the state, and opens the stream from that place.
// Whatever happens in between is in the stream. Events that come while onResync is still reading wait until it is done.
"use strict";

function followHub({ url, transport = "sse", types = [], token, onEvent, onResync, onNotice, onState }) {
  const base = url.replace(/\/+$/, "");
  const waiting = []; // events that came while the state is being read
  let cursor; // event_id of the last event, or the place before the first
  let reading = 0;
  let failures = 0;
  let connection; // has close()
  let timer;
  let closed = false;

  const address = (path, query) => {
    const u = new URL(base + path);
    for (const [name, value] of Object.entries(query)) if (value) u.searchParams.set(name, value);
    return u;
  };

  // start runs until there is a connection; from then on start is called again only when that has ended.
  async function start() {
    onState?.("connecting");
    try {
      if (!cursor) {
        const headers = token ? { Authorization: `Bearer ${token}` } : {};
        const answer = await fetch(address("/api/v1/events/poll", { limit: 1 }), { headers });
        if (!answer.ok) throw new Error(`the hub answers ${answer.status}`);
        cursor = (await answer.json()).cursor;
        await resync();
      }
      if (!closed) (transport === "ws" ? openSocket : openSource)();
    } catch (error) {
      beginAnew(error);
    }
  }

  // beginAnew is for when the state could not be read.
  function beginAnew(error) {
    console.warn("hub:", error.message);
    cursor = undefined;
    if (connection) connection.onclose = null; // of a WebSocket, which would come back with a cursor
    connection?.close();
    again();
  }

  // again waits, longer after each failure and everybody differently, so that a restarted hub is not run over.
  function again(ms = Math.min(30_000, 500 * 2 ** failures) * (0.75 + Math.random() / 2)) {
    if (closed) return;
    failures = Math.min(failures + 1, 10);
    onState?.("waiting", ms / 1000);
    clearTimeout(timer);
    timer = setTimeout(start, ms);
  }

  function live() {
    failures = 0;
    onState?.("live");
  }

  async function resync() {
    reading++;
    try {
      await onResync?.();
    } finally {
      if (--reading === 0) for (const e of waiting.splice(0)) onEvent?.(e);
    }
  }

  // receive takes one object of the hub: an event, or a notice that is about this connection.
  function receive(object) {
    switch (object.type) {
      case "ResyncRequired": // we were away for too long, or the hub has restarted: what we show may be stale
        onNotice?.(object);
        resync().catch(beginAnew);
        return;
      case "EventsLagged":
        onNotice?.(object);
        return;
      case "Draining": // the hub is about to restart, and says when to come back; an EventSource is told by its retry
        onNotice?.(object);
        if (connection) connection.comeBackIn = object.reconnect_in_ms;
        return;
    }
    if (object.event_id) cursor = object.event_id; // a QueueStatus for us alone has none
    if (reading) waiting.push(object);
    else onEvent?.(object);
  }

  // The browser reconnects an EventSource by itself and sends the last id that it saw. Only when it gives up, as after a
  // status that is not 200, do we begin anew.
  function openSource() {
    const source = new EventSource(address("/api/v1/events", { types: types.join(), last_event_id: cursor, token }));
    const parse = (message) => receive(JSON.parse(message.data));
    for (const name of ["QueueStatus", "JobQueued", "JobStarted", "JobProgress", "JobCompleted", "JobFailed", "NoteUpdated",
      "resync_required", "events.lagged"]) source.addEventListener(name, parse);
    source.onopen = live;
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) again();
      else onState?.("connecting");
    };
    connection = source;
  }

  // A WebSocket has no such thing, so we do it: by last_event_id. The subprotocol says that we know the notices.
  function openSocket() {
    const where = address("/api/v1/ws", { types: types.join(), last_event_id: cursor, on_lag: "skip", token });
    where.protocol = where.protocol.replace("http", "ws");
    const socket = new WebSocket(where, "matric.events.v1");
    socket.onmessage = (message) => receive(JSON.parse(message.data));
    socket.onopen = live;
    socket.onclose = () => again(socket.comeBackIn);
    connection = socket;
  }

  start();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      connection?.close(transport === "ws" ? 1000 : undefined);
    },
    get cursor() {
      return cursor;
    },
  };
}
