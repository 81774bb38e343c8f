// Teach: photographs, an arrow under each, outlines, training. The server keeps it all under a name that this browser keeps.
// The value says which models are chosen: {backbone, sphere, start}. Azimuth: degrees from the object's front to its left.
import { startMarking } from "../page/marking.js";

const KEPT = "spherecorr-teach";
const TURNS = ["faces you", "faces you, to the left", "faces left", "faces away, to the left", "faces away",
  "faces away, to the right", "faces right", "faces you, to the right"];

export function start({ element, props, trigger, watch, upload, server }) {
const root = element.querySelector(".sc-teach");
root.innerHTML = `
  <p class="sc-hint">Make a sphere for photographs of your own: 10 to 60 of one kind of object, seen from several sides. Say
    under each which way the object faces, check its outline, and train. No other visitor sees them.</p>
  <div class="sc-teach-bar">
    <label class="sc-teach-drop"><input type="file" multiple accept="image/*" aria-label="Add photographs">
      <span><b>Add photographs</b> or drop them here</span></label>
    <label class="sc-teach-kind">Kind of object <input type="text" maxlength="40" placeholder="llama" autocomplete="off"></label>
    <button type="button" class="sc-teach-forget">Delete everything</button>
  </div>
  <p class="sc-status sc-teach-say" role="status"></p>
  <ul class="sc-teach-troubles" role="alert"></ul>
  <ul class="sc-teach-photographs" aria-label="Photographs"></ul>
  <div class="sc-teach-train">
    <button type="button" class="sc-teach-go">Train</button>
    <button type="button" class="sc-teach-stop">Stop</button>
    <button type="button" class="sc-teach-use">Use this sphere</button>
    <button type="button" class="sc-teach-zip">Download it (ZIP)</button>
    <span class="sc-teach-from"></span>
  </div>
  <div class="sc-teach-progress" role="status"><progress max="1" value="0" aria-label="Steps of the training"></progress>
    <span></span></div>
  <div class="sc-teach-result"><div class="sc-teach-curve"></div><div class="sc-teach-errors"></div></div>
  <div class="sc-teach-maps"></div>
  <dialog class="sc-teach-paint" aria-label="Paint the object">
    <div class="sc-teach-tools"></div><div class="sc-teach-paper"><div class="sc-teach-canvas"></div></div><p class="sc-hint" role="status"></p>
  </dialog>`;
const part = (name) => root.querySelector(`.sc-teach-${name}`);
const make = (tag, attributes = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
};
const say = (text, kind = "info") => {
  part("say").textContent = text;
  part("say").className = `sc-status sc-${kind} sc-teach-say`;
};

let view = { photographs: [], training: null };
let painted = null; // key of the photograph in the dialog
let queue = Promise.resolve(); // what changes something is asked in order
const pictures = new Map(); // "kind key step" -> promise of a data address

function remember(visit) {
  try { localStorage.setItem(KEPT, visit); } catch { /* kept as long as the page is open */ }
}
function remembered() {
  try { return localStorage.getItem(KEPT); } catch { return null; }
}

async function call(what, more = {}) {
  const { backbone, sphere } = props.value || {};
  let answer;
  try {
    answer = await server.teach({ do: what, visit: view.visit, backbone, sphere, ...more });
  } catch {
    answer = { error: "The server does not answer. What was said before is kept there." };
  }
  return answer;
}
// Asks in order, and shows the answer or its sentence; answers whether it went well.
function ask(what, more, trouble = (text) => say(text, "warn")) {
  const asked = queue.then(() => call(what, more)).then((answer) => {
    if (answer.error) trouble(answer.error);
    else if (answer.photographs) show(answer);
    return !answer.error;
  });
  queue = asked;
  return asked;
}
function picture(kind, key, step = 0) {
  const name = `${kind} ${key} ${step}`;
  if (!pictures.has(name)) pictures.set(name, call("picture", { key, kind }).then((answer) => answer.picture || ""));
  return pictures.get(name);
}
async function load(image, kind, key, step) {
  image.src = (await picture(kind, key, step)) || "data:,";
}

// ---- what is shown
function show(answer) {
  const old = new Map(view.photographs.map((photograph) => [photograph.key, photograph]));
  view = answer;
  remember(view.visit);
  for (const photograph of view.photographs) photograph.item = old.get(photograph.key)?.item || item(photograph);
  const list = part("photographs");
  if ([...list.children].some((child, place) => child !== view.photographs[place]?.item) ||
      list.children.length !== view.photographs.length) list.replaceChildren(...view.photographs.map((p) => p.item));
  const name = part("kind").querySelector("input");
  if (document.activeElement !== name) name.value = view.category;
  for (const photograph of view.photographs) draw(photograph);
  tell();
  showTraining();
  propose();
}

function find(key) {
  return view.photographs.find((photograph) => photograph.key === key);
}

function item({ key, name, size }) {
  const image = make("img", { alt: name, width: size[0], height: size[1] });
  load(image, "photograph", key);
  const frame = make("div", { className: "sc-teach-frame", innerHTML: outlineDrawing(size) });
  frame.prepend(image);
  const dial = make("div", { className: "sc-teach-dial", innerHTML: dialDrawing(), tabIndex: 0 });
  const labels = { role: "slider", "aria-label": `Direction of ${name}`, "aria-valuemin": 0, "aria-valuemax": 7 };
  for (const [label, value] of Object.entries(labels)) dial.setAttribute(label, value);
  const skip = make("button", { type: "button", textContent: "Skip" });
  const paint = make("button", { type: "button", textContent: "Paint" });
  const remove = make("button", { type: "button", textContent: "Remove" });
  for (const button of [skip, paint, remove]) button.setAttribute("aria-label", `${button.textContent}: ${name}`);
  skip.onclick = () => turn(key, null);
  paint.onclick = () => openPaint(key);
  remove.onclick = () => ask("remove", { key });
  listenToDial(dial, key);
  const words = make("span", { className: "sc-teach-words" });
  const buttons = make("div", { className: "sc-teach-buttons" }, skip, paint, remove);
  return make("li", {}, frame, make("div", { className: "sc-teach-way" }, dial, words), buttons);
}

function draw({ key, azimuth, outline, item }) {
  const dial = item.querySelector(".sc-teach-dial");
  const words = azimuth === null ? "not known" : TURNS[azimuth / 45];
  dial.classList.toggle("sc-unknown", azimuth === null);
  dial.setAttribute("aria-valuenow", azimuth === null ? 0 : azimuth / 45);
  dial.setAttribute("aria-valuetext", words);
  dial.querySelector(".sc-arrow").setAttribute("transform", `rotate(${azimuth || 0})`);
  item.querySelector(".sc-teach-words").textContent = words;
  item.querySelector("button").disabled = azimuth === null;
  item.classList.toggle("sc-waits", outline === null);
  for (const path of item.querySelectorAll("path.sc-outline")) path.setAttribute("d", pathOf(outline));
  if (painted === key) for (const path of part("canvas").querySelectorAll("path")) path.setAttribute("d", pathOf(outline));
}

const pathOf = (outline) => (outline || []).map((line) => `M${line.map((point) => point.join(" ")).join("L")}Z`).join("");
const outlineDrawing = (size) => `<svg viewBox="0 0 ${size[0]} ${size[1]}" aria-hidden="true">
  <path class="sc-outline sc-light"/><path class="sc-outline sc-dark"/></svg>`;
// Seen from above, with the photographer below: the arrow of azimuth 0 points down, at the photographer, and 90 to the left.
const dialDrawing = () => `<svg viewBox="-40 -40 80 86" aria-hidden="true"><circle r="34"/>
  ${[...Array(8).keys()].map((i) => `<line y1="29" y2="34" transform="rotate(${45 * i})"/>`).join("")}
  <g class="sc-arrow"><path d="M-3 -22L3 -22L3 6L11 6L0 24L-11 6L-3 6Z"/><path d="M-8 -26L0 -19L8 -26L8 -20L0 -13L-8 -20Z"/></g>
  <text y="8">?</text><path class="sc-camera" d="M-7 37h3l2 -2h4l2 2h3v8h-14z"/></svg>`;

function tell() {
  const known = view.photographs.filter((photograph) => photograph.azimuth !== null).length;
  const waiting = view.photographs.filter((photograph) => photograph.outline === null).length;
  const missing = [];
  if (known < view.fewest) missing.push(`an arrow under at least ${view.fewest} photographs (${known} have one)`);
  if (!view.category) missing.push("the kind of object");
  if (waiting) missing.push(`outlines of ${waiting} photographs, which are being proposed`);
  const count = `${view.photographs.length} photographs, kept here for ${view.days} days after your last visit.`;
  if (!view.photographs.length) say(`At most ${view.most} photographs of ${view.bytes / 1e6} MB each.`);
  else say(missing.length ? `${count} Still missing: ${missing.join("; ")}.` : `${count} Ready to train.`);
  const busy = ["running", "waiting"].includes(view.training?.state);
  part("go").disabled = missing.length > 0 || busy;
  part("stop").hidden = !busy;
  for (const name of ["use", "zip"]) part(name).hidden = !view.training?.sphere;
  part("forget").hidden = !view.photographs.length;
  part("train").hidden = !view.photographs.length;
  const { start, backbone } = props.value || {};
  part("from").textContent = start === "none" ? `from nothing, on ${backbone}` : `from the sphere ${start}, on ${backbone}`;
}

// ---- arrows
function turn(key, azimuth) {
  const photograph = find(key);
  if (!photograph || photograph.azimuth === azimuth) return;
  photograph.azimuth = azimuth; // shown at once; the server keeps it in its turn
  draw(photograph);
  tell();
  const asked = queue.then(() => call("turn", { key, azimuth }));
  queue = asked.then((answer) => answer.error && say(answer.error, "warn"));
}
function listenToDial(dial, key) {
  const point = (event) => {
    const box = dial.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height * 40 / 86];
    if (Math.hypot(x, y) < 4) return;
    turn(key, ((Math.round((Math.atan2(-x, y) * 180) / Math.PI / 45) + 8) % 8) * 45);
  };
  dial.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    dial.focus();
    dial.setPointerCapture(event.pointerId);
    point(event);
  });
  dial.addEventListener("pointermove", (event) => dial.hasPointerCapture(event.pointerId) && point(event));
  dial.addEventListener("keydown", (event) => {
    const step = { ArrowRight: -45, ArrowUp: -45, ArrowLeft: 45, ArrowDown: 45 }[event.key]; // against the clock to the right
    const { azimuth } = find(key);
    if (step) turn(key, azimuth === null ? 0 : (azimuth + step + 360) % 360);
    else if (["Delete", "Backspace"].includes(event.key)) turn(key, null);
    else return;
    event.preventDefault();
  });
}

