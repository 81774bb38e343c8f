// The explorer: hover, clicks and sliders are answered here, from one payload a pair. The server is asked for other
// pictures and features only; what it shows comes as the component's value (Python's `drawing.py`).
import { readAddress, writeAddress } from "./address.js";
import { Globe } from "./globe.js";
import { startInput } from "./input.js";
import { Pair, bestCell } from "./matching.js";
import { Pane } from "./pane.js";
import { fileUrl, loadFeatures, loadSurface } from "./payload.js";
import { records } from "./table.js";
import { Scenes } from "./scenes.js";

const PUBLISH_AFTER = 150; // ms without a change, before panels are told and the address is written
const PLACE_KEPT = "spherecorr-view"; // in the browser's storage: sliders, not points
const ANSWERED_HERE = ["", "Matches"]; // panels that need no server

export function start({ element, props, trigger, watch, upload, constants }) {
  const explorer = new Explorer(element, { trigger, upload, constants });
  window.spherecorr = explorer; // for the console, tests and benchmarks
  watch("value", () => explorer.receive(props.value));
  explorer.receive(props.value);
}

class Explorer {
  constructor(element, { trigger, upload, constants }) {
    Object.assign(this, { element, trigger, upload, constants });
    this.pictures = { source: null, target: null };
    this.pair = null;
    this.points = [];
    this.active = null;
    this.hover = null; // {kind: a pane's name, point} or {direction} on the sphere
    this.asked = readAddress();
    this.controls = { alpha: this.asked.alpha ?? 0.5, heat: 0.6, ranks: 1, foreground: true, ...remembered() };
    this.turn = 0;
    this.drawn = 0;
    this.panes = {};
    for (const figure of element.querySelectorAll(".sc-pane")) this.panes[figure.dataset.pane] = new Pane(figure, () => this.schedule());
    this.scenes = new Scenes(this);
    this.globe = new Globe(document.querySelector(".sc-sphere"), constants.plotly, (direction) => this.pointAt(direction && { direction }));
    startInput(this);
  }

  // What the server shows of the visit. Where a newer value comes meanwhile, the older one is left.
  async receive(value) {
    if (value?.forgotten) return location.reload(); // the address brings everything back
    if (value?.revision === undefined) return;
    const turn = ++this.turn;
    try {
      const [text, kind] = value.note ?? value.status;
      this.say(text, kind);
      if (!value.pictures) return;
      const pictures = await this.loadPictures(value.pictures);
      if (turn !== this.turn) return;
      const first = this.opening === undefined;
      if (value.opening !== this.opening) {
        this.setPoints((first && this.asked.points) || value.points, 0);
        this.opening = value.opening;
        this.hover = null;
      }
      Object.assign(this, { pictures, shown: value });
      if (value.ready !== this.ready) this.pair = null;
      this.drawNotices();
      this.schedule();
      this.element.querySelector(".sc-explorer").dataset.state = value.ready ? "loading" : "waiting";
      if (!value.ready) return this.globe.say(text);
      const [source, target] = await Promise.all(["source", "target"].map((role) => loadImage(value.pictures[role])));
      if (turn !== this.turn) return;
      this.adviseAlpha(value.sphere, first);
      Object.assign(this, { pair: new Pair(source, target, value.sphere, this.constants), ready: value.ready });
      this.setPoints(this.points.filter((point) => inside(point, pictures.source.size)), this.active);
      this.schedule();
      this.element.querySelector(".sc-explorer").dataset.state = "ready";
      if (value.globe) await this.globe.show(value.globe, [source.surface, target.surface]);
      else this.globe.say(value.problem || "On a plane there is no sphere to show.");
      this.turnGlobe();
      this.schedule();
    } catch (error) {
      this.say(error.message, "warn");
    }
  }

