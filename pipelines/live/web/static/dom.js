// Build elements. Everything that comes from outside becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  alarm: ["M12 3 2.500 20h19L12 3Z", "M12 10v4.500", "M12 17.400v.1"],
  notice: ["M12 3 21 12 12 21 3 12Z", "M12 8.500v4", "M12 15.400v.1"],
  lost: ["M3 3l18 18", "M4 8v9a2 2 0 0 0 2 2h9", "M10 6h5v4l5-3v10"],
  health: ["M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12Z", "M4 20 20 4"],
  live: ["M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Z"],
  wait: ["M12 3a9 9 0 1 0 9 9", "M12 7v5l3 2"],
  pause: ["M8 5v14", "M16 5v14"],
  play: ["M7 4.500v15l12-7.500Z"],
  ended: ["M6 6h12v12H6Z"],
  yes: ["M4 12.500 9.500 18 20 6.500"],
  no: ["M5 5l14 14", "M19 5 5 19"],
  back: ["M15 5l-7 7 7 7"],
  next: ["M9 5l7 7-7 7"],
  undo: ["M9 7 4 12l5 5", "M4 12h10a6 6 0 0 1 6 6v1"],
  heat: ["M4 4h7v7H4Z", "M13 4h7v7h-7Z", "M4 13h7v7H4Z", "M13 13h7v7h-7Z"],
  zone: ["M5 6 18 4l2 13-13 3Z"],
  clip: ["M3 6h13v12H3Z", "M16 10.500 21 8v8l-5-2.500"],
  save: ["M12 4v11", "M7 10.500 12 15.500 17 10.500", "M5 20h14"],
  bin: ["M4 7h16", "M9 7V4h6v3", "M6 7l1 13h10l1-13"],
};

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value === "boolean") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function icon(name) {
  const paths = ICONS[name].map((d) => svg("path", { d }));
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, ...paths);
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// A text is only written when it changes, so that a screen reader and a cursor are left in peace.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

export function toast(children, { action = null, seconds = 6 } = {}) {
  const box = document.getElementById("toasts");
  const close = () => item.remove();
  const item = h("div", { class: "toast", role: "status" }, h("div", { class: "toast-text" }, children),
    action && h("button", { class: "quiet-button", type: "button", onclick: () => { close(); action.run(); } }, action.text),
    h("button", { class: "quiet-button", type: "button", "aria-label": "Close", onclick: close }, icon("no")));
  box.append(item);
  while (box.children.length > 3) box.firstChild.remove();
  setTimeout(close, 1000 * seconds);
}

export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole < 600 ? `${whole % 60} s` : ""}`.trim();
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

const pad = (number) => String(number).padStart(2, "0");

export function clockTime(unix, withSeconds = true) {
  const date = new Date(1000 * unix);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}${withSeconds ? `:${pad(date.getSeconds())}` : ""}`;
}

export function dayName(unix) {
  const date = new Date(1000 * unix), today = new Date();
  const days = Math.round((new Date(today).setHours(0, 0, 0, 0) - new Date(date).setHours(0, 0, 0, 0)) / 86400000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return date.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short", year: days > 300 ? "numeric" : undefined });
}

export const scoreText = (score) => (score === null || score === undefined ? "–" : Math.min(score, 0.99).toFixed(2).replace("0.99", score >= 0.995 ? "1.00" : "0.99"));
