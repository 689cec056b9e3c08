// Follows an event stream with the eventsource package, as browsers' EventSource does: node follow.mjs URL. Prints a JSON line
// {type, id} for each note event.
import { EventSource } from "eventsource";

const source = new EventSource(process.argv[2]);
source.addEventListener("NoteUpdated", (e) => console.log(JSON.stringify({ type: e.type, id: e.lastEventId })));
