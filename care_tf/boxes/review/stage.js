// The image with its boxes: fit, zoom, pan, and editing by mouse, pen or finger. Knows nothing of decisions.

import { boxAt, handlesOf, isBox, moveBox, resizeBox, spanBox } from "./geometry.js";

const MARGIN_PX = 16;
const CLICK_PX = 4; // a pointer that moved less has clicked
const REACH_PX = { mouse: 7, pen: 12, touch: 20 };
const MAX_SCALE = 40;
const CURSORS = { n: "ns", s: "ns", e: "ew", w: "ew", nw: "nwse", se: "nwse", ne: "nesw", sw: "nesw" };

export class Stage {
  /** `onEdit(boxes, selected)` is called for a finished edit, `onChange()` after anything visible changed,
   * `onWindow(right, down)` for a drag that windows: by shares of the stage since the last call. */
  constructor(root, { onEdit, onChange, onWindow }) {
    Object.assign(this, { root, onEdit, onChange, onWindow, image: null, boxes: [], selected: -1 });
    this.svg = root.querySelector("svg");
    this.view = { x: 0, y: 0, scale: 1, isFit: true };
    this.pointers = new Map();
    this.drag = null;
    this.isPanning = false;
    this.isWindowing = false;
    root.addEventListener("contextmenu", (event) => this.image && event.preventDefault());
    root.addEventListener("pointerdown", (event) => this.#down(event));
    root.addEventListener("pointermove", (event) => this.#move(event));
    root.addEventListener("pointerup", (event) => this.#up(event));
    root.addEventListener("pointercancel", (event) => this.#cancel(event));
    root.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    new ResizeObserver(() => (this.view.isFit ? this.fit() : this.draw())).observe(root);
  }

  get size() {
    return { width: this.image.naturalWidth, height: this.image.naturalHeight };
  }

  /** Shows a loaded image, or nothing for null. */
  show(image, boxes) {
    for (const node of this.root.querySelectorAll(".picture, .windowed")) node.remove();
    Object.assign(this, { image, boxes, selected: -1, drag: null });
    this.pointers.clear();
    if (image) {
      image.className = "picture";
      image.alt = "";
      image.draggable = false;
      this.root.prepend(image);
      this.fit();
    } else {
      this.draw();
    }
  }

  setBoxes(boxes, selected = -1) {
    this.boxes = boxes;
    this.selected = Math.min(selected, boxes.length - 1);
    this.draw();
  }

  select(index) {
    this.selected = index;
    this.draw();
  }

  fit() {
    if (!this.image) return;
    const { clientWidth, clientHeight } = this.root;
    const { width, height } = this.size;
    const scale = Math.min((clientWidth - 2 * MARGIN_PX) / width, (clientHeight - 2 * MARGIN_PX) / height);
    const [x, y] = [(clientWidth - width * scale) / 2, (clientHeight - height * scale) / 2];
    this.view = { x, y, scale, isFit: true };
    this.draw();
  }

  /** Zooms by a factor; the point of the stage, in px, keeps its place (the middle by default). */
  zoom(factor, at = { x: this.root.clientWidth / 2, y: this.root.clientHeight / 2 }) {
    if (!this.image) return;
    const { x, y, scale } = this.view;
    const next = Math.min(Math.max(scale * factor, 0.02), MAX_SCALE);
    const ratio = next / scale;
    this.view = { x: at.x - (at.x - x) * ratio, y: at.y - (at.y - y) * ratio, scale: next, isFit: false };
    this.draw();
  }

  draw() {
    const { x, y, scale } = this.view;
    if (this.image) {
      const { width, height } = this.size;
      const style = { left: x, top: y, width: width * scale, height: height * scale };
      for (const node of this.root.querySelectorAll(".picture, .windowed")) {
        for (const [name, value] of Object.entries(style)) node.style.setProperty(name, `${value}px`);
      }
    }
    const onStage = (box) => [box[0] * scale + x, box[1] * scale + y, box[2] * scale + x, box[3] * scale + y];
    const shapes = this.image ? this.boxes.map((box, index) => boxShape(onStage(box), box, index === this.selected)) : [];
    // The selected box on top.
    if (this.selected >= 0) shapes.push(...shapes.splice(this.selected, 1));
    this.svg.replaceChildren(...shapes);
    this.onChange();
  }

  #point(event) {
    const frame = this.root.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  }

  #inImage(point) {
    return { x: (point.x - this.view.x) / this.view.scale, y: (point.y - this.view.y) / this.view.scale };
  }

  #hit(event, point) {
    const reach = (REACH_PX[event.pointerType] ?? REACH_PX.mouse) / this.view.scale;
    return event.shiftKey ? null : boxAt(this.boxes, this.selected, this.#inImage(point), reach);
  }

  #down(event) {
    if (!this.image || event.target.closest("button, .panel")) return;
    event.preventDefault(); // no text selection, no autoscroll
    this.root.focus({ preventScroll: true });
    this.root.setPointerCapture(event.pointerId);
    const point = this.#point(event);
    this.pointers.set(event.pointerId, point);
    if (this.pointers.size > 1) {
      this.cancel();
      return;
    }
    const before = { boxes: this.boxes, selected: this.selected };
    if (event.button === 2 || (this.isWindowing && event.button === 0)) {
      this.drag = { kind: "window", start: point, last: point, ...before };
      return;
    }
    if (event.button === 1 || this.isPanning) {
      this.drag = { kind: "pan", start: point, view: this.view, ...before };
      return;
    }
    const hit = this.#hit(event, point);
    this.drag = { kind: hit ? (hit.handle ? "resize" : "move") : "add", start: point, ...hit, ...before };
    this.select(hit ? hit.index : -1);
  }

  #move(event) {
    const point = this.#point(event);
    if (!this.pointers.has(event.pointerId)) {
      if (this.image) this.#showCursor(this.#hit(event, point));
      return;
    }
    if (this.pointers.size === 2) this.#pinch(event.pointerId, point);
    this.pointers.set(event.pointerId, point);
    const { drag } = this;
    if (!drag) return;
    const [dx, dy] = [point.x - drag.start.x, point.y - drag.start.y];
    drag.hasMoved ||= Math.hypot(dx, dy) >= CLICK_PX;
    if (!drag.hasMoved) return;
    if (drag.kind === "pan") {
      this.view = { ...drag.view, x: drag.view.x + dx, y: drag.view.y + dy, isFit: false };
      this.draw();
      return;
    }
    if (drag.kind === "window") {
      const { clientWidth, clientHeight } = this.root;
      this.onWindow((point.x - drag.last.x) / clientWidth, (point.y - drag.last.y) / clientHeight);
      drag.last = point;
      return;
    }
    const { scale } = this.view;
    if (drag.kind === "add") {
      const box = spanBox(this.#inImage(drag.start), this.#inImage(point), this.size);
      if (isBox(box)) this.setBoxes([...drag.boxes, box], drag.boxes.length);
      else this.setBoxes(drag.boxes);
      return;
    }
    const old = drag.boxes[drag.index];
    const box =
      drag.kind === "move"
        ? moveBox(old, dx / scale, dy / scale, this.size)
        : resizeBox(old, drag.handle, dx / scale, dy / scale, this.size);
    this.setBoxes(drag.boxes.with(drag.index, box), drag.index);
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
    const { drag } = this;
    this.drag = null;
    if (drag?.hasMoved && drag.kind !== "pan" && drag.kind !== "window") {
      const boxes = this.boxes;
      this.boxes = drag.boxes;
      this.onEdit(boxes, this.selected);
    }
  }

  #cancel(event) {
    this.pointers.delete(event.pointerId);
    this.cancel();
  }

