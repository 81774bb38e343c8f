// Teach: photographs, an arrow under each, outlines, training. The server keeps it all under a name that this browser keeps.
// The value says which models are chosen: {backbone, sphere, start}. Azimuth: degrees from the object's front to its left.
import { startMarking } from "../page/marking.js";
import { SKELETON, TURNS, curve, dialDrawing, errors, outlineDrawing, pathOf } from "./teach_drawing.js";

const KEPT = "spherecorr-teach";

export function start({ element, props, trigger, watch, upload, server }) {
  const root = element.querySelector(".sc-teach");
  root.innerHTML = SKELETON;
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
    const asked = { do: what, visit: view.visit, backbone, sphere, ...more };
    const answer = await server.teach(asked).catch(() => null); // without a connection it answers nothing
    return answer ?? { error: "The server does not answer. What was said before is kept there." };
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
    if (!pictures.has(name)) pictures.set(name, call("picture", { key, kind }).then((answer) => answer.picture));
    return pictures.get(name);
  }
  async function load(image, kind, key, step) {
    const found = await picture(kind, key, step);
    if (found) image.src = found;
    else pictures.delete(`${kind} ${key} ${step}`); // to be asked for again
    image.hidden = !found;
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
    part("from").hidden = !backbone;
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
      const waiting = () => view.photographs.filter((photograph) => photograph.outline === null).length;
      const before = waiting();
      for (const { key, outline, marked } of answer.photographs) {
        const photograph = find(key); // arrows that were turned meanwhile stay
        if (photograph) draw(Object.assign(photograph, { outline, marked }));
      }
      tell();
      if (waiting() === before) await new Promise((later) => setTimeout(later, 500)); // it is another visitor's turn
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