// ---- photographs come, and their outlines
async function add(files) {
  part("troubles").replaceChildren();
  const trouble = (text) => part("troubles").append(make("li", { textContent: text }));
  for (const [place, file] of [...files].entries()) {
    say(`Adding photograph ${place + 1} of ${files.length}`, "busy");
    if (file.size > view.bytes) {
      trouble(`'${file.name}' has more than ${view.bytes / 1e6} MB; save it smaller.`);
      continue;
    }
    const sent = await upload(file).catch(() => null);
    if (sent) await ask("add", { path: sent.path, name: file.name }, trouble);
    else trouble(`'${file.name}' could not be sent; drop it again.`);
  }
  tell();
}
let proposing = false;
async function propose() {
  if (proposing || !props.value?.backbone) return;
  proposing = true;
  while (view.photographs.some((photograph) => photograph.outline === null)) {
    const answer = await call("propose");
    if (answer.error) {
      say(answer.error, "warn");
      break;
    }
    for (const { key, outline, marked } of answer.photographs) {
      const photograph = find(key); // arrows that were turned meanwhile stay
      if (photograph) draw(Object.assign(photograph, { outline, marked }));
    }
    tell();
  }
  proposing = false;
}
part("drop").querySelector("input").onchange = (event) => {
  add([...event.target.files]);
  event.target.value = "";
};
root.addEventListener("dragover", (event) => {
  event.preventDefault();
  part("drop").classList.add("sc-over");
});
root.addEventListener("dragleave", () => part("drop").classList.remove("sc-over"));
root.addEventListener("drop", (event) => {
  event.preventDefault();
  event.stopPropagation();
  part("drop").classList.remove("sc-over");
  add([...event.dataTransfer.files]);
});
part("kind").querySelector("input").onchange = (event) => ask("call_it", { category: event.target.value });
part("forget").onclick = () => confirm("Delete all photographs, arrows and outlines?") && ask("forget");

