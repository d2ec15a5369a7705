// The scores of the patches over the picture: a pixel has the mean of the patches that cover it, one per scale. The
// highest would be that of the whole picture nearly everywhere, and would not say where.

const STOPS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const MAX_CELLS = 60;

const divisor = (a, b) => (b ? divisor(b, a % b) : a);

export function heatMap(scores, scales) {
  const side = Math.min(MAX_CELLS, scales.reduce((all, scale) => (all * scale) / divisor(all, scale), 1));
  const map = new Float32Array(side * side);
  let first = 0, best = { score: -1 };
  for (const scale of scales) {
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        const score = scores[first + Math.floor((row * scale) / side) * scale + Math.floor((column * scale) / side)];
        map[row * side + column] += score / scales.length;
      }
    }
    for (let index = 0; index < scale * scale; index++) {
      if (scores[first + index] > best.score) best = { score: scores[first + index], scale, row: Math.floor(index / scale), column: index % scale };
    }
    first += scale * scale;
  }
  return { map, side, best };
}

function shadeOf(value) {
  const at = Math.max(0, Math.min(1, value)) * (STOPS.length - 1), index = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[index].map((from, channel) => Math.round(from + (at - index) * (STOPS[index + 1][channel] - from)));
}

export function drawHeat(canvas, { scores, scales }) {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight, context = canvas.getContext("2d");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  if (!scales.length) return;
  const { map, side, best } = heatMap(scores, scales);
  const small = new OffscreenCanvas(side, side), paint = small.getContext("2d"), pixels = paint.createImageData(side, side);
  map.forEach((value, index) => pixels.data.set([...shadeOf(value), Math.round(40 + 150 * Math.min(1, value))], 4 * index));
  paint.putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  const cell = [canvas.width / best.scale, canvas.height / best.scale];
  context.lineWidth = 3 * ratio;
  context.strokeStyle = "#35e0ff";
  context.strokeRect(best.column * cell[0] + 2 * ratio, best.row * cell[1] + 2 * ratio, cell[0] - 4 * ratio, cell[1] - 4 * ratio);
  context.font = `600 ${14 * ratio}px ${getComputedStyle(canvas).fontFamily}`;
  context.textBaseline = "top";
  const text = best.score.toFixed(2), x = best.column * cell[0] + 4 * ratio, y = best.row * cell[1] + 4 * ratio;
  context.fillStyle = "#04222b";
  context.fillRect(x, y, context.measureText(text).width + 10 * ratio, 22 * ratio);
  context.fillStyle = "#35e0ff";
  context.fillText(text, x + 5 * ratio, y + 4 * ratio);
}
