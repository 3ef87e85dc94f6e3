// Sends each chosen image on its own, two at a time, and shows what comes back. Images are kept by the page alone.

const MAX_FILES = 100; // a page of more is slow; `care predict` takes any number
const MAX_BARS = 12;
const AT_ONCE = 2;

const byId = (id) => document.getElementById(id);
const results = byId("results");
let model = null;
const waiting = [];
let underWay = 0;

async function answerOf(response) {
  let content = null;
  try {
    content = await response.json();
  } catch {
    throw new Error(`The server answered ${response.status} ${response.statusText}`);
  }
  if (!response.ok) throw new Error(content.error);
  return content;
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer: is it still running?");
  }
  return answerOf(response);
}

async function predict({ file, fields }, className) {
  if (file.size > model.max_bytes - 10_000) throw new Error(`${file.name} is larger than ${model.max_bytes >> 20} MiB`);
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  body.append("pictures", "1");
  if (className) body.append("class_name", className);
  body.append("image", file, file.name);
  return (await request("predict", { method: "POST", body })).images[0];
}

function tell(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text;
}

function add(files) {
  if (!model || !files.length) return;
  tell(files.length > MAX_FILES ? `${files.length} files: the first ${MAX_FILES} are taken. For more: care predict.` : "");
  byId("legend").hidden = false;
  const fields = [...new FormData(byId("fields"))]; // as they are now: they may be changed for the next image
  const images = [...files].slice(0, MAX_FILES).map((file) => ({ file, fields, card: newCard(file, fields) }));
  results.prepend(...images.map(({ card }) => card));
  waiting.push(...images);
  work();
}

function work() {
  while (underWay < AT_ONCE && waiting.length) {
    const image = waiting.shift();
    if (!image.card.isConnected) continue; // cleared meanwhile
    underWay += 1;
    fill(image).finally(() => {
      underWay -= 1;
      work();
    });
  }
}

function newCard(file, fields) {
  const card = byId("card").content.cloneNode(true).firstElementChild;
  card.querySelector("h2").textContent = file.name;
  card.querySelector(".given").textContent = fields.map(([name, value]) => `${name} ${value || "missing"}`).join(", ");
  return card;
}

async function fill(image) {
  const { card } = image;
  const state = card.querySelector(".state");
  state.textContent = "Predicting …";
  try {
    const answer = await predict(image);
    show(answer, card);
    offerClasses(image, answer);
    state.hidden = true;
  } catch (error) {
    card.classList.add("failed");
    state.textContent = error.message;
  }
}

function show(answer, card) {
  card.querySelector(".answer").hidden = false;
  const image = card.querySelector(".image");
  image.src = answer.picture;
  image.alt = answer.name;
  card.querySelector(".size").textContent = `${answer.width} × ${answer.height} px`;
  card.querySelector(".top b").textContent = answer.top_class;
  card.querySelector(".called").textContent = calledText(answer);
  showAttention(answer, card);
  showBars(answer, card);
  const warning = card.querySelector(".warning");
  warning.textContent = answer.warnings.join(" ");
  warning.hidden = !answer.warnings.length;
}

function calledText(answer) {
  return answer.called ? `Called by the thresholds: ${answer.called.join(", ") || "no class"}` : "";
}

function showAttention(answer, card) {
  const picture = card.querySelector(".attention");
  const { class: name, box } = answer.attention;
  picture.src = answer.attention.picture;
  picture.alt = `Attention to ${name}${box ? `, box ${box.join(", ")}` : ", no box"}`;
}

function showBars(answer, card) {
  const shown = Object.entries(answer.calibrated ?? answer.probabilities).sort((a, b) => b[1] - a[1]);
  const chosen = answer.called ?? [answer.top_class];
  const rows = shown.slice(0, MAX_BARS).map(([name, value]) => bar(name, value, chosen.includes(name)));
  card.querySelector("ol").replaceChildren(...rows);
  const notes = [];
  if (shown.length > MAX_BARS) notes.push(`${shown.length - MAX_BARS} classes are less probable.`);
  if (answer.calibrated) notes.push("Calibrated probabilities; a mark is a class's threshold.");
  const more = card.querySelector(".more");
  more.textContent = notes.join(" ");
  more.hidden = !notes.length;
}

function bar(name, value, isChosen) {
  const row = document.createElement("li");
  row.classList.toggle("chosen", isChosen);
  const label = row.appendChild(document.createElement("span"));
  label.className = "class";
  label.textContent = label.title = name;
  const track = row.appendChild(document.createElement("span"));
  track.className = "track";
  track.appendChild(document.createElement("i")).style.width = `${100 * value}%`;
  const threshold = model.thresholds?.[name];
  if (typeof threshold === "number") track.appendChild(document.createElement("u")).style.left = `${100 * threshold}%`;
  const number = row.appendChild(document.createElement("span"));
  number.className = "value";
  number.textContent = value.toFixed(3);
  return row;
}

function offerClasses(image, answer) {
  const { card } = image;
  const select = card.querySelector("select");
  const names = model.explains_any_class ? model.class_names : [answer.top_class];
  select.replaceChildren(
    ...names.map((name) => new Option(name === answer.top_class ? `${name} (predicted)` : name, name)),
  );
  select.value = select.dataset.shown = answer.top_class;
  select.disabled = names.length < 2;
  if (!model.explains_any_class) select.title = "Export the run again to choose the class";
  select.addEventListener("change", async () => {
    const asked = select.value;
    card.classList.add("busy");
    try {
      const other = await predict(image, asked);
      if (select.value !== asked) return; // another was chosen meanwhile
      showAttention(other, card);
      select.dataset.shown = asked;
    } catch (error) {
      tell(error.message);
      if (select.value === asked) select.value = select.dataset.shown;
    } finally {
      card.classList.toggle("busy", select.value !== select.dataset.shown);
    }
  });
}

function showFields(inputs) {
  for (const { name, categories } of inputs) {
    const label = byId("fields").appendChild(document.createElement("label"));
    label.append(`${name} `);
    const field = label.appendChild(document.createElement(categories.length ? "select" : "input"));
    field.name = name;
    if (categories.length) field.replaceChildren(...categories.map((each) => new Option(each || "missing", each)));
    else field.size = 6;
  }
  byId("fields").hidden = !inputs.length;
}

byId("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = ""; // the same file may be chosen again
});
byId("fields").addEventListener("submit", (event) => event.preventDefault());
byId("clear").addEventListener("click", () => {
  waiting.length = 0;
  results.replaceChildren();
  byId("legend").hidden = true;
  tell("");
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  add(event.dataTransfer.files);
});

try {
  model = await request("model");
  byId("name").textContent = document.title = model.name;
  byId("about").textContent = `${model.class_names.length} classes. Research software, not a medical device.`;
  showFields(model.inputs);
} catch (error) {
  tell(error.message);
}
