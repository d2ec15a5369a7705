// One event in a dialog: its clip, its facts and the verdict. T, F and U give a verdict, arrows go on.

import { api } from "./api.js";
import { announce, clockTime, dayName, duration, fill, h, icon, scoreText } from "./dom.js";
import { VERDICTS, giveVerdict, lengthOf, levelPill, verdictButtons } from "./event_list.js";
import { keepEvents, listen, newestFirst, state, toReview } from "./state.js";

let dialog = null;

export async function openReview(id) {
  if (!state.events.has(id)) {
    const event = await api.event(id).catch(() => null);
    if (!event) return announce("There is no such event.");
    keepEvents([event]);
  }
  dialog?.close();
  const controller = new AbortController(), { signal } = controller;
  const opener = document.activeElement;
  const ids = (state.events.get(id).verdict === null ? toReview() : newestFirst()).map((event) => event.event_id);
  let current = id, shownMedia = "";

  const title = h("h2", { id: "review-title" }), media = h("div", { class: "media" }), facts = h("dl", { class: "facts" });
  const verdict = h("div", { class: "review-verdict" }), save = h("a", { class: "button", download: "" }, icon("save"), "Clip");
  const step = (by) => {
    const next = ids[ids.indexOf(current) + by];
    if (next && state.events.has(next)) { current = next; show(); }
  };
  const before = h("button", { type: "button", class: "button", "aria-label": "Newer event", onclick: () => step(-1) }, icon("back"));
  const after = h("button", { type: "button", class: "button", "aria-label": "Older event", onclick: () => step(1) }, icon("next"));
  const box = h("dialog", { class: "review", "aria-labelledby": "review-title" },
    h("div", { class: "review-head" }, title, h("div", { class: "review-step" }, before, after,
      h("button", { type: "button", class: "button", "aria-label": "Close", onclick: () => box.close() }, icon("no")))),
    media,
    h("div", { class: "review-foot" }, facts, h("div", { class: "review-act" }, verdict, save,
      h("p", { class: "keys" }, h("kbd", {}, "T"), " true  ", h("kbd", {}, "F"), " false  ", h("kbd", {}, "U"), " undo  ", h("kbd", {}, "←"), h("kbd", {}, "→"), " other events"))));

  function show() {
    const event = state.events.get(current), place = ids.indexOf(current);
    fill(title, levelPill(event), h("span", {}, event.camera), h("span", { class: "soft number" }, `${dayName(event.start)} ${clockTime(event.start)}`));
    const key = `${current} ${event.has_clip} ${event.has_snapshot} ${event.clip_problem}`;
    if (key !== shownMedia) { shownMedia = key; fill(media, mediaOf(event)); }
    const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", { class: "number" }, value));
    fill(facts, fact("Length", lengthOf(event)), fact("Peak", `${scoreText(event.peak_score)} after ${duration(event.peak_time - event.start)}`),
      fact("Reviewed", event.verdict ? `${VERDICTS[event.verdict]}, ${dayName(event.reviewed_time).toLowerCase()} ${clockTime(event.reviewed_time, false)}` : "not yet"));
    fill(verdict, verdictButtons(event, { isSmall: false }));
    before.disabled = place <= 0;
    after.disabled = place < 0 || place === ids.length - 1;
    save.hidden = !event.has_clip;
    save.href = api.clipAddress(current);
  }

  async function judge(value) {
    const judged = current;
    if (value) step(1); // at once, so that two quick keys judge two events
    const isSaved = (await giveVerdict(state.events.get(judged), value)) !== undefined;
    if (isSaved) announce(value ? `${VERDICTS[value]} saved` : "Verdict taken back");
    else { current = judged; show(); }
  }

  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "VIDEO") return;
    const run = { t: () => judge("true_alarm"), f: () => judge("false_alarm"), u: () => judge(null), ArrowLeft: () => step(-1), ArrowRight: () => step(1) };
    const act = run[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act) { event.preventDefault(); act(); }
  });
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  box.addEventListener("close", () => { controller.abort(); box.remove(); dialog = null; if (opener?.isConnected) opener.focus(); });
  listen(signal, "events", show);
  document.body.append(box);
  dialog = box;
  show();
  box.showModal();
  return undefined;
}

function mediaOf(event) {
  if (event.has_clip) {
    const poster = event.has_snapshot ? api.snapshotAddress(event.event_id) : null;
    const video = h("video", { src: api.clipAddress(event.event_id), poster, controls: true, muted: true, playsinline: true, preload: "metadata", "aria-label": "Clip of the event" });
    video.addEventListener("error", () => video.replaceWith(h("p", { class: "media-note" }, "This browser cannot play the clip. Save it to look at it.")));
    video.autoplay = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    return video;
  }
  if (event.has_snapshot) return [h("img", { src: api.snapshotAddress(event.event_id), alt: "Snapshot of the event" }), h("p", { class: "media-note" }, event.end === null ? "The clip follows when the event has ended." : event.clip_problem ? `There is no clip: ${event.clip_problem}.` : "There is no clip of this event.")];
  return h("p", { class: "empty" }, "There is no picture of this event.");
}
