// Which view is shown, the header, and the connection.

import { api } from "./api.js";
import { cameraView } from "./camera.js";
import { camerasView } from "./cameras.js";
import { clockTime, fill, h, icon, toast, write } from "./dom.js";
import { levelPill } from "./event_list.js";
import { eventsView } from "./events.js";
import { openReview } from "./review.js";
import { ICON_OF, connect, listen, now, severity, state, toReview } from "./state.js";

const main = document.getElementById("main");
const forever = new AbortController().signal;
let controller = null, title = "";

function viewOf(path, signal) {
  const camera = path.match(/^\/cameras\/([^/]+)$/), event = path.match(/^\/events(?:\/([0-9a-f]{32}))?$/);
  if (camera) return cameraView(signal, decodeURIComponent(camera[1]));
  return event ? eventsView(signal, event[1]) : camerasView(signal);
}

function show({ isFirst = false } = {}) {
  controller?.abort();
  controller = new AbortController();
  document.querySelector("dialog[open]")?.close();
  const view = viewOf(location.pathname, controller.signal);
  title = view.title;
  main.replaceChildren(view.element);
  document.querySelectorAll("[data-nav]").forEach((link) => (link.dataset.nav === view.nav ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
  if (!isFirst) { main.focus({ preventScroll: true }); scrollTo(0, 0); }
  updateTitle();
}

function updateTitle() {
  const open = toReview().length, count = `${open}${state.moreToReview ? "+" : ""}`, badge = document.getElementById("to-review");
  const lost = [...state.cameras.values()].filter((camera) => ["lost", "stalled"].includes(camera.state)).length;
  document.title = `${open ? `(${count}) ` : ""}${lost ? "⚠ " : ""}${title} · vad watch`;
  badge.hidden = !open;
  write(badge, count);
  badge.setAttribute("aria-label", `${count} to review`);
}

const GROUPS = { alarm: ["alarm", "alarms"], lost: ["lost", "lost"], health: ["bad picture", "bad pictures"], notice: ["notice", "notices"], live: ["live", "live"], paused: ["paused", "paused"], ended: ["ended", "ended"] };
let summed = "";
function updateSummary() {
  const counts = new Map();
  for (const camera of state.cameras.values()) {
    const kind = { stalled: "lost", connecting: "live" }[severity(camera)] ?? severity(camera);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const key = JSON.stringify([...counts]);
  if (key === summed) return;
  summed = key;
  fill(document.getElementById("summary"), Object.entries(GROUPS).filter(([kind]) => counts.has(kind)).map(([kind, words]) =>
    h("span", { class: `pill ${kind}` }, icon(ICON_OF[kind]), h("b", { class: "number" }, counts.get(kind)), " ", h("span", {}, words[Number(counts.get(kind) > 1)]))));
}

function updateLink() {
  const place = document.getElementById("link-state");
  document.body.classList.toggle("cut-off", state.linked === false);
  fill(place, state.linked === false ? [icon("lost"), "No connection to vad watch. What you see is old."] : null);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-link], a[data-nav], a.brand");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  if (link.pathname !== location.pathname) history.pushState(null, "", link.pathname);
  show();
});
addEventListener("popstate", () => show());

listen(forever, ["events", "cameras"], updateTitle);
listen(forever, "cameras", updateSummary);
listen(forever, "link", updateLink);
listen(forever, "arrived", (event) => {
  if (document.querySelector(".rail") && matchMedia("(min-width: 1100px)").matches) return; // it appears beside the cameras
  toast([levelPill(event), h("b", {}, event.camera)], { action: { text: "Open", run: () => openReview(event.event_id) }, seconds: 12 });
});

const clock = document.getElementById("clock"), logout = document.getElementById("logout");
const tick = () => { write(clock, clockTime(now())); clock.dateTime = new Date(1000 * now()).toISOString(); };
setInterval(tick, 1000);
tick();
logout.addEventListener("click", () => api.logout().finally(() => location.assign("/login")));
listen(forever, "cameras", () => { logout.hidden = !state.hasSession; });
show({ isFirst: true });
connect();
