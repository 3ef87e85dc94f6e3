// The review: which image is shown, what was decided, the keys, and the talk with the server.

import { moveBox, resizeBox, sameBoxes } from "./geometry.js";
import { Stage } from "./stage.js";
import { Strip } from "./strip.js";
import { Window } from "./window.js";

const token = location.pathname.split("/")[1];
const find = (id) => document.getElementById(id);
const PREFETCH = 3;
const MAX_UNSAVED = 5; // a disk that is slower than the person makes the person wait, not the decisions pile up
const DONE = { accepted: "✓ accepted", corrected: "✎ corrected", rejected: "✕ no lesion box" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let items = [];
let current = 0; // position in items
let isShown = false; // the current image is on the stage: nothing is decided unseen
let openOnly = true;
let numUnsaved = 0;
let alarmed = null; // the item that the alert is about
let saving = Promise.resolve(); // decisions are sent one after the other
const visited = []; // where "previous" goes
const drafts = new Map(); // item -> {boxes, undo, redo}: edits that were not accepted survive a look elsewhere
const pictures = new Map(); // image number -> promise of a decoded image

const stage = new Stage(find("stage"), {
  onEdit: edit,
  onChange: renderStage,
  // As viewers do: to the right a wider window, down a lower level, which is brighter.
  onWindow: (right, down) => view.adjust(-down, right),
});
const view = new Window({ onChange: renderWindow });
const strip = new Strip(find("strip"), {
  onJump: jump,
  mark: (item) => ({
    state: item.decision || "open",
    sign: (DONE[item.decision] ?? "").slice(0, 1),
    title: `${item.label}, ${item.name}: ${DONE[item.decision]?.slice(2) ?? "not reviewed"}`,
  }),
});

// ---------------------------------------------------------------- images

function picture(number) {
  if (!pictures.has(number)) pictures.set(number, loadPicture(`images/${number}`));
  return pictures.get(number);
}

async function loadPicture(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    const answer = await fetch(url).catch(() => null);
    const problem = answer && !answer.ok ? (await answer.json()).error : "the browser cannot show it";
    throw new Error(`This image cannot be shown: ${problem}. Skip it.`);
  }
  return image;
}

/** The file's own values, where they are finer than what is shown: {values, size, largest, white}; else null. */
async function loadValues(number) {
  const answer = await fetch(`values/${number}`);
  if (answer.status !== 200) return null;
  const [width, height, white] = answer.headers.get("X-Values").split(" ").map(Number);
  return { values: new Uint16Array(await answer.arrayBuffer()), size: [width, height], largest: 65535, white };
}

function prefetch() {
  const near = new Set([items[current].number]);
  for (let index = current, i = 0; i < PREFETCH; i++) {
    index = nextIndex(index);
    if (index === null) break;
    near.add(items[index].number);
  }
  const last = visited.at(-1);
  if (last !== undefined) near.add(items[last].number);
  for (const number of pictures.keys()) if (!near.has(number)) pictures.delete(number);
  for (const number of near) picture(number).catch(() => {});
}

// ---------------------------------------------------------------- going from image to image

async function show(index) {
  current = index;
  isShown = false;
  find("end").hidden = true;
  find("message").hidden = true;
  const item = items[index];
  stage.show(null, []);
  view.show(null);
  render();
  const patience = setTimeout(() => message("Loading …"), 200);
  try {
    const image = await picture(item.number);
    if (current !== index || !find("end").hidden) return;
    stage.show(image, draft().boxes);
    view.show(image, () => loadValues(item.number));
    isShown = true;
    find("message").hidden = true;
  } catch (error) {
    if (current === index) message(error.message);
    pictures.delete(item.number);
  } finally {
    clearTimeout(patience);
  }
  render();
  find("announce").textContent = `${item.label}, ${item.name}, ${item.boxes.length} boxes, ${item.reason}`;
  prefetch();
}

/** Where "next" goes from an image; null at the end. Skipped images come again after the last. */
function nextIndex(index) {
  if (!openOnly) return index + 1 < items.length ? index + 1 : null;
  for (let step = 1; step < items.length; step++) {
    const candidate = (index + step) % items.length;
    if (!items[candidate].decision) return candidate;
  }
  return null;
}

function advance() {
  visited.push(current);
  const next = nextIndex(current);
  if (next === null) showEnd();
  else show(next);
}

function jump(index) {
  const isEnd = !find("end").hidden;
  if (!isEnd && index === current) return;
  if (!isEnd) visited.push(current);
  show(index);
  find("stage").focus();
}