  async loadPictures(described) {
    const load = async (role) => {
      const picture = described[role];
      if (!picture) return null;
      const old = this.pictures[role];
      const bitmap = old?.picture === picture.picture ? old.bitmap : await loadBitmap(picture.picture);
      return { ...picture, bitmap };
    };
    const [source, target] = await Promise.all(["source", "target"].map(load));
    return { source, target };
  }

  adviseAlpha(sphere, first) {
    const name = sphere?.name ?? null;
    if (sphere && name !== this.sphereName) this.set("alpha", (first ? this.asked.alpha : undefined) ?? sphere.alpha);
    this.sphereName = name;
  }

  // Changes of what this page holds

  set(name, value) {
    this.controls[name] = value;
    const field = this.element.querySelector(`[data-set=${name}]`);
    if (field.type === "checkbox") field.checked = value;
    else {
      field.value = value;
      field.nextElementSibling.textContent = name === "ranks" ? value : Number(value).toFixed(2);
    }
    remember(this.controls);
    this.drawNotices();
    this.schedule();
    this.publish();
  }

  setPoints(points, active) {
    this.points = points.map(([x, y]) => [x, y]).slice(0, this.constants.maxPoints);
    this.active = this.points.length && active !== null ? Math.min(active, this.points.length - 1) : null;
    this.schedule();
    this.publish();
  }

  choose(active) {
    this.setPoints(this.points, active);
    this.turnGlobe();
  }

  // Add a point of the source, or make the pin there the active one.
  addPoint(point) {
    const near = Math.max(...this.pictures.source.size) * 0.015;
    const pin = this.points.findIndex(([x, y]) => Math.hypot(x - point[0], y - point[1]) <= near);
    if (pin >= 0) return this.choose(pin);
    if (this.points.length === this.constants.maxPoints)
      return this.say(`There are ${this.constants.maxPoints} points already. Undo or clear some first.`, "warn");
    this.setPoints([...this.points, point], this.points.length);
    this.turnGlobe();
  }

  // Add the source's point that a place of a target is matched to, backwards.
  addFromTarget(kind, point) {
    if (!this.pair) return this.say("The features are still being computed; click again in a moment.", "warn");
    if (!this.pair.kinds.includes(kind)) return this.say(this.shown.problem, "warn");
    const count = this.points.length;
    const found = this.backwards(kind, point);
    this.addPoint(found);
    const [x, y] = this.pair.match(found, this.controls)[kind].xy[0];
    const error = Math.hypot(x - point[0], y - point[1]).toFixed(0);
    if (this.points.length > count || this.active !== null)
      this.say(`Point ${this.active + 1} was found backwards from the ${kind} target; forwards again it lands ${error} px from the click.`);
  }

  backwards(kind, point) {
    const { source, target } = this.pair;
    return source.framing.toPixel(bestCell(this.pair.row(target.framing.toCell(point), kind, this.controls, true)));
  }

  movePoint(columns, rows) {
    if (this.active === null || !this.pair) return;
    const points = this.points.slice();
    points[this.active] = this.pair.source.framing.step(points[this.active], columns, rows);
    this.setPoints(points, this.active);
  }

  removePoint(index) {
    const points = this.points.filter((_, i) => i !== index);
    this.setPoints(points, Math.max(0, Math.min(index, points.length - 1)));
  }

  pointAt(hover) {
    this.hover = hover;
    this.schedule();
  }

  // Requests to the server

  ask(kind, more = {}) {
    this.trigger("apply", { kind, ...more });
  }

  async uploadFile(role, file) {
    this.say(`Uploading ${file.name} …`, "busy");
    try {
      const { path } = await this.upload(file);
      this.ask("upload", { role, path, name: file.name });
    } catch (error) {
      this.say(`'${file.name}' could not be uploaded: ${error.message || "the server refused it"}.`, "warn");
    }
  }

  swap() {
    const matches = this.matches();
    const points = matches.length ? matches.map((found) => (found.fused ?? found.raw).xy[0]) : [];
    this.ask("swap", { points: points.filter(Boolean) });
  }

  // Drawing