// ---- painting
function openPaint(key) {
  const { size, outline, name } = find(key);
  painted = key;
  const image = make("img", { alt: name, draggable: false });
  load(image, "photograph", key);
  part("canvas").innerHTML = outlineDrawing(size);
  part("canvas").prepend(image);
  part("canvas").style.aspectRatio = `${size[0]} / ${size[1]}`;
  part("paper").style.setProperty("--ratio", size[0] / size[1]);
  for (const path of part("canvas").querySelectorAll("path")) path.setAttribute("d", pathOf(outline));
  tellPaint("Draw a box around the object, or strokes over it and over the background.");
  part("paint").showModal();
}
const tellPaint = (text) => { part("paint").querySelector("[role=status]").textContent = text; };
part("tools").innerHTML = [["box", "Box around it"], ["object", "Over the object"], ["background", "Over background"]]
  .map(([kind, label], place) => `<label><input type="radio" name="sc-teach-mark" value="${kind}" ${place ? "" : "checked"}>
    ${label}</label>`).join("") + `<button type="button">Propose again</button><button type="button">Done</button>`;
const [again, done] = part("tools").querySelectorAll("button");
again.onclick = () => ask("unmark", { key: painted }, tellPaint).then(() => tellPaint("The outline is being proposed."));
done.onclick = () => part("paint").close();
part("paint").addEventListener("close", () => { painted = null; });
const paper = {
  canvas: part("canvas"),
  place(event, anywhere = false) {
    const { size } = find(painted);
    const box = paper.canvas.getBoundingClientRect();
    const at = [(event.clientX + 0.5 - box.left) / box.width, (event.clientY + 0.5 - box.top) / box.height];
    if (anywhere) return at.map((share, i) => Math.min(Math.max(share, 0), 1) * size[i]);
    return at.every((share) => share >= 0 && share < 1) ? at.map((share, i) => share * size[i]) : null;
  },
};
startMarking([paper], {
  tool: () => find(painted) && part("tools").querySelector("input:checked").value,
  mostPoints: 200,
  apply(_, kind, path) {
    tellPaint("…");
    ask("mark", { key: painted, kind, path }, tellPaint).then((well) => well && tellPaint("The outline follows your marks."));
  },
});