/** Goes to a number in the strip, or to the next image whose name holds a text. */
function jumpTo(text) {
  const wanted = text.trim().toLowerCase();
  const holds = (item) => item.name.toLowerCase().includes(wanted);
  const number = /^\d+$/.test(wanted) && Number(wanted) <= items.length ? Number(wanted) - 1 : -1;
  const later = items.findIndex((item, index) => index > current && holds(item));
  const index = number >= 0 ? number : later >= 0 ? later : items.findIndex(holds);
  if (wanted && index >= 0) jump(index);
  else toast("No image has this number or name");
}

function setWindowing(isOn) {
  stage.isWindowing = isOn;
  document.body.classList.toggle("windowing-on", isOn);
  find("window-mode").setAttribute("aria-pressed", String(isOn));
  renderStage();
}

function skip() {
  if (!find("end").hidden) return;
  const next = nextIndex(current);
  if (next === null && openOnly && !items[current].decision) toast("This is the only image left");
  else advance();
}

function previous() {
  const isEnd = !find("end").hidden;
  for (const node of document.querySelectorAll(".toast")) node.remove();
  if (visited.length) show(visited.pop());
  else if (isEnd || current > 0) show(isEnd ? current : current - 1);
  else toast("This is the first image");
}

function showEnd() {
  const numOpen = items.filter((item) => !item.decision).length;
  isShown = false;
  stage.show(null, []);
  find("end").querySelector("h2").textContent = numOpen ? "End of the list" : `All ${items.length} images are reviewed`;
  find("left").textContent = numOpen ? `${numOpen} images are not reviewed yet.` : "";
  find("look-again").textContent = numOpen ? "Continue with those" : "Look through all images again";
  find("end").hidden = false;
  render();
  renderSaved();
}

function lookAgain() {
  const numOpen = items.filter((item) => !item.decision).length;
  setFilter(numOpen > 0);
  show(openOnly ? items.findIndex((item) => !item.decision) : 0);
}

function setFilter(isOn) {
  openOnly = isOn;
  find("filter").setAttribute("aria-pressed", String(isOn));
  if (items.length && find("end").hidden) prefetch();
}

// ---------------------------------------------------------------- editing

function draft() {
  const item = items[current];
  if (!drafts.has(item)) drafts.set(item, { boxes: item.boxes, undo: [], redo: [] });
  return drafts.get(item);
}

const isEdited = (item) => drafts.has(item) && !sameBoxes(drafts.get(item).boxes, item.boxes);

function edit(boxes, selected) {
  if (!isShown) return;
  const now = draft();
  if (!sameBoxes(now.boxes, boxes)) {
    now.undo.push(now.boxes);
    now.redo = [];
    now.boxes = boxes;
  }
  stage.setBoxes(boxes, selected);
}

function undo(from, to) {
  if (!isShown) return;
  const now = draft();
  if (!now[from].length) {
    toast(from === "undo" ? "Nothing to undo on this image; P goes back to the previous one" : "Nothing to redo");
    return;
  }
  now[to].push(now.boxes);
  now.boxes = now[from].pop();
  stage.setBoxes(now.boxes, -1);
}

function remove() {
  if (!isShown) return;
  const index = stage.selected >= 0 ? stage.selected : stage.boxes.length === 1 ? 0 : -1;
  if (index >= 0) edit(stage.boxes.toSpliced(index, 1), -1);
  else toast(stage.boxes.length ? "Select the box to delete: click it, or press B" : "There is no box to delete");
}

function nudge([dx, dy], { shiftKey, ctrlKey }) {
  const step = shiftKey ? 10 : 1;
  const [right, down, old] = [dx * step, dy * step, stage.boxes[stage.selected]];
  const box = ctrlKey ? resizeBox(old, dx ? "e" : "s", right, down, stage.size) : moveBox(old, right, down, stage.size);
  edit(stage.boxes.with(stage.selected, box), stage.selected);
}

// ---------------------------------------------------------------- decisions