  /** Takes back an edit that is under way. */
  cancel() {
    const { drag } = this;
    this.drag = null;
    if (drag) this.setBoxes(drag.boxes, drag.selected);
  }

  #pinch(movedId, point) {
    const [fixed] = [...this.pointers].filter(([id]) => id !== movedId).map(([, other]) => other);
    const old = this.pointers.get(movedId);
    const distance = (a, b) => Math.max(Math.hypot(a.x - b.x, a.y - b.y), 1);
    const middle = (a, b) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
    const [from, to] = [middle(old, fixed), middle(point, fixed)];
    this.view = { ...this.view, x: this.view.x + to.x - from.x, y: this.view.y + to.y - from.y };
    this.zoom(distance(point, fixed) / distance(old, fixed), to);
  }

  #wheel(event) {
    event.preventDefault();
    const distance = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1);
    this.zoom(Math.exp(-distance * (event.ctrlKey ? 0.01 : 0.0015)), this.#point(event));
  }

  #showCursor(hit) {
    const cursor = this.isPanning ? "grab" : !hit ? "crosshair" : hit.handle ? `${CURSORS[hit.handle]}-resize` : "move";
    this.root.style.setProperty("cursor", cursor);
  }
}

function boxShape([x0, y0, x1, y1], box, isSelected) {
  const group = element("g", { class: isSelected ? "box selected" : "box" });
  const frame = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
  group.append(element("rect", { ...frame, class: "halo" }), element("rect", { ...frame, class: "line" }));
  if (isSelected) {
    for (const [name, x, y] of handlesOf([x0, y0, x1, y1])) {
      group.append(element("rect", { x: x - 4, y: y - 4, width: 8, height: 8, class: `handle ${name}` }));
    }
    const label = element("text", { x: x0 + 8, y: y0 > 26 ? y0 - 9 : y0 + 20 });
    label.textContent = `${shortest(box[2] - box[0])} × ${shortest(box[3] - box[1])} px`;
    group.append(label);
  }
  return group;
}

const shortest = (value) => String(Math.round(value * 10) / 10);

function element(name, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}
