// Zones over the picture: shown, drawn point by point, and changed. Mouse, touch and keyboard do the same.

import { announce, fill, h, icon, svg } from "./dom.js";

const STEP = 0.01, BIG_STEP = 0.05, CLOSE_PX = 14, MIN_POINTS = 3;
const clamp = (value) => Math.round(1e4 * Math.max(0, Math.min(1, value))) / 1e4;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const place = ([x, y]) => `${Math.round(100 * x)} % from the left, ${Math.round(100 * y)} % from the top`;

export function zoneEditor({ save }) {
  const shape = svg("svg", { class: "zone-shapes", viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  const handles = h("div", { class: "zone-handles" }), cross = h("div", { class: "cross", hidden: true });
  const layer = h("div", { class: "zone-layer" }, shape, handles, cross);
  const list = h("ul", { class: "zone-list" }), hint = h("p", { class: "hint", role: "status" }), tools = h("div", { class: "tools" });
  const panel = h("div", { class: "zone-panel" }, list, hint, tools);
  let zones = [], stored = null, draft = null, isEditing = false, point = [0.5, 0.5];

  const button = (text, name, run, more = {}) => h("button", { type: "button", class: "button", onclick: run, ...more }, name && icon(name), text);
  const outline = (points) => points.map(([x, y], index) => `${index ? "L" : "M"}${x} ${y}`).join("");

  function drawShapes() {
    const closed = zones.map((zone) => `${outline(zone)}Z`).join("");
    const shade = zones.length && !draft ? svg("path", { class: "outside", d: `M0 0H1V1H0Z${closed}`, "fill-rule": "evenodd" }) : "";
    shape.replaceChildren(shade || svg("g"), svg("path", { class: "zone-line", d: closed || "M0 0" }), svg("path", { class: "draft-line", d: draft?.length ? outline(draft) : "M0 0" }));
  }

  function render() {
    layer.classList.toggle("editing", isEditing);
    layer.classList.toggle("drawing", Boolean(draft));
    if (draft) { layer.tabIndex = 0; layer.setAttribute("role", "application"); } else { layer.removeAttribute("tabindex"); layer.removeAttribute("role"); }
    layer.setAttribute("aria-label", "Drawing area. Arrow keys move the cross, Enter sets a point, Backspace takes the last one back, F finishes, Escape cancels.");
    drawShapes();
    const focused = handles.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    handles.replaceChildren(...(isEditing ? (draft ? draft.map((at, index) => dot(at, index)) : zones.flatMap((zone, number) => zone.map((at, index) => handle(at, number, index)))) : []));
    if (focused) handles.querySelector(`[data-key="${focused}"]`)?.focus();
    moveCross();
    renderPanel();
  }

  function renderPanel() {
    fill(list, zones.map((zone, number) => h("li", {}, h("span", {}, icon("zone"), `Zone ${number + 1}`), h("span", { class: "soft" }, `${zone.length} points`),
      isEditing && !draft && h("button", { type: "button", class: "quiet-button", "aria-label": `Delete zone ${number + 1}`, onclick: () => { zones.splice(number, 1); render(); } }, icon("bin")))));
    const isChanged = JSON.stringify(zones) !== JSON.stringify(stored);
    if (!isEditing) {
      hint.textContent = zones.length ? "Only what lies inside the zones counts." : "The whole picture counts.";
      fill(tools, button(zones.length ? "Edit zones" : "Draw zone", "zone", () => { isEditing = true; if (!zones.length) begin(); render(); if (draft) layer.focus(); }, { "data-do": "draw" }));
    } else if (draft) {
      hint.textContent = draft.length < MIN_POINTS ? "Tap the corners of the zone. With the keyboard: arrows move the cross, Enter sets a corner." : "Tap the first corner again, or finish.";
      fill(tools, button("Finish", "yes", finish, { class: "button primary", disabled: draft.length < MIN_POINTS, "data-do": "finish" }),
        button("Undo", "undo", undo, { disabled: !draft.length }), button("Cancel", null, cancelDraft));
    } else {
      hint.textContent = "Drag a corner, or move it by arrow keys; Delete removes it.";
      fill(tools, button("Save", "save", store, { class: "button primary", disabled: !isChanged, "data-do": "save" }),
        button("Add zone", "zone", () => { begin(); render(); layer.focus(); }), button("Cancel", null, cancel));
    }
  }

  function begin() { draft = []; point = [0.5, 0.5]; }
  function undo() { draft.pop(); render(); layer.focus(); }
  function cancelDraft() { draft = null; if (!zones.length && !stored.length) isEditing = false; render(); tools.querySelector("button")?.focus(); }
  function cancel() { zones = structuredClone(stored); draft = null; isEditing = false; render(); }
  function finish() {
    if (draft.length < MIN_POINTS) return;
    zones.push(draft);
    draft = null;
    announce(`Zone ${zones.length} has ${zones.at(-1).length} points. It counts once you save it.`);
    render();
    tools.querySelector("button")?.focus();
  }
  async function store() {
    const wanted = structuredClone(zones);
    const problem = await save(wanted);
    if (problem) { hint.textContent = problem; return; }
    stored = wanted;
    isEditing = false;
    render();
    tools.querySelector("button")?.focus();
  }

  function add(at) {
    const first = draft[0], box = layer.getBoundingClientRect();
    const nearFirst = first && Math.hypot((first[0] - at[0]) * box.width, (first[1] - at[1]) * box.height) < CLOSE_PX;
    if (nearFirst && draft.length >= MIN_POINTS) return finish();
    draft.push(at);
    announce(`Point ${draft.length}: ${place(at)}`);
    render();
    return layer.focus();
  }

  const atPointer = (event) => {
    const box = layer.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height)];
  };
  const put = (element, [x, y]) => { element.style.left = `${100 * x}%`; element.style.top = `${100 * y}%`; return element; };
  const moveCross = () => { cross.hidden = !draft || !layer.matches(":focus-visible"); put(cross, point); };
  const dot = (at, index) => put(h("span", { class: `dot${index ? "" : " first"}` }), at);

  function handle(at, number, index) {
    const element = put(h("button", { type: "button", class: "handle", "data-key": `${number}.${index}`, "aria-label": `Zone ${number + 1}, corner ${index + 1}: ${place(at)}` }), at);
    const move = (to) => { zones[number][index] = to; put(element, to); drawShapes(); };
    element.addEventListener("pointerdown", (event) => { element.setPointerCapture(event.pointerId); event.preventDefault(); element.focus(); });
    element.addEventListener("pointermove", (event) => { if (element.hasPointerCapture(event.pointerId)) move(atPointer(event)); });
    element.addEventListener("pointerup", renderPanel);
    element.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key], step = event.shiftKey ? BIG_STEP : STEP;
      if (arrow) {
        move(zones[number][index].map((value, axis) => clamp(value + arrow[axis] * step)));
        element.setAttribute("aria-label", `Zone ${number + 1}, corner ${index + 1}: ${place(zones[number][index])}`);
        renderPanel();
      } else if (event.key === "Delete" || event.key === "Backspace") {
        zones[number].splice(index, 1);
        if (zones[number].length < MIN_POINTS) zones.splice(number, 1);
        render();
      } else return;
      event.preventDefault();
    });
    return element;
  }

  layer.addEventListener("click", (event) => { if (draft) add(atPointer(event)); });
  layer.addEventListener("focus", moveCross);
  layer.addEventListener("blur", moveCross);
  layer.addEventListener("keydown", (event) => {
    if (!draft) return;
    const arrow = ARROWS[event.key], step = event.shiftKey ? BIG_STEP : STEP;
    if (arrow) { point = point.map((value, axis) => clamp(value + arrow[axis] * step)); moveCross(); announce(place(point)); }
    else if (event.key === "Enter" || event.key === " ") add([...point]);
    else if (event.key === "Backspace") undo();
    else if (event.key.toLowerCase() === "f") finish();
    else if (event.key === "Escape") cancelDraft();
    else return;
    event.preventDefault();
  });

  return {
    layer, panel,
    set(next) {
      if (isEditing || JSON.stringify(next) === JSON.stringify(stored)) return;
      stored = structuredClone(next);
      zones = structuredClone(next);
      render();
    },
  };
}