function decide(decision) {
  if (!isShown || stage.drag) return;
  if (numUnsaved >= MAX_UNSAVED) {
    toast("Saving …");
    return;
  }
  const item = items[current];
  const boxes = decision === "reject" ? [] : draft().boxes;
  if (decision === "accept" && !boxes.length) {
    toast("There is no box to accept: draw one, or press R for no lesion box");
    return;
  }
  const before = { boxes: item.boxes, decision: item.decision };
  item.boxes = boxes;
  item.decision = !boxes.length ? "rejected" : sameBoxes(boxes, item.proposed) ? "accepted" : "corrected";
  drafts.delete(item);
  numUnsaved++;
  // The next image does not wait for the disk; a decision that could not be saved is shown again.
  saving = saving.then(async () => {
    try {
      const answer = await send(item.number, { decision, boxes });
      Object.assign(item, { boxes: answer.item.boxes, decision: answer.item.decision });
      if (alarmed === item) find("alert").hidden = true; // another image's success says nothing about it
      renderProgress(answer.progress);
    } catch (error) {
      Object.assign(item, before);
      drafts.set(item, { boxes, undo: [before.boxes], redo: [] });
      alarmed = item;
      alarm(`${item.name} was not saved. ${error.message}`);
      show(items.indexOf(item));
    } finally {
      numUnsaved--;
      renderSaved();
    }
  });
  toast(DONE[item.decision]);
  advance();
}