// ---- training
part("go").onclick = () => ask("train").then((well) => well && poll());
part("stop").onclick = () => ask("stop").then(() => { part("stop").disabled = true; poll(); });
part("use").onclick = () => trigger("select", { visit: view.visit, choose: true });
part("zip").onclick = async () => {
  const answer = await call("download");
  if (answer.error) return say(answer.error, "warn");
  make("a", { href: `gradio_api/file=${answer.file}`, download: answer.file.split(/[\\/]/).pop() }).click();
};
let polling = false;
async function poll() {
  if (polling) return;
  polling = true;
  const ran = ["running", "waiting"].includes(view.training?.state);
  while (["running", "waiting"].includes(view.training?.state)) {
    await new Promise((later) => setTimeout(later, document.hidden ? 5000 : 1000));
    const answer = await call("progress");
    if (answer.error) say(answer.error, "warn");
    else {
      view.training = answer.training;
      tell();
      showTraining();
    }
  }
  polling = false;
  part("stop").disabled = false;
  if (view.training?.sphere) trigger("select", { visit: view.visit, choose: ran });
}
function showTraining() {
  const training = view.training;
  for (const name of ["progress", "result", "maps"]) part(name).hidden = !training;
  if (!training) return;
  const { state, step = 0, steps, left, what, sentence } = training;
  part("progress").querySelector("progress").hidden = !["running", "waiting"].includes(state);
  part("progress").querySelector("progress").value = steps ? step / steps : 0;
  const time = left > 90 ? `, about ${Math.round(left / 60)} min left` : left ? `, about ${left} s left` : "";
  part("progress").querySelector("span").textContent = sentence || (state === "running"
    ? what === "Training" ? `Step ${step} of ${steps}${time}` : `${what}…`
    : state === "done" ? `Done: ${step} steps on ${training.taught} photographs. The sphere is in the sphere menu.`
    : step ? `Ended at step ${step} of ${steps}; Train goes on from there.` : "Ended before the first step.");
  part("curve").innerHTML = curve(training.losses || [], steps);
  part("errors").innerHTML = errors(training.errors, training.keys?.length, training.asked);
  showMaps(training);
}
const DASHES = ["none", "7 3", "2 3", "8 3 2 3"];
function curve(losses, steps) {
  if (losses.length < 2) return "";
  const names = Object.keys(losses[0][1]);
  const most = Math.max(...losses.flatMap(([, values]) => Object.values(values)));
  const line = (name) => losses.map(([step, values]) => `${(step / (steps || step)) * 300},${98 - (values[name] / most) * 94}`);
  const legend = names.map((name, i) => `<span><svg viewBox="0 0 28 6" aria-hidden="true"><path d="M0 3H28"
    stroke-dasharray="${DASHES[i % 4]}"/></svg>${name} ${losses[losses.length - 1][1][name].toFixed(3)}</span>`);
  return `<h4>Losses</h4><svg class="sc-lines" viewBox="0 0 300 100" preserveAspectRatio="none" role="img"
    aria-label="Losses by step">${names.map((name, i) => `<polyline points="${line(name).join(" ")}"
    stroke-dasharray="${DASHES[i % 4]}"/>`).join("")}</svg><div class="sc-legend">${legend.join("")}</div>`;
}
function errors(told, photographs, asked) {
  if (!told) return "";
  const row = (name, found) => found && `<tr><th scope="row">${name}</th><td>${found.median.toFixed(0)}°</td>
    <td>${(found.near * 100).toFixed(0)} %</td><td>${(found.reversed * 100).toFixed(0)} %</td></tr>`;
  const mirrored = asked > photographs ? ", each also as its mirror image" : "";
  return `<h4>Direction of ${photographs} photographs that taught nothing${mirrored}</h4><table><thead><tr><th scope="col">
    Sphere</th><th scope="col">median error</th><th scope="col">within 30°</th><th scope="col">beyond 90°</th></tr></thead>
    <tbody>${row("before", told.before) || ""}${row("after", told.after)}</tbody></table><p class="sc-hint">${photographs}
    photographs are few: others would move these figures by several degrees.</p>`;
}
function showMaps({ keys = [], shown, each }) {
  const here = keys.filter(find);
  const box = part("maps");
  if (box.dataset.keys !== here.join()) {
    box.dataset.keys = here.join();
    box.replaceChildren(...here.map((key) => {
      const picture = (kind, title) => make("figure", {}, make("img", { alt: `${title}: ${find(key).name}`, className: kind }),
        make("figcaption", { textContent: title }));
      const shows = [picture("photograph", "held out"), picture("before", "sphere before"), picture("now", "sphere now")];
      return make("div", { className: "sc-teach-held" }, ...shows, make("p"));
    }));
    if (here.length) box.prepend(make("h4", { textContent: "Sphere maps of photographs that teach nothing" }));
  }
  for (const [place, key] of here.entries()) {
    const held = box.querySelectorAll(".sc-teach-held")[place];
    load(held.querySelector(".photograph"), "photograph", key);
    load(held.querySelector(".before"), "before", key, view.training.started);
    load(held.querySelector(".now"), shown ? "now" : "before", key, `${view.training.started} ${shown}`);
    const off = (errors) => (errors?.[key] === undefined ? null : `${errors[key].toFixed(0)}°`);
    const [before, after] = [off(each?.before), off(each?.after)];
    held.querySelector("p").textContent = after ? `off by ${before ? `${before} before, ` : ""}${after} after` : "";
  }
}

watch("value", () => { tell(); propose(); });
view.visit = remembered();
ask("open").then(() => poll());
}
