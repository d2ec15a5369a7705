// What the page knows: cameras, their newest scores, events. It is loaded once and then kept up to date by messages.

import { api } from "./api.js";
import { announce } from "./dom.js";

export const CURVE_SEC = 120;
const ORDER = ["alarm", "lost", "stalled", "health", "notice", "connecting", "live", "paused", "ended"];

export const state = {
  cameras: new Map(), // name -> camera, in the order of cameras.toml
  heard: new Map(), // name -> when its newest score arrived; recordings are older than that
  scores: new Map(), // name -> [[time, score], ...] of the last CURVE_SEC
  events: new Map(), // id -> event
  moreToReview: false,
  linked: null,
  hasSession: false,
  skew: 0, // clock of the server less that of this browser, seconds
};

const bus = new EventTarget();
export const emit = (name, detail) => bus.dispatchEvent(new CustomEvent(name, { detail }));

// Listeners of a view end with it.
export function listen(signal, names, run) {
  for (const name of [names].flat()) bus.addEventListener(name, (event) => run(event.detail), { signal });
}

export const now = () => Date.now() / 1000 + state.skew;

export function severity(camera) {
  if (camera.open_event === "alarm") return "alarm";
  if (camera.state === "live") return camera.health !== "ok" ? "health" : camera.open_event ?? "live";
  return camera.state;
}

export const WORDS = {
  alarm: "Alarm", lost: "Lost", stalled: "No picture", notice: "Notice", connecting: "Connecting",
  live: "Live", paused: "Paused", ended: "Ended",
  black: "Picture black", white: "Picture white", frozen: "Picture frozen", blurred: "Picture blurred", moved: "Camera moved",
};
export const ICON_OF = {
  alarm: "alarm", lost: "lost", stalled: "lost", health: "health", notice: "notice", connecting: "wait",
  live: "live", paused: "pause", ended: "ended",
};
export const wordOf = (camera) => (severity(camera) === "health" ? WORDS[camera.health] ?? "Bad picture" : WORDS[severity(camera)]);

export function worstFirst() {
  const rank = (camera) => ORDER.indexOf(severity(camera));
  return [...state.cameras.values()].map((camera, index) => [rank(camera), index, camera])
    .sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((entry) => entry[2]);
}

export const newestFirst = (keep = () => true) =>
  [...state.events.values()].filter(keep).sort((a, b) => b.start - a.start || (a.event_id < b.event_id ? 1 : -1));
export const toReview = () => newestFirst((event) => event.verdict === null);

export function keepEvents(events) {
  for (const event of events) state.events.set(event.event_id, event);
}

export function setCamera(camera) {
  state.cameras.set(camera.name, camera);
  emit("cameras");
}

function addScores(name, pairs) {
  const kept = state.scores.get(name) ?? [];
  kept.push(...pairs);
  const oldest = now() - CURVE_SEC - 5;
  while (kept.length && kept[0][0] < oldest) kept.shift();
  state.scores.set(name, kept);
}

export async function load() {
  const [found, all, open] = await Promise.all([
    api.cameras(), api.events({ limit: 60 }), api.events({ reviewed: false, limit: 100 })]);
  state.hasSession = found.session;
  state.skew = found.time - Date.now() / 1000;
  state.cameras = new Map(found.cameras.map((camera) => [camera.name, camera]));
  keepEvents([...all.events, ...open.events]);
  state.moreToReview = open.before !== null;
  emit("cameras");
  emit("events");
  for (const name of state.cameras.keys()) {
    const { scores } = await api.scores(name, Math.floor(now()) - CURVE_SEC, Math.ceil(now()), 240);
    state.scores.set(name, scores.map(([time, , mean]) => [time, mean]));
    if (state.cameras.get(name).score !== null) state.heard.set(name, now());
    emit("scores", [name]);
  }
}

function receive(message) {
  if (message.type === "reset") {
    load().catch(() => {});
  } else if (message.type === "scores") {
    for (const [name, pairs] of Object.entries(message.scores)) {
      addScores(name, pairs);
      const camera = state.cameras.get(name);
      if (camera) { [camera.score_time, camera.score] = pairs.at(-1); state.heard.set(name, now()); }
    }
    emit("scores", Object.keys(message.scores));
  } else if (message.type === "state") {
    const camera = state.cameras.get(message.camera);
    if (!camera) return;
    if (camera.state !== message.state) camera.since = message.time;
    const isNew = camera.state !== message.state || camera.health !== message.health;
    Object.assign(camera, { state: message.state, health: message.health, reason: message.reason });
    if (isNew && ["lost", "stalled", "health"].includes(severity(camera))) announce(`${camera.name}: ${wordOf(camera)}. ${camera.reason}`);
    emit("cameras");
  } else if (message.type === "event" || message.type === "stored") {
    receiveEvent(message);
  }
}

function receiveEvent({ type, change, event }) {
  state.events.set(event.event_id, { verdict: null, reviewed_time: null, clip_problem: null, has_clip: false, has_snapshot: false, ...state.events.get(event.event_id), ...event });
  const camera = state.cameras.get(event.camera);
  if (type === "event" && camera) {
    camera.open_event = change === "end" ? null : event.level;
    emit("cameras");
  }
  if (change === "new") {
    announce(`${WORDS[event.level]} at ${event.camera}`);
    emit("arrived", event);
  }
  if (type === "event" && !(event.has_clip && event.has_snapshot)) fetchMedia(event.event_id);
  emit("events");
}

// Clip and snapshot are written a moment after the message.
function fetchMedia(id, waits = [2, 5, 10, 30]) {
  if (!waits.length) return;
  setTimeout(async () => {
    const event = await api.event(id).catch(() => null);
    if (!event) return;
    keepEvents([event]);
    emit("events");
    if (!event.has_snapshot || (event.end !== null && !event.has_clip && !event.clip_problem)) fetchMedia(id, waits.slice(1));
  }, 1000 * waits[0]);
}

// A hidden tab holds no connection: browsers allow six per server. It looks once a minute instead, for its title.
export function connect() {
  let source = null;
  const link = (linked) => { state.linked = linked; emit("link"); };
  const open = () => {
    source = new EventSource("/api/messages");
    source.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "hello") load().then(() => link(true), () => link(false));
      else receive(message);
    };
    source.onerror = () => {
      link(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(reopen, 3000);
    };
  };
  const reopen = () => { source?.close(); if (!document.hidden) open(); };
  document.addEventListener("visibilitychange", () => (document.hidden ? source?.close() : reopen()));
  addEventListener("pagehide", () => source?.close());
  setInterval(async () => {
    if (!document.hidden) return;
    const open = await api.events({ reviewed: false, limit: 100 }).catch(() => null);
    if (open) { keepEvents(open.events); emit("events"); }
  }, 60000);
  open();
}
