// board.js shows what hub.js brings. Its state is two maps, jobs and notes; every event is merged into one of them, and a
// page that starts, or that missed something, fills them from the API. Both ways may bring the same thing twice: merging is
// idempotent.
"use strict";

const options = new URLSearchParams(location.search);
const hub = (options.get("hub") || "http://127.0.0.1:8080").replace(/\/+$/, "");
const shown = 30; // of each list
const jobs = new Map();
const notes = new Map();

const $ = (id) => document.getElementById(id);
// words turns NoteAnalysis into "Note analysis".
const words = (name = "Job") =>
  name.replace(/([a-z\d])([A-Z])/g, "$1 $2").replace(/ [A-Z](?=[a-z])/g, (s) => s.toLowerCase()).replace(/^Ai\b/, "AI");
const seconds = (ms) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);

// merge adds what is known to a job or note, and moves it to the front unless it only makes progress.
function merge(map, id, change, toFront) {
  const item = { ...map.get(id), ...change, id };
  if (toFront) map.delete(id);
  map.set(id, item);
  while (map.size > 4 * shown) map.delete(map.keys().next().value);
  return item;
}

function onEvent(e) {
  const job = (change, toFront = true) => {
    const of = { type: e.job_type, note: e.note_id };
    for (const name in of) if (!of[name]) delete of[name];
    merge(jobs, e.job_id, { ...of, ...change }, toFront);
  };
  switch (e.type) {
    case "QueueStatus":
      $("running").textContent = e.running;
      $("pending").textContent = e.pending;
      return;
    case "JobQueued":
      job({ state: "queued", percent: 0, message: "", error: "", ms: undefined });
      break;
    case "JobStarted":
      job({ state: "running", percent: 0, message: "", error: "" });
      break;
    case "JobProgress":
      job({ state: "running", percent: e.progress, message: e.message ?? "" }, !jobs.has(e.job_id));
      break;
    case "JobCompleted":
      job({ state: "completed", percent: 100, message: "", ms: e.duration_ms });
      break;
    case "JobFailed":
      job({ state: e.error === "canceled" ? "canceled" : "failed", error: e.error, retry: e.will_retry });
      break;
    case "NoteUpdated":
      merge(notes, e.note_id, { title: e.title, tags: e.tags, operation: e.operation, links: e.has_links, at: e.occurred_at }, true);
      break;
    default:
      return; // a type that a newer hub may have
  }
  draw();
}

// onResync reads the state anew. A hub in front of another application has no lists; then there is only what comes.
async function onResync() {
  const headers = options.has("token") ? { Authorization: `Bearer ${options.get("token")}` } : {};
  const list = async (path) => {
    const answer = await fetch(hub + path, { headers });
    if (answer.status === 404) return [];
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  };
  const [jobList, noteList] = await Promise.all([list(`/api/v1/jobs?limit=${shown}`), list(`/api/v1/notes?limit=${shown}`)]);
  if (jobList.length) jobs.clear();
  if (noteList.length) notes.clear();
  for (const j of jobList.reverse()) {
    const retry = j.state === "retrying";
    merge(jobs, j.id, {
      type: j.job_type, note: j.note_id, message: j.message, error: j.error, retry,
      state: retry ? "failed" : j.state,
      percent: j.state === "completed" ? 100 : j.progress,
      ms: j.finished_at && j.started_at ? Date.parse(j.finished_at) - Date.parse(j.started_at) : undefined,
    }, true);
  }
  for (const n of noteList.reverse()) {
    const operation = n.created_at === n.updated_at ? "created" : "updated";
    merge(notes, n.id, { title: n.title, tags: n.tags, links: n.has_links, at: n.updated_at, operation }, true);
  }
  draw();
}

function onNotice(n) {
  const text = {
    ResyncRequired: "The hub restarted, or we were away for too long. The lists were read anew.",
    EventsLagged: `This page was too slow for ${n.dropped_count} events, which were left out.`,
    Draining: "The hub is restarting. This page comes back by itself.",
  }[n.type];
  $("notice").hidden = !text;
  $("notice").firstElementChild.textContent = text;
  $("notice").dataset.type = n.type;
}
$("notice").lastElementChild.onclick = () => { $("notice").hidden = true; };

function onState(state, wait) {
  $("state").className = state;
  $("state").lastElementChild.textContent = { connecting: "Connecting…", live: "Live", waiting: `Offline, next try in ${Math.ceil(wait)} s` }[state];
  if (state === "live" && $("notice").dataset.type === "Draining") $("notice").hidden = true;
}

// draw is called for every event and does its work once per frame at most, whatever the rate of events.
let drawing = false;
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const rank = { running: 0, queued: 1 };
    const newest = (map) => [...map.values()].reverse();
    fill($("jobs"), newest(jobs).sort((a, b) => (rank[a.state] ?? 2) - (rank[b.state] ?? 2)).slice(0, shown), drawJob);
    fill($("notes"), newest(notes).slice(0, shown), drawNote);
  });
}

// fill makes a list's elements those of the items, reusing each item's own, so that bars move instead of jumping.
function fill(list, items, drawItem) {
  const old = new Map([...list.children].map((li) => [li.dataset.id, li]));
  items.forEach((item, i) => {
    const li = old.get(item.id) ?? Object.assign(document.createElement("li"), { className: "new" });
    li.onanimationend = () => li.classList.remove("new");
    old.delete(item.id);
    li.dataset.id = item.id;
    drawItem(li, item);
    if (list.children[i] !== li) list.insertBefore(li, list.children[i] ?? null);
  });
  for (const li of old.values()) li.remove();
}

// part returns the child with the class, which it makes if there is none. Text from the hub is only ever set as text.
function part(parent, tag, name, text) {
  let child = parent.querySelector(`:scope > ${tag}.${name}`);
  if (!child) parent.append((child = Object.assign(document.createElement(tag), { className: name })));
  if (text !== undefined && child.textContent !== text) child.textContent = text;
  return child;
}

function drawJob(li, j) {
  li.className = `${j.state} ${li.classList.contains("new") ? "new" : ""}`;
  const top = part(li, "div", "top");
  part(top, "strong", "name", words(j.type));
  const what = {
    queued: "waiting",
    running: `${j.percent} %`,
    completed: j.ms === undefined ? "done" : `done in ${seconds(j.ms)}`,
    failed: j.retry ? "failed, will be tried again" : "failed",
    canceled: "canceled",
  }[j.state];
  part(top, "span", "what", what ?? j.state);
  const bar = part(li, "div", "bar");
  const aria = { role: "progressbar", "aria-valuenow": j.percent, "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": words(j.type) };
  for (const name in aria) bar.setAttribute(name, aria[name]);
  part(bar, "i", "filled").style.width = `${j.percent}%`;
  const title = notes.get(j.note)?.title;
  part(li, "div", "more", [title && `“${title}”`, j.state === "failed" ? j.error : j.message].filter(Boolean).join(" · "));
}

function drawNote(li, n) {
  li.className = `${n.operation} ${li.classList.contains("new") ? "new" : ""}`;
  const top = part(li, "div", "top");
  part(top, "strong", "name", n.title || "Untitled note");
  part(top, "span", "what", n.operation);
  const at = new Date(n.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  part(li, "div", "more", n.links ? `${at} · has links` : at);
  const tags = part(li, "div", "tags");
  tags.replaceChildren(...(n.tags ?? []).map((tag) => Object.assign(document.createElement("span"), { textContent: tag })));
}

const feed = followHub({
  url: hub,
  transport: options.get("transport") || "sse",
  token: options.get("token") || undefined,
  onEvent, onResync, onNotice, onState,
});
