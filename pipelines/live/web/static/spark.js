// The curve of the last two minutes at the foot of a tile.

import { color } from "./dom.js";
import { CURVE_SEC, now } from "./state.js";

export function drawSpark(canvas, pairs, threshold) {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio)) { canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); }
  const context = canvas.getContext("2d"), end = now();
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const x = (time) => width * (1 - (end - time) / CURVE_SEC), y = (score) => height - 2 - score * (height - 4);
  context.strokeStyle = color("faint");
  context.setLineDash([3, 4]);
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, y(threshold));
  context.lineTo(width, y(threshold));
  context.stroke();
  context.setLineDash([]);
  if (!pairs?.length) return;
  const trace = (style, from) => {
    context.save();
    context.beginPath();
    context.rect(0, from[0], width, from[1]);
    context.clip();
    context.strokeStyle = style;
    context.lineWidth = 2;
    context.lineJoin = "round";
    context.beginPath();
    let last = -Infinity;
    for (const [time, score] of pairs) {
      if (time - last > 5) context.moveTo(x(time), y(score)); // a gap stays one
      else context.lineTo(x(time), y(score));
      last = time;
    }
    context.stroke();
    context.restore();
  };
  trace(color("curve"), [y(threshold), height]);
  trace(color("alarm"), [0, y(threshold)]);
}
