// One picture of the page: a canvas that shows the whole image as large as it fits, with what is laid and pinned on it.
import { drawPins, ring, veil } from "./pins.js";

export class Pane {
  // figure: with a canvas. redraw: called when its size has changed.
  constructor(figure, redraw) {
    this.figure = figure;
    this.canvas = figure.querySelector("canvas");
    this.scene = {};
    new ResizeObserver(redraw).observe(this.canvas);
  }

  // Original pixels [x, y] of the pointer; null beside the picture. `anywhere`: the nearest place of the picture instead.
  place(event, anywhere = false) {
    const { size } = this.scene;
    if (!size) return null;
    const box = this.canvas.getBoundingClientRect();
    const view = fit(size, [box.width, box.height]);
    // Whole numbers tell the pointer's place; the middle of that pixel is meant.
    const x = (event.clientX + 0.5 - box.left - view.left) / view.scale;
    const y = (event.clientY + 0.5 - box.top - view.top) / view.scale;
    if (anywhere) return [Math.min(Math.max(x, 0), size[0]), Math.min(Math.max(y, 0), size[1])];
    return x >= 0 && y >= 0 && x < size[0] && y < size[1] ? [x, y] : null;
  }

  // scene: see `paint`; it is kept for the next change of size.
  draw(scene) {
    this.scene = scene;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((side) => Math.max(1, Math.round(side * ratio)));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const pen = this.canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (!scene.bitmap) return;
    const view = fit(scene.size, [width, height]);
    pen.translate(view.left, view.top);
    paint(pen, scene, view.scale);
  }

  // The picture alone, `longest` pixels on its long side.
  render(longest) {
    const scale = longest / Math.max(...this.scene.size);
    const [width, height] = this.scene.size.map((side) => Math.max(1, Math.round(side * scale)));
    const canvas = new OffscreenCanvas(width, height);
    if (this.scene.bitmap) paint(canvas.getContext("2d"), { ...this.scene, ghosts: [] }, scale);
    return canvas;
  }
}

function fit([width, height], [boxWidth, boxHeight]) {
  const scale = Math.min(boxWidth / width, boxHeight / height);
  return { scale, left: (boxWidth - width * scale) / 2, top: (boxHeight - height * scale) / 2 };
}

// scene: {bitmap, size: of the original, heat: {picture, framing, opacity}, cells: [{framing, cell}], ranks: [{at, colour}],
// moved: [at], pins, ghosts: [{at, colour}], text}; all places in original pixels.
function paint(pen, scene, scale) {
  const [width, height] = scene.size.map((side) => side * scale);
  const at = ([x, y]) => [x * scale, y * scale];
  const unit = Math.max(width, height) / 100;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(scene.bitmap, 0, 0, width, height);
  if (scene.heat?.picture && scene.heat.opacity > 0) {
    const { picture, framing, opacity } = scene.heat;
    const [left, top] = framing.toGrid([0, 0]);
    const [right, bottom] = framing.toGrid(scene.size);
    pen.globalAlpha = opacity;
    pen.drawImage(picture, left, top, right - left, bottom - top, 0, 0, width, height);
    pen.globalAlpha = 1;
  }
  for (const { framing, cell } of scene.cells ?? []) {
    const [x, y] = at(framing.toPixel(cell));
    const [w, h] = framing.scale.map((value) => (framing.patch / value) * scale);
    for (const [colour, line] of [["black", 4], ["white", 2]]) {
      Object.assign(pen, { strokeStyle: colour, lineWidth: line });
      pen.strokeRect(x - w / 2, y - h / 2, w, h);
    }
  }
  scene.ranks?.forEach(({ at: place, colour }, i) => ring(pen, at(place), unit * (0.9 + 1.1 / (i + 2)) + 2, [["white", 4], [colour, 2]]));
  for (const place of scene.moved ?? []) ring(pen, at(place), unit * 2.2, [["black", 6], ["white", 3]]);
  drawPins(pen, (scene.pins ?? []).map((pin) => ({ ...pin, at: at(pin.at) })), Math.max(unit, 3.2), [width, height]);
  for (const { at: place, colour } of scene.ghosts ?? []) ring(pen, at(place), unit * 2, [["white", 5], [colour, 2.5]]);
  if (scene.text) veil(pen, scene.text, [width, height]);
}
