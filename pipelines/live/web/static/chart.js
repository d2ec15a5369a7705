// The score of a camera over minutes and hours (uPlot): mean, lowest to highest, threshold, events, times without a picture.

import { api } from "./api.js";
import { clockTime, color, h, scoreText, write } from "./dom.js";
import { listen, newestFirst, now, state } from "./state.js";

const RANGES = [[300, "5 min"], [1800, "30 min"], [7200, "2 h"], [43200, "12 h"], [86400, "24 h"]];
const HEIGHT = 220;

export function scoreChart(name, signal) {
  const place = h("div", { class: "chart", role: "img" }), reading = h("output", { class: "reading number" });
  let span = 1800, plot = null, states = [], timer = 0;
  const choice = ([seconds, text]) => h("label", { class: "segment" }, h("input", { type: "radio", name: "range", value: seconds, checked: seconds === span,
    onchange: () => { span = seconds; refresh(); } }), h("span", {}, text));
  const element = h("section", { class: "card panel", "aria-label": "Score" },
    h("div", { class: "panel-head" }, h("h2", {}, "Score"), reading,
      h("div", { class: "segments", role: "radiogroup", "aria-label": "Time shown" }, RANGES.map(choice))),
    place);

  function shade(u) {
    const context = u.ctx, { top, height, left, width } = u.bbox;
    const block = (from, to, style) => {
      const x0 = Math.max(left, u.valToPos(from, "x", true)), x1 = Math.min(left + width, u.valToPos(to, "x", true));
      if (x1 > x0) { context.fillStyle = style; context.fillRect(x0, top, Math.max(x1 - x0, 2), height); }
    };
    context.save();
    states.forEach(([time, kind], index) => { if (kind !== "live") block(time, states[index + 1]?.[0] ?? now(), color("sunken")); });
    context.globalAlpha = 0.28;
    for (const event of newestFirst((one) => one.camera === name)) block(event.start, event.end ?? now(), color(event.level));
    context.restore();
  }

  function make(data) {
    const text = color("soft"), grid = { stroke: color("line"), width: 1 }, font = `12px ${color("font")}`;
    const line = (stroke, more = {}) => ({ stroke, width: 2, points: { show: false }, spanGaps: false, ...more });
    plot = new globalThis.uPlot({
      width: place.clientWidth, height: HEIGHT,
      cursor: { drag: { x: false, y: false }, y: false, points: { size: 8 } },
      legend: { show: false }, padding: [10, 14, 0, 0],
      scales: { x: { time: true, range: () => [now() - span, now()] }, y: { range: [0, 1] } },
      axes: [{ stroke: text, grid, font, ticks: { show: false }, values: (u, times) => times.map((time) => clockTime(time, span <= 300)) },
        { stroke: text, grid, font, ticks: { show: false }, size: 40, splits: [0, 0.25, 0.5, 0.75, 1], values: (u, values) => values.map((value) => value.toFixed(2)) }],
      series: [{}, line("transparent", { width: 0 }), line("transparent", { width: 0 }), line(color("curve")), line(color("alarm"), { width: 1.5, dash: [6, 5] })],
      bands: [{ series: [2, 1], fill: color("band") }],
      hooks: { drawClear: [shade], setCursor: [read] },
    }, data, place);
  }

  function read(u) {
    const index = u.cursor.idx;
    if (index === null || index === undefined || u.data[3][index] === null) return write(reading, "");
    return write(reading, `${clockTime(u.data[0][index])}  mean ${scoreText(u.data[3][index])}, highest ${scoreText(u.data[2][index])}`);
  }

  async function refresh() {
    clearTimeout(timer);
    const asked = span, until = now(), points = Math.max(100, Math.min(800, Math.round(place.clientWidth / 2)));
    try {
      const [found, changes] = await Promise.all([api.scores(name, until - span, until, points), api.states(name, until - span, until)]);
      if (signal.aborted || asked !== span) return;
      states = changes.states;
      draw(found.scores, span / points);
    } catch { /* the next one may come */ }
    if (!signal.aborted) timer = setTimeout(refresh, document.hidden ? 10000 : Math.max(1000, Math.min(30000, (1000 * span) / points)));
  }

  function draw(scores, width) {
    const data = [[], [], [], [], []], threshold = state.cameras.get(name)?.threshold ?? null;
    const push = (...values) => values.forEach((value, index) => data[index].push(value));
    const gap = Math.max(5, 3 * Math.max(width, scores.length > 1 ? (scores.at(-1)[0] - scores[0][0]) / scores.length : 0));
    scores.forEach(([time, low, mean, high], index) => {
      if (index && time - scores[index - 1][0] > gap) push(scores[index - 1][0] + width, null, null, null, threshold);
      push(time, low, high, mean, threshold);
    });
    if (!data[0].length || data[0][0] > now() - span + gap) data.forEach((values, index) => values.unshift([now() - span, null, null, null, threshold][index]));
    push(now(), null, null, null, threshold);
    if (plot) plot.setData(data); else make(data);
    const highest = scores.reduce((best, one) => (one[3] > best[3] ? one : best), [0, 0, 0, -1]);
    place.setAttribute("aria-label", highest[3] < 0 ? "No score in this time." : `Highest score ${scoreText(highest[3])} at ${clockTime(highest[0])}, newest ${scoreText(scores.at(-1)[2])}, threshold ${scoreText(threshold)}.`);
  }

  const redo = () => { plot?.destroy(); plot = null; refresh(); };
  const observer = new ResizeObserver(() => plot?.setSize({ width: place.clientWidth, height: HEIGHT }));
  observer.observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redo, { signal });
  signal.addEventListener("abort", () => { clearTimeout(timer); observer.disconnect(); plot?.destroy(); });
  listen(signal, "link", refresh); // the threshold is known then
  requestAnimationFrame(refresh);
  return element;
}
