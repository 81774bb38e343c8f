// The sphere: Plotly draws ball and patches once a pair; points, matches and what the pointer is on are drawn over it with
// Plotly's own camera, so that they follow within a frame.
import { fileUrl } from "./payload.js";
import { disc, ring } from "./pins.js";

const NEAR = 18; // screen pixels within which a patch is pointed at
const ARC_STEPS = 24;

export class Globe {
  // panel: with .sc-plot, .sc-message, .sc-caption. plotly: path of its script. point: told the direction [x, y, z] that
  // the pointer is on, or null.
  constructor(panel, plotly, point) {
    Object.assign(this, { panel, plotly, marks: [], ghosts: [], patches: [] });
    this.plot = panel.querySelector(".sc-plot");
    this.overlay = panel.appendChild(Object.assign(document.createElement("canvas"), { className: "sc-overlay" }));
    this.message = panel.querySelector(".sc-message");
    this.plot.addEventListener("pointermove", (event) => !event.buttons && point(this.direction(event)));
    this.plot.addEventListener("pointerleave", () => point(null));
    this.plot.addEventListener("pointerdown", () => this.follow(Infinity));
    window.addEventListener("pointerup", () => this.follow(60));
    this.plot.addEventListener("wheel", () => this.follow(60), { passive: true });
    new ResizeObserver(() => this.follow(10)).observe(panel);
  }

  say(text) {
    this.message.textContent = text;
    this.panel.classList.toggle("sc-empty", Boolean(text));
    if (text) this.shown = null;
    this.draw();
  }

  // path: of the figure's file. patches: surfaces whose subject's cells can be pointed at.
  async show(path, patches) {
    this.patches = patches;
    if (this.shown === path) return;
    if (!document.createElement("canvas").getContext("webgl")) return this.say("This browser has no WebGL, which draws the sphere.");
    this.shown = path;
    const [figure, Plotly] = await Promise.all([fetch(fileUrl(path)).then((answer) => answer.json()), this.load()]);
    if (this.shown !== path) return; // a newer one has come meanwhile
    this.message.textContent = "";
    this.panel.classList.remove("sc-empty");
    const camera = this.plot._fullLayout && this.plot._fullLayout.scene?.camera;
    if (camera) figure.layout.scene.camera = { eye: camera.eye, up: camera.up, center: camera.center };
    for (const trace of figure.data) trace.hoverinfo = "skip";
    await Plotly.react(this.plot, figure.data, { ...figure.layout, hovermode: false }, { displayModeBar: false, responsive: true });
    this.panel.dataset.traces = figure.data.length;
    this.follow(10);
  }

  load() {
    this.loading ??= new Promise((done, failed) => {
      const script = Object.assign(document.createElement("script"), { src: fileUrl(this.plotly) });
      script.onload = () => done(window.Plotly);
      script.onerror = () => failed(new Error("The sphere cannot be drawn: Plotly's script did not come."));
      document.head.append(script);
    });
    return this.loading;
  }

  // marks: [{at: [x, y, z], match: [x, y, z] or null, label, colour, textColour, active}]; ghosts: [{at, colour}].
  mark(marks, ghosts) {
    Object.assign(this, { marks, ghosts });
    this.draw();
  }

  // Let the camera look at a direction.
  turn([x, y, z]) {
    if (!window.Plotly || !this.shown || !this.plot._fullLayout) return;
    const length = Math.hypot(x, y, Math.max(-0.8, Math.min(0.8, z))) || 1;
    const eye = { x: (1.75 * x) / length, y: (1.75 * y) / length, z: (1.75 * Math.max(-0.8, Math.min(0.8, z))) / length };
    window.Plotly.relayout(this.plot, { "scene.camera.eye": eye }).then(() => this.follow(10));
  }

  // Draw anew for so many frames, while the camera moves.
  follow(frames) {
    const running = this.frames > 0;
    this.frames = frames;
    const step = () => {
      this.draw();
      if (--this.frames > 0) requestAnimationFrame(step);
    };
    if (!running) requestAnimationFrame(step);
  }

