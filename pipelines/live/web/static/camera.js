// One camera: picture with heat map and zones, score curve, facts, its events.

import { api } from "./api.js";
import { coverOf, isStale } from "./cameras.js";
import { scoreChart } from "./chart.js";
import { clockTime, duration, fill, h, icon, scoreText, toast, write } from "./dom.js";
import { eventList } from "./event_list.js";
import { drawHeat } from "./heat.js";
import { livePicture } from "./pictures.js";
import { ICON_OF, keepEvents, listen, newestFirst, now, setCamera, severity, state, wordOf } from "./state.js";
import { zoneEditor } from "./zones.js";

export function cameraView(signal, name) {
  const image = h("img", { class: "picture", alt: `Live picture of ${name}` }), heat = h("canvas", { class: "heat", hidden: true, "aria-hidden": "true" });
  const cover = h("div", { class: "cover" });
  const zones = zoneEditor({ save: (wanted) => api.zones(name, wanted).then((camera) => { setCamera(camera); toast("The zones are saved and in use."); }, (error) => error.message) });
  const frame = h("div", { class: "frame" }, image, heat, zones.layer, cover);
  const status = h("div", { class: "status", role: "status" }), score = h("span", { class: "score number" }), facts = h("dl", { class: "facts column" });
  const pause = h("button", { type: "button", class: "button", onclick: () => setPaused(state.cameras.get(name).state !== "paused") });
  const heatButton = h("button", { type: "button", class: "button", "aria-pressed": "false", onclick: () => showHeat(heat.hidden) }, icon("heat"), "Heat map");
  const legend = h("div", { class: "legend", hidden: true }, h("span", {}, "0"), h("span", { class: "ramp" }), h("span", {}, "1"));
  const list = eventList({ withCamera: false, withDays: true }), empty = h("p", { class: "empty" });
  const missing = h("p", { class: "empty", hidden: true }, "There is no camera of this name.");
  let heatTimer = 0;

  livePicture(image, name, signal, { everyMs: 300, onSize: (width, height) => frame.style.setProperty("--ratio", width / height) });

  async function setPaused(paused) {
    pause.disabled = true;
    try { setCamera(await api.pause(name, paused)); } catch (error) { toast(error.message); }
    pause.disabled = false;
  }

  function showHeat(wanted) {
    heat.hidden = legend.hidden = !wanted;
    heatButton.setAttribute("aria-pressed", String(wanted));
    clearTimeout(heatTimer);
    if (wanted) refreshHeat();
  }
  async function refreshHeat() {
    try { if (!document.hidden) drawHeat(heat, await api.patches(name)); } catch { /* the next one may come */ }
    if (!signal.aborted && !heat.hidden) heatTimer = setTimeout(refreshHeat, 500);
  }

  let shown = "";
  function update() {
    const camera = state.cameras.get(name);
    missing.hidden = Boolean(camera) || !state.linked;
    if (!camera) return;
    const kind = severity(camera), key = [kind, camera.state, camera.health, camera.reason].join("|");
    if (key !== shown) {
      shown = key;
      frame.dataset.severity = kind;
      frame.dataset.state = camera.state;
      fill(status, h("span", { class: `pill ${kind}` }, icon(ICON_OF[kind]), wordOf(camera)), camera.reason && h("span", { class: "reason" }, camera.reason));
      fill(cover, coverOf(camera));
      fill(pause, icon(camera.state === "paused" ? "play" : "pause"), camera.state === "paused" ? "Resume" : "Pause");
      pause.hidden = camera.state === "ended";
    }
    const clock = cover.querySelector(".cover-since");
    if (clock) write(clock, `for ${duration(now() - camera.since)}, since ${clockTime(camera.since, false)}`);
    write(score, scoreText(isStale(camera) ? null : camera.score));
    score.classList.toggle("high", !isStale(camera) && camera.score >= camera.threshold);
    zones.set(camera.zones);
    updateFacts(camera);
  }
  const values = new Map();
  function updateFacts(camera) {
    const whole = (number) => number.toLocaleString("en-US");
    const wanted = [["Threshold", scoreText(camera.threshold)], ["In this state", duration(now() - camera.since)],
      ["Latency", camera.latency_sec === null ? "–" : `${camera.latency_sec.toFixed(2)} s`], ["Frames scored", whole(camera.frames_scored)],
      ["Frames dropped", whole(camera.frames_dropped)], ["Reconnects", whole(camera.reconnects)]];
    for (const [text, value] of wanted) {
      if (!values.has(text)) { values.set(text, h("dd", { class: "number" })); facts.append(h("div", {}, h("dt", {}, text), values.get(text))); }
      write(values.get(text), value);
    }
  }
  function updateEvents() {
    const events = newestFirst((event) => event.camera === name).slice(0, 60);
    list.show(events);
    fill(empty, events.length ? null : "No event of this camera yet.");
  }
  async function refreshCounts() { // frames, latency and the like come with no message
    try {
      const { cameras } = await api.cameras(), found = cameras.find((camera) => camera.name === name);
      if (found) setCamera(found);
    } catch { /* shown by the link state */ }
  }

  listen(signal, ["cameras", "scores", "link"], update);
  listen(signal, "events", updateEvents);
  const timers = [setInterval(update, 1000), setInterval(updateEvents, 5000), setInterval(() => document.hidden || refreshCounts(), 5000)];
  signal.addEventListener("abort", () => { timers.forEach(clearInterval); clearTimeout(heatTimer); });
  api.events({ camera: name, limit: 60 }).then(({ events }) => { keepEvents(events); updateEvents(); }, () => {});
  update();
  updateEvents();

  const element = h("div", { class: "camera-page" },
    h("div", { class: "camera-head" }, h("a", { class: "button back", href: "/", "data-link": "", "aria-label": "All cameras" }, icon("back")),
      h("h1", {}, name), status, h("div", { class: "head-score" }, h("span", { class: "soft" }, "Score"), score)),
    missing,
    h("div", { class: "camera-main" },
      h("section", { class: "stage card", "aria-label": "Picture" }, frame, h("div", { class: "stage-tools" }, pause, heatButton, legend)),
      scoreChart(name, signal)),
    h("div", { class: "camera-side" },
      h("section", { class: "card panel" }, h("div", { class: "panel-head" }, h("h2", {}, "Now")), facts),
      h("section", { class: "card panel" }, h("div", { class: "panel-head" }, h("h2", {}, "Zones")), zones.panel),
      h("section", { class: "card panel flush" }, h("div", { class: "panel-head" }, h("h2", {}, "Events")), list.element, empty)));
  return { title: name, nav: "cameras", element };
}
