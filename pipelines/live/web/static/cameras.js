// All cameras, worst first, and the newest events beside them.

import { clockTime, duration, fill, h, icon, scoreText, write } from "./dom.js";
import { eventRail } from "./event_list.js";
import { livePicture } from "./pictures.js";
import { drawSpark } from "./spark.js";
import { ICON_OF, listen, newestFirst, now, severity, state, wordOf, worstFirst } from "./state.js";

export function camerasView(signal) {
  const grid = h("div", { class: "grid" });
  const wall = h("section", { class: "wall", "aria-label": "Cameras" }, h("h1", { class: "unseen" }, "Cameras"), grid);
  const tiles = new Map();

  function order() {
    const wanted = worstFirst().map((camera) => tiles.get(camera.name).element);
    const isSame = wanted.every((element, index) => grid.children[index] === element);
    if (!isSame && !grid.contains(document.activeElement)) grid.replaceChildren(...wanted); // nothing moves under the keyboard
  }

  function update() {
    for (const camera of state.cameras.values()) {
      if (!tiles.has(camera.name)) {
        tiles.set(camera.name, tile(camera, signal));
        grid.append(tiles.get(camera.name).element);
      }
      tiles.get(camera.name).update(state.cameras.get(camera.name));
    }
    if (!state.cameras.size && state.linked) fill(grid, h("p", { class: "empty" }, "No camera is watched."));
    order();
  }

  listen(signal, ["cameras", "link"], update);
  listen(signal, "scores", (names) => names.forEach((name) => tiles.get(name)?.score(state.cameras.get(name))));
  const timer = setInterval(() => { for (const [name, one] of tiles) one.update(state.cameras.get(name)); order(); }, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
  update();
  return { title: "Cameras", nav: "cameras", element: h("div", { class: "split" }, wall, eventRail(signal)) };
}

function tile(camera, signal) {
  const image = h("img", { class: "picture", alt: "" });
  const banner = h("div", { class: "banner" });
  const cover = h("div", { class: "cover" });
  const stateText = h("span", { class: "state" });
  const score = h("span", { class: "score number" });
  const spark = h("canvas", { class: "spark", "aria-hidden": "true" });
  const link = h("a", { class: "tile", href: `/cameras/${encodeURIComponent(camera.name)}`, "data-link": "" },
    h("div", { class: "screen" }, image, banner, cover),
    h("div", { class: "foot" },
      h("div", { class: "who" }, h("h2", { class: "name" }, camera.name), stateText),
      score),
    spark);
  livePicture(image, camera.name, signal, { everyMs: 1000 });
  let shown = "";

  function update(current) {
    const kind = severity(current), since = duration(now() - current.since);
    const isGone = ["lost", "stalled"].includes(current.state);
    link.dataset.severity = kind;
    link.dataset.state = current.state;
    const key = [kind, current.state, current.health, current.reason, current.open_event].join("|");
    if (key !== shown) {
      shown = key;
      const isLoud = ["alarm", "notice", "health"].includes(kind);
      fill(banner, isLoud && [icon(ICON_OF[kind]), h("span", {}, wordOf(current)), h("span", { class: "banner-since number" })]);
      fill(cover, coverOf(current, isGone));
      fill(stateText, icon(ICON_OF[kind]), h("span"));
    }
    const clock = cover.querySelector(".cover-since"), open = openEvent(current.name);
    if (clock) write(clock, `for ${since}, since ${clockTime(current.since, false)}`);
    if (kind !== "health" && open && banner.lastChild) write(banner.lastChild, duration(now() - open.start));
    write(stateText.lastChild, kind === "live" ? "Live" : stateLine(current, kind, since, open));
    writeScore(current);
    link.setAttribute("aria-label", `${current.name}: ${wordOf(current)}${current.reason ? `, ${current.reason}` : ""}, score ${scoreText(current.score)}`);
    drawSpark(spark, state.scores.get(current.name), current.threshold);
  }
  function writeScore(current) {
    write(score, scoreText(isStale(current) ? null : current.score));
    score.classList.toggle("high", !isStale(current) && current.score >= current.threshold);
  }
  const onScore = (current) => {
    writeScore(current);
    drawSpark(spark, state.scores.get(current.name), current.threshold);
  };
  return { element: link, update, score: onScore };
}

const openEvent = (name) => newestFirst((event) => event.camera === name && event.end === null)[0];

export const isStale = (camera) => camera.state !== "live" || camera.health !== "ok" || camera.score === null || now() - (state.heard.get(camera.name) ?? now()) > 60;

function stateLine(camera, kind, since, open) {
  if (kind === "health") return camera.reason || wordOf(camera);
  if ((kind === "alarm" || kind === "notice") && camera.state !== "live") return `${wordOf(camera)}, then ${camera.state}`;
  if (kind === "alarm" || kind === "notice") return open ? `Peak ${scoreText(open.peak_score)}` : wordOf(camera);
  return kind === "ended" ? `Ended ${since} ago` : `${wordOf(camera)} for ${since}`;
}

export function coverOf(camera, isGone = ["lost", "stalled"].includes(camera.state)) {
  if (isGone) {
    return [h("div", { class: "cover-word" }, icon("lost"), camera.state === "lost" ? "Lost" : "No picture"),
      h("div", { class: "cover-since number" }), camera.reason && h("div", { class: "cover-reason" }, camera.reason)];
  }
  const icons = { paused: "pause", connecting: "wait", ended: "ended" };
  if (!icons[camera.state]) return [];
  const words = { paused: "Paused", connecting: "Connecting", ended: "Ended" };
  return [h("div", { class: "cover-note" }, icon(icons[camera.state]), words[camera.state]),
    camera.reason && h("div", { class: "cover-reason" }, camera.reason)];
}
