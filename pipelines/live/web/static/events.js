// All events, page by page, with filters.

import { api } from "./api.js";
import { fill, h, toast } from "./dom.js";
import { eventList } from "./event_list.js";
import { openReview } from "./review.js";
import { keepEvents, listen, newestFirst, state } from "./state.js";

const PAGE = 40;

export function eventsView(signal, id = null) {
  const filter = { camera: "", level: "", verdict: "" };
  const list = eventList({ withDays: true }), empty = h("p", { class: "empty", role: "status" });
  const cameras = h("select", { id: "filter-camera", onchange: (event) => change("camera", event.target.value) });
  const more = h("button", { type: "button", class: "button", hidden: true, onclick: () => fetchPage() }, "Older events");
  let shown = new Set(), before = null, newest = 0, round = 0;

  const select = (name, label, options) => h("label", { class: "filter" }, h("span", {}, label),
    h("select", { onchange: (event) => change(name, event.target.value) }, options.map(([value, text]) => h("option", { value }, text))));

  function change(name, value) {
    filter[name] = value;
    shown = new Set();
    before = null;
    fetchPage();
  }

  const isWanted = (event) => (!filter.camera || event.camera === filter.camera) && (!filter.level || event.level === filter.level)
    && (!filter.verdict || (filter.verdict === "none" ? event.verdict === null : event.verdict === filter.verdict));

  async function fetchPage() {
    const mine = ++round;
    const reviewed = filter.verdict === "none" ? false : null, verdict = filter.verdict === "none" ? "" : filter.verdict;
    try {
      const page = await api.events({ camera: filter.camera, level: filter.level, verdict, reviewed, before, limit: PAGE });
      if (mine !== round || signal.aborted) return;
      if (before === null) newest = page.events[0]?.start ?? 0;
      before = page.before;
      page.events.forEach((event) => shown.add(event.event_id));
      keepEvents(page.events);
      more.hidden = page.before === null;
      update();
    } catch (error) {
      toast(error.message);
    }
  }

  function update() {
    const events = newestFirst((event) => (shown.has(event.event_id) || event.start > newest) && (isWanted(event) || shown.has(event.event_id) && filter.verdict === "none"));
    list.show(events);
    fill(empty, events.length ? null : "No event fits these filters.");
  }

  function updateCameras() {
    if (cameras.options.length === state.cameras.size + 1) return;
    fill(cameras, h("option", { value: "" }, "All cameras"), [...state.cameras.keys()].map((name) => h("option", { value: name }, name)));
    cameras.value = filter.camera;
  }

  listen(signal, "events", update);
  listen(signal, "cameras", updateCameras);
  updateCameras();
  fetchPage();
  if (id) openReview(id);
  return {
    title: "Events", nav: "events",
    element: h("section", { class: "page" },
      h("div", { class: "page-head" }, h("h1", {}, "Events"),
        h("div", { class: "filters" }, h("label", { class: "filter" }, h("span", {}, "Camera"), cameras),
          select("level", "Level", [["", "All levels"], ["alarm", "Alarms"], ["notice", "Notices"]]),
          select("verdict", "Verdict", [["", "All verdicts"], ["none", "To review"], ["true_alarm", "True alarm"], ["false_alarm", "False alarm"]]))),
      h("div", { class: "card wide-list" }, list.element, empty), more),
  };
}
