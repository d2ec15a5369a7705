// Events as rows with their verdict buttons: beside the cameras, on the page of a camera, and on the page of events.

import { api } from "./api.js";
import { clockTime, dayName, duration, fill, h, icon, scoreText, toast } from "./dom.js";
import { openReview } from "./review.js";
import { WORDS, emit, keepEvents, listen, newestFirst, now, state, toReview } from "./state.js";

export const VERDICTS = { true_alarm: "True alarm", false_alarm: "False alarm" };

export async function giveVerdict(event, verdict) {
  const before = event.verdict;
  try {
    keepEvents([await api.review(event.event_id, verdict)]);
    emit("events");
    return before;
  } catch (error) {
    toast(`The verdict was not saved: ${error.message}`);
    return undefined;
  }
}

export function levelPill(event) {
  return h("span", { class: `pill ${event.level}` }, icon(event.level), WORDS[event.level]);
}

export const lengthOf = (event) => (event.end === null ? `${duration(now() - event.start)}, still on` : duration(event.end - event.start));

export function verdictButtons(event, { isSmall = true } = {}) {
  const button = (verdict, name) => h("button", {
    type: "button", class: `verdict ${verdict}`, "aria-pressed": String(event.verdict === verdict),
    "aria-label": isSmall ? `${VERDICTS[verdict]}: ${event.camera}, ${clockTime(event.start)}` : null,
    title: VERDICTS[verdict],
    onclick: () => giveVerdict(event, event.verdict === verdict ? null : verdict),
  }, icon(name), h("span", {}, isSmall ? (verdict === "true_alarm" ? "True" : "False") : VERDICTS[verdict]));
  return h("div", { class: "verdicts", role: "group", "aria-label": "Verdict" }, button("true_alarm", "yes"), button("false_alarm", "no"));
}

function row(event, withCamera) {
  const picture = event.has_snapshot ? h("img", { src: api.snapshotAddress(event.event_id), alt: "", loading: "lazy" }) : icon(event.level);
  const open = h("button", { type: "button", class: "thumb", onclick: () => openReview(event.event_id),
    "aria-label": `Open ${WORDS[event.level]} of ${event.camera}, ${dayName(event.start)} ${clockTime(event.start)}` },
    picture, event.has_clip && h("span", { class: "has-clip" }, icon("play")));
  return h("li", { class: "event", "data-id": event.event_id, "data-level": event.level, "data-open": String(event.end === null), "data-verdict": event.verdict ?? "" },
    open,
    h("div", { class: "event-text" },
      h("div", { class: "event-title" }, h("span", { class: "event-name" }, withCamera ? event.camera : clockTime(event.start)), levelPill(event)),
      h("div", { class: "event-facts number" }, `${withCamera ? `${clockTime(event.start)} · ` : ""}${event.end === null ? "still on" : lengthOf(event)} · peak ${scoreText(event.peak_score)}`)),
    verdictButtons(event));
}

// Rows are only replaced when their event has changed, so that nothing moves or loses the focus.
export function eventList({ withCamera = true, withDays = false } = {}) {
  const list = h("ul", { class: "events" });
  const known = new Map();
  function show(events) {
    const wanted = [];
    let day = null;
    for (const event of events) {
      if (withDays && dayName(event.start) !== day) {
        day = dayName(event.start);
        wanted.push(cached(`day ${day}`, "", () => h("li", { class: "day" }, day)));
      }
      const key = JSON.stringify(event) + (event.end === null ? Math.floor(now() / 5) : "");
      wanted.push(cached(event.event_id, key, () => row(event, withCamera)));
    }
    for (const id of [...known.keys()]) if (!wanted.includes(known.get(id).element)) known.delete(id);
    if (wanted.length === list.children.length && wanted.every((element, index) => list.children[index] === element)) return;
    const focus = document.activeElement, id = focus?.closest?.("li.event")?.dataset.id, kind = focus?.className.split(" ").at(-1);
    list.replaceChildren(...wanted);
    if (id && !focus.isConnected) known.get(id)?.element.querySelector(`.${kind}`)?.focus();
    else if (id && document.activeElement !== focus) focus.focus();
  }
  function cached(id, key, make) {
    if (known.get(id)?.key !== key) known.set(id, { key, element: make() });
    return known.get(id).element;
  }
  return { element: list, show };
}

export function eventRail(signal) {
  const list = eventList({ withDays: true }), empty = h("p", { class: "empty" }), count = h("span", { class: "count number" });
  let wanted = "open";
  const choice = (value, text) => h("label", { class: "segment" },
    h("input", { type: "radio", name: "rail", value, checked: value === wanted, onchange: () => { wanted = value; update(); } }), h("span", {}, text));
  function update() {
    const open = toReview(), events = wanted === "open" ? open : newestFirst().slice(0, 60);
    list.show(events);
    count.textContent = open.length ? `${open.length}${state.moreToReview ? "+" : ""}` : "";
    fill(empty, events.length ? null : wanted === "open" ? "All events are reviewed." : "No event yet.");
  }
  listen(signal, "events", update);
  const timer = setInterval(update, 5000);
  signal.addEventListener("abort", () => clearInterval(timer));
  update();
  return h("aside", { class: "rail", "aria-label": "Events" },
    h("div", { class: "rail-head" }, h("h2", {}, "Events ", count),
      h("div", { class: "segments", role: "radiogroup", "aria-label": "Which events" }, choice("open", "To review"), choice("all", "All"))),
    list.element, empty);
}