async function send(number, content) {
  let answer;
  try {
    answer = await fetch(`decisions/${number}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Review-Token": token },
      body: JSON.stringify(content),
    });
  } catch {
    throw new Error("The review does not answer any more; start it again where it was started.");
  }
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

// ---------------------------------------------------------------- what is seen

function render() {
  const isEnd = !find("end").hidden;
  const item = items[current];
  document.body.classList.toggle("at-end", isEnd);
  find("label").textContent = isEnd ? "" : item.label;
  find("name").textContent = isEnd ? "" : item.name;
  find("name").title = item.name;
  find("reason").textContent = isEnd ? "" : describe(item);
  find("decision").textContent = isEnd ? "" : (DONE[item.decision] ?? "");
  find("decision").className = item.decision;
  find("skip").disabled = isEnd;
  if (document.activeElement !== find("jump")) find("jump").value = isEnd ? "" : `${current + 1} / ${items.length}`;
  strip.select(isEnd ? -1 : current);
  find("reject").disabled = !isShown;
  renderStage();
}

const describe = (item) =>
  [`doubt ${item.doubt.toFixed(2)}`, item.reason, item.source && `from ${item.source}`].filter(Boolean).join(" · ");

function renderStage() {
  const item = items[current];
  if (!item) return;
  const isEditedNow = isShown && isEdited(item);
  const boxes = stage.boxes;
  find("scale").textContent = `${Math.round(stage.view.scale * 100)} %`;
  find("edited").hidden = !isEditedNow;
  find("restore").hidden = !isShown || sameBoxes(boxes, item.proposed);
  find("accept").disabled = !isShown || !boxes.length;
  find("hint").textContent = !isShown
    ? ""
    : stage.isWindowing
      ? "Drag or arrow keys change brightness and contrast · W or Esc ends it"
      : stage.selected >= 0
        ? "Drag or arrow keys move · handles resize · Del deletes · Ctrl+Z undoes"
        : boxes.length
          ? "Drag a box or its edges · drag elsewhere to add a box"
          : "No box yet · drag over the lesion to draw one";
}

function renderWindow() {
  const { isOn } = view;
  find("window-state").hidden = !isOn;
  find("window-reset").hidden = !isOn && !view.kept.size;
  find("window-reset").firstChild.textContent = isOn ? "As it is " : "Last window ";
  const kind = view.values ? "the file's values" : "of the 8 bits shown";
  find("window-state").textContent = `level ${Math.round(view.level)}, width ${Math.round(view.width)}, ${kind}`;
}

function renderProgress({ total, reviewed, accepted, corrected, rejected, seconds_left: secondsLeft }) {
  const counts = { accepted, corrected, rejected };
  for (const [name, count] of Object.entries(counts)) {
    find("progress-bar").querySelector(`.${name}`).style.setProperty("width", `${(100 * count) / total}%`);
  }
  const parts = { "✓": accepted, "✎": corrected, "✕": rejected };
  find("counts").textContent = Object.entries(parts).map(([mark, count]) => `${mark} ${count}`).join("   ");
  find("counts").title = `${accepted} accepted, ${corrected} corrected, ${rejected} without a lesion box`;
  find("reviewed").textContent = `${reviewed} of ${total} reviewed`;
  strip.draw();
  find("time-left").textContent = secondsLeft === null || reviewed === total ? "" : `about ${duration(secondsLeft)} left`;
}

function duration(seconds) {
  if (seconds < 60) return "a minute";
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

function renderSaved() {
  find("saved").textContent = numUnsaved
    ? "Saving …"
    : "Every decision is saved. Close this page and end the review with Ctrl-C where it was started.";
  document.body.classList.toggle("saving", numUnsaved > 0);
}

function message(text) {
  find("message").textContent = text;
  find("message").hidden = false;
}

function toast(text) {
  const node = document.createElement("p");
  node.className = "toast";
  node.textContent = text;
  find("stage").append(node);
  find("announce").textContent = text;
  node.addEventListener("animationend", () => node.remove());
}

function alarm(text) {
  find("alert").textContent = text;
  find("alert").hidden = false;
}

// ---------------------------------------------------------------- keys and buttons

const COMMANDS = {
  a: () => decide("accept"),
  enter: () => decide("accept"),
  r: () => decide("reject"),
  s: skip,
  p: previous,
  f: () => setFilter(!openOnly),
  o: () => isShown && edit(items[current].proposed, -1),
  b: () => stage.boxes.length && stage.select((stage.selected + 1) % stage.boxes.length),
  escape: () => (stage.drag ? stage.cancel() : stage.isWindowing ? setWindowing(false) : stage.select(-1)),
  w: () => setWindowing(!stage.isWindowing),
  v: () => isShown && view.toggle(),
  j: () => find("jump").select(),
  t: () => document.body.classList.toggle("strip-hidden"),
  delete: remove,
  backspace: remove,
  0: () => stage.fit(),
  "+": () => stage.zoom(1.25),
  "=": () => stage.zoom(1.25),
  "-": () => stage.zoom(0.8),
  "?": () => find("keys").showModal(),
};
// Held down, these would decide about images that nobody saw.
const ONCE = new Set(["a", "enter", "r", "s", "p", "f", "w", "v", "j", "t"]);

function onKey(event) {
  if (!items.length || find("keys").open || event.altKey || event.target === find("jump")) return;
  const key = event.key.toLowerCase();
  const onButton = event.target instanceof HTMLButtonElement && (key === "enter" || key === " ");
  if (onButton || (stage.drag && key !== "escape")) return;
  let command = null;
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") command = () => (event.shiftKey ? undo("redo", "undo") : undo("undo", "redo"));
    else if (key === "y") command = () => undo("redo", "undo");
    else if (ARROWS[event.key] && stage.selected >= 0) command = () => nudge(ARROWS[event.key], event);
  } else if (ARROWS[event.key]) {
    const [right, down] = ARROWS[event.key];
    if (stage.isWindowing) command = () => isShown && view.adjust(-down * 0.02, right * 0.02);
    else if (stage.selected >= 0) command = () => nudge(ARROWS[event.key], event);
    else if (event.repeat) return;
    else if (event.key === "ArrowLeft") command = previous;
    else if (event.key === "ArrowRight") command = skip;
  } else if (key === " " || key === "h") {
    command = () => hold(key, true);
  } else {
    command = COMMANDS[key];
  }
  if (!command) return;
  event.preventDefault();
  if (!(event.repeat && ONCE.has(key))) command();
}

/** Keys that act while they are down. */
function hold(key, isDown) {
  if (key === " ") stage.isPanning = isDown;
  if (key === "h") document.body.classList.toggle("boxes-hidden", isDown);
}

function onClick(id, action) {
  find(id).addEventListener("click", (event) => {
    action();
    // After a click by pointer the keys belong to the image again: Enter must not press this button once more.
    if (event.detail > 0 && !find("keys").open) find("stage").focus();
  });
}

const BUTTONS = {
  accept: "a", reject: "r", skip: "s", previous: "p", filter: "f", restore: "o", help: "?",
  "window-mode": "w", "window-reset": "v", "zoom-in": "+", "zoom-out": "-", "zoom-fit": "0",
};
for (const [id, key] of Object.entries(BUTTONS)) onClick(id, COMMANDS[key]);
onClick("look-again", lookAgain);
onClick("close-keys", () => find("keys").close());
addEventListener("keydown", onKey);
find("jump").addEventListener("focus", (event) => event.target.select());
find("jump").addEventListener("blur", render);
find("jump").addEventListener("keydown", (event) => {
  if (event.key === "Enter") jumpTo(event.target.value);
  if (event.key === "Enter" || event.key === "Escape") find("stage").focus();
});
addEventListener("keyup", (event) => hold(event.key.toLowerCase(), false));
addEventListener("blur", () => [" ", "h"].forEach((key) => hold(key, false)));
addEventListener("beforeunload", (event) => {
  if (numUnsaved || [...drafts.keys()].some(isEdited)) event.preventDefault();
});

async function start() {
  const state = await (await fetch("state")).json();
  items = state.items;
  document.title = `Box review: ${state.output}`;
  strip.show(items);
  renderProgress(state.progress);
  find("stage").focus();
  const first = items.findIndex((item) => !item.decision);
  if (first >= 0) show(first);
  else showEnd();
}

start().catch((error) => alarm(`The review cannot be shown: ${error.message}`));
