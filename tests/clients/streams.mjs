// Follows the hub with stock clients: node streams.mjs URL. Prints a JSON line {client, type, event_id} for each event that
// the ws and the eventsource packages deliver, after one {ready} for each client.
import { EventSource } from "eventsource";
import WebSocket from "ws";

const [, , url] = process.argv;
const say = (o) => console.log(JSON.stringify(o));

const source = new EventSource(url + "/api/v1/events?types=job,note");
source.onopen = () => say({ ready: "eventsource" });
for (const type of ["NoteUpdated", "JobQueued", "JobStarted", "JobProgress", "JobCompleted", "JobFailed"]) {
  source.addEventListener(type, (e) => say({ client: "eventsource", type, event_id: e.lastEventId }));
}

const socket = new WebSocket(url.replace(/^http/, "ws") + "/api/v1/ws?types=job,note");
socket.on("open", () => say({ ready: "ws" }));
socket.on("message", (data) => {
  const e = JSON.parse(data);
  say({ client: "ws", type: e.type, event_id: e.event_id });
});