  // Turns [x, y, z] into [x, y, depth] of the overlay, the depth growing away from the viewer; null before Plotly has drawn.
  projection() {
    const scene = this.plot._fullLayout?.scene?._scene;
    const camera = scene?.glplot?.cameraParams;
    if (!camera || !this.shown) return null;
    const [width, height] = [this.plot.clientWidth, this.plot.clientHeight];
    const through = (matrix, [x, y, z, w]) => [0, 1, 2, 3].map((i) => matrix[i] * x + matrix[4 + i] * y + matrix[8 + i] * z + matrix[12 + i] * w);
    return (point) => {
      const place = [...point.map((value, axis) => value * scene.dataScale[axis]), 1];
      const [x, y, z, w] = [camera.model, camera.view, camera.projection].reduce((vector, matrix) => through(matrix, vector), place);
      return [0.5 * width * (1 + x / w), 0.5 * height * (1 - y / w), z / w];
    };
  }

  direction(event) {
    const project = this.projection();
    if (!project) return null;
    const box = this.plot.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const middle = project([0, 0, 0])[2];
    let best = null;
    let nearest = NEAR;
    for (const { points, subject } of this.patches)
      for (let cell = 0; cell < subject.length; cell++) {
        if (!subject[cell]) continue;
        const at = points.subarray(cell * 3, cell * 3 + 3);
        const [px, py, depth] = project([...at]);
        const distance = depth < middle ? Math.hypot(px - x, py - y) : Infinity;
        if (distance < nearest) [best, nearest] = [[...at], distance];
      }
    return best;
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.plot.clientWidth, this.plot.clientHeight];
    if (this.overlay.width !== Math.round(width * ratio) || this.overlay.height !== Math.round(height * ratio))
      Object.assign(this.overlay, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    const pen = this.overlay.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const project = this.projection();
    if (!project) return;
    const middle = project([0, 0, 0])[2];
    const fade = (depth) => (pen.globalAlpha = depth < middle ? 1 : 0.25); // what lies behind shines through
    for (const { at, match, colour } of this.marks) {
      const line = match && arc(at, match).map(project);
      for (let i = 1; i < (line?.length ?? 0); i++) {
        fade(line[i][2]);
        pen.beginPath();
        pen.moveTo(line[i - 1][0], line[i - 1][1]);
        pen.lineTo(line[i][0], line[i][1]);
        Object.assign(pen, { strokeStyle: colour, lineWidth: 4, lineCap: "round" });
        pen.stroke();
      }
      if (!match) continue;
      const [x, y, depth] = project(match);
      fade(depth);
      diamond(pen, [x, y], 7, "white");
      diamond(pen, [x, y], 5, colour);
    }
    for (const { at, label, colour, textColour, active } of this.marks) {
      const [x, y, depth] = project(at);
      fade(depth);
      disc(pen, [x, y], active ? 11 : 9, "white");
      disc(pen, [x, y], active ? 9.5 : 7.5, colour);
      Object.assign(pen, { fillStyle: textColour, font: "600 11px system-ui, sans-serif", textAlign: "center", textBaseline: "middle" });
      pen.fillText(label, x, y + 0.5);
    }
    for (const { at, colour } of this.ghosts) {
      const [x, y, depth] = project(at);
      fade(depth);
      ring(pen, [x, y], 7, [["white", 4], [colour, 2]]);
    }
    pen.globalAlpha = 1;
  }
}

// The shortest way on the sphere, a little above it; opposite ends take some way round.
function arc(start, end) {
  const cosine = Math.min(1, Math.max(-1, start.reduce((sum, value, i) => sum + value * end[i], 0)));
  const angle = Math.acos(cosine);
  let side = end.map((value, i) => value - start[i] * cosine);
  if (Math.hypot(...side) < 1e-6) side = Math.abs(start[2]) < 0.9 ? [-start[1], start[0], 0] : [1, 0, 0];
  const length = Math.hypot(...side);
  return Array.from({ length: ARC_STEPS }, (_, i) => {
    const turned = (angle * i) / (ARC_STEPS - 1);
    return start.map((value, axis) => 1.02 * (value * Math.cos(turned) + (side[axis] / length) * Math.sin(turned)));
  });
}

function diamond(pen, [x, y], radius, fill) {
  pen.beginPath();
  for (const [dx, dy] of [[0, -1], [1, 0], [0, 1], [-1, 0]]) pen.lineTo(x + dx * radius, y + dy * radius);
  pen.fillStyle = fill;
  pen.fill();
}