  // Of all points; the same array until something changes that they are computed from.
  matches() {
    const { pair, points } = this;
    const { alpha, foreground, ranks } = this.controls;
    const asked = [pair, points, alpha, foreground, ranks];
    if (!this.matched || asked.some((value, i) => value !== this.matched.asked[i]))
      this.matched = { asked, found: pair ? points.map((point) => pair.match(point, this.controls)) : [] };
    return this.matched.found;
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.scenes.draw();
      this.drawn = performance.now();
    });
  }

  turnGlobe() {
    const surface = this.pair?.sphere && this.pair.source.surface;
    if (this.active === null || surface?.dim !== 3) return;
    const cell = this.pair.source.framing.toCell(this.points[this.active]);
    clearTimeout(this.turning);
    this.turning = setTimeout(() => this.globe.turn([...surface.points.subarray(cell * 3, cell * 3 + 3)]), 120); // pictures come first
  }

  drawNotices() {
    const said = (this.shown?.notices ?? []).filter((notice) => this.controls.foreground || !notice.foreground);
    const problem = this.shown?.problem ? [{ text: this.shown.problem }] : [];
    const lines = [...problem, ...said].map(({ text }) => Object.assign(document.createElement("p"), { className: "sc-status sc-warn", textContent: text }));
    this.element.querySelector(".sc-notices").replaceChildren(...lines);
  }

  say(text, kind = "info") {
    const line = this.element.querySelector(".sc-status");
    line.className = `sc-status sc-${kind}`;
    line.textContent = text;
  }

  // What panels and the address are told

  publish() {
    clearTimeout(this.publishing);
    this.publishing = setTimeout(() => {
      const { alpha, foreground, ranks } = this.controls;
      const panel = openPanel();
      window.spherecorrView?.({ alpha, foreground, ranks, points: this.points, panel }, !ANSWERED_HERE.includes(panel));
      if (this.shown) this.writeAddress();
    }, PUBLISH_AFTER);
  }

  writeAddress() {
    const { pictures, shown, controls, points } = this;
    const places = { source: pictures.source?.place, target: pictures.target?.place };
    const alpha = shown.sphere && controls.alpha !== shown.sphere.alpha ? controls.alpha : null;
    writeAddress({ about: shown.about, example: shown.example, places, alpha, points });
  }

  // For exports
  about() {
    const described = ({ name, size, mirrored, marks }) => ({ name, size, mirrored, marks });
    const { alpha, foreground } = this.controls;
    return {
      source: described(this.pictures.source), target: described(this.pictures.target), ...this.shown.about, alpha, foreground_only: foreground,
    };
  }

  records() {
    return records(this.matches());
  }
}

// Titles in the page of what is open below the pictures.
function openPanel() {
  const open = ".sc-tabs [role=tab][aria-selected=true], .sc-tabs .overflow-dropdown .selected"; // what a phone has no room for
  return document.querySelector(open)?.textContent.trim() ?? "";
}

async function loadBitmap(path) {
  const answer = await fetch(fileUrl(path));
  if (!answer.ok) throw new Error("The server no longer holds this picture. Open it again.");
  return createImageBitmap(await answer.blob());
}

async function loadImage({ features, surface }) {
  const loaded = await loadFeatures(features);
  return { ...loaded, surface: await loadSurface(surface, loaded.framing.count) };
}

function inside([x, y], [width, height]) {
  return x >= 0 && y >= 0 && x <= width && y <= height;
}

function remembered() {
  try {
    const { heat, ranks, foreground } = JSON.parse(localStorage.getItem(PLACE_KEPT)) ?? {};
    const kept = { heat, ranks, foreground };
    return Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined));
  } catch {
    return {};
  }
}

function remember({ heat, ranks, foreground }) {
  try {
    localStorage.setItem(PLACE_KEPT, JSON.stringify({ heat, ranks, foreground }));
  } catch {
    // A browser without storage forgets.
  }
}
